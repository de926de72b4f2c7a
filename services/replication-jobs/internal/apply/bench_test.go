package apply_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

const (
	benchTables       = 8
	benchRows         = 20000
	benchWriters      = 4
	benchTransactions = 5000 // of each writer
)

// BenchmarkCatchUp applies a backlog of sysbench's oltp_write_only transactions (two updates, a delete and an insert of the same row),
// and lets MariaDB's own replication do the same.
func BenchmarkCatchUp(b *testing.B) {
	j := newJob(b, "catchup")
	j.create(b, benchTable()...)
	j.backlog(b)
	behind := j.start
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("applier-%d", workers), func(b *testing.B) {
			b.StopTimer()
			j.again(b, behind)
			j.workers = workers
			b.StartTimer()
			stats := j.catchUp(b)
			b.StopTimer()
			b.ReportMetric(float64(stats.Transactions)/b.Elapsed().Seconds(), "transactions/s")
			b.ReportMetric(float64(stats.Rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(stats.Transactions)/float64(stats.Commits), "transactions/commit")
			j.same(b)
		})
	}
	for _, threads := range []int{0, 2} {
		b.Run(fmt.Sprintf("native-%d", threads), func(b *testing.B) {
			b.StopTimer()
			j.native(b, threads)
			b.ReportMetric(benchWriters*benchTransactions/b.Elapsed().Seconds(), "transactions/s")
		})
	}
}

// benchTable makes the tables as they are before the backlog.
func benchTable() []string {
	var statements []string
	for n := range benchTables {
		table := fmt.Sprintf("sbtest%d", n)
		statements = append(statements,
			"CREATE OR REPLACE TABLE "+table+" (id INT PRIMARY KEY AUTO_INCREMENT, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL, KEY (k))",
			fmt.Sprintf("INSERT INTO %s (k, c, pad) SELECT seq, REPEAT('c', 119), REPEAT('p', 59) FROM mysql.seq_1_to_%d", table, benchRows))
	}
	return statements
}

// again puts the target back to before the backlog.
func (j *job) again(b *testing.B, behind mysql.Position) {
	j.at(b, j.target, append([]string{"USE " + j.schema}, benchTable()...)...)
	j.claim(b)
	j.start = behind
}

// native measures a replica of the source.
func (j *job) native(b *testing.B, threads int) {
	replica := mysqltest.Start(b, uint32(100+threads), "--log-slave-updates", "--innodb-buffer-pool-size=256M")
	c := replica.Connect(b)
	s := config(source)
	end := j.position(b)
	j.at(b, c, fmt.Sprintf("SET GLOBAL slave_parallel_threads = %d, slave_parallel_mode = 'optimistic'", threads), fmt.Sprintf(
		"CHANGE MASTER TO master_host = '%s', master_port = %d, master_user = '%s', master_password = '%s', master_use_gtid = slave_pos", s.Host, s.Port, s.User, s.Password),
		fmt.Sprintf("START SLAVE UNTIL master_gtid_pos = '%s'", j.start.GTIDSet))
	require.Equal(b, "0", value(b, c, fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', 120)", j.start.GTIDSet)))
	j.at(b, c, "STOP SLAVE")
	b.StartTimer()
	j.at(b, c, "START SLAVE")
	require.Equal(b, "0", value(b, c, fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', 120)", end.GTIDSet)))
	b.StopTimer()
	require.Equal(b, j.tables(b, j.source), j.tables(b, c))
	j.at(b, c, "STOP SLAVE")
}

// backlog writes at the source.
func (j *job) backlog(b *testing.B) {
	group, ctx := errgroup.WithContext(b.Context())
	for writer := range benchWriters {
		group.Go(func() error {
			c, err := mysql.Connect(ctx, config(source))
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			random := rand.New(rand.NewPCG(uint64(writer), 1))
			for range benchTransactions {
				if err := c.Transaction(func() error { return j.oltp(c, random, writer) }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(b, group.Wait())
}

// oltp keeps the writers on rows of their own, so that none waits for another.
func (j *job) oltp(c *mysql.Conn, random *rand.Rand, writer int) error {
	table := func() string { return fmt.Sprintf("%s.sbtest%d", j.schema, random.IntN(benchTables)) }
	id := func() int { return random.IntN(benchRows/benchWriters)*benchWriters + writer + 1 }
	replaced, in := id(), table()
	text := fmt.Sprintf("%059d", random.Int64())
	for _, statement := range []string{
		fmt.Sprintf("UPDATE %s SET k = k + 1 WHERE id = %d", table(), id()),
		fmt.Sprintf("UPDATE %s SET c = '%s%s' WHERE id = %d", table(), text, text, id()),
		fmt.Sprintf("DELETE FROM %s WHERE id = %d", in, replaced),
		fmt.Sprintf("INSERT INTO %s VALUES (%d, %d, '%s%s', '%s')", in, replaced, random.IntN(benchRows), text, text, text),
	} {
		if _, err := c.Execute(statement); err != nil {
			return err
		}
	}
	return nil
}

// catchUp applies until the stream has nothing more up to the source's present position.
func (j *job) catchUp(b *testing.B) apply.Stats {
	end := j.position(b)
	until, err := mysql.ParsePoint(j.source.Flavor, end)
	require.NoError(b, err)
	selection, err := mapping.New([]filter.SchemaRule{{Schema: j.schema}}, nil)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	stream, err := binlog.Open(ctx, binlog.Config{Source: config(source), Flavor: j.source.Flavor, Start: j.start, Selection: selection, Logger: zap.NewNop()})
	require.NoError(b, err)
	defer stream.Close()
	a := apply.New(apply.Config{Target: config(target), Job: j.schema, Epoch: j.epoch, Flavor: j.source.Flavor, Start: j.start, Mapping: selection, Merge: j.merge, Workers: j.workers, Logger: zap.NewNop()})
	// The channel ends with the last transaction of the backlog.
	backlog := make(chan *binlog.Transaction, 1024)
	go func() {
		defer close(backlog)
		for t := range stream.Transactions() {
			backlog <- t
			at, err := mysql.ParsePoint(j.source.Flavor, mysql.Position{GTIDSet: t.GTID})
			if err != nil || at.Covers(until) {
				return
			}
		}
	}()
	require.NoError(b, a.Run(ctx, backlog))
	return a.Stats()
}
