package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/verify"
)

// BenchmarkVerify compares 200,000 rows as fast as it goes, and has both servers compute their own checksums for scale.
func BenchmarkVerify(b *testing.B) {
	const rows = 200_000
	p := &pair{source: mysqltest.Start(b, 1), target: mysqltest.Start(b, 2)}
	p.source.Exec(b, "CREATE DATABASE fast", "CREATE TABLE fast.t (id INT PRIMARY KEY, a VARCHAR(40), b DECIMAL(10,2), c DATETIME)",
		"INSERT INTO fast.t SELECT seq, MD5(seq), seq / 7, '2026-01-01' FROM mysql.seq_1_to_200000")
	job := p.job("fast", 1, "fast")
	job.ChunkSize, job.Verify = 2000, verify.NewDesk()
	done := make(chan error, 1)
	go func() { done <- engine.Run(b.Context(), job, &listener{}, zap.NewNop()) }()
	b.Cleanup(func() { require.ErrorIs(b, <-done, context.Canceled) })
	b.Run("rows", func(b *testing.B) {
		for i := range b.N {
			order := verify.Order{Number: time.Now().UnixNano() + int64(i), MaxLag: time.Minute, RowsPerSecond: 10_000_000}
			job.Verify.Place(order, verify.Progress{})
			require.Eventually(b, func() bool {
				_, at, _ := job.Verify.Report()
				return at.State == verify.Finished && at.Rows == rows && at.Found == 0
			}, time.Minute, time.Millisecond)
		}
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("CHECKSUM TABLE", func(b *testing.B) {
		source, target := p.source.Connect(b), p.target.Connect(b)
		for range b.N {
			_, err := source.Execute("CHECKSUM TABLE fast.t")
			require.NoError(b, err)
			_, err = target.Execute("CHECKSUM TABLE fast.t")
			require.NoError(b, err)
		}
		b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
