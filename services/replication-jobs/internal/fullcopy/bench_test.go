package fullcopy_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// BenchmarkFullCopy copies four tables of sysbench's shape, 500,000 rows in all.
func BenchmarkFullCopy(b *testing.B) {
	const tables, rows = 4, 125000
	source, target := mysqltest.Start(b, 1, "--innodb-buffer-pool-size=1G"), mysqltest.Start(b, 2, "--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M")
	source.Exec(b, "CREATE DATABASE bench")
	for i := range tables {
		source.Exec(b, fmt.Sprintf("CREATE TABLE bench.t%d (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL, KEY (k))", i),
			fmt.Sprintf("INSERT INTO bench.t%d SELECT seq, RAND() * %d, REPEAT(MD5(RAND()), 3), MD5(seq) FROM mysql.seq_1_to_%d", i, rows, rows))
	}
	c := target.Connect(b)
	require.NoError(b, progress.Ensure(c))
	selection, err := mapping.New([]filter.SchemaRule{{Schema: "bench"}}, nil)
	require.NoError(b, err)
	epoch := int64(0)
	for b.Loop() {
		epoch++
		job := fmt.Sprintf("bench-%d", epoch)
		_, err := progress.Claim(c, job, "", epoch)
		require.NoError(b, err)
		_, err = fullcopy.New(fullcopy.Options{
			Source: source.Config(), Target: target.Config(), JobID: job, Epoch: epoch, Mapping: selection,
			ChunkSize: 2000, Readers: 2, Writers: 4, DropTableIfExists: true, Event: func(string, string) {}, Log: zap.NewNop(),
		}).Run(b.Context())
		require.NoError(b, err)
		require.NoError(b, progress.Forget(c, job, "")) // the next one takes its tables
	}
	b.ReportMetric(float64(b.N)*tables*rows/b.Elapsed().Seconds(), "rows/s")
}
