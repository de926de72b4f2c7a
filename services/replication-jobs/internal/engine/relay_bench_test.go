package engine_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// BenchmarkRelayCatchUp catches up with 20,000 transactions, with and without a relay log.
func BenchmarkRelayCatchUp(b *testing.B) {
	const transactions = 20_000
	p := &pair{source: mysqltest.Start(b, 1), target: mysqltest.Start(b, 2)}
	p.source.Exec(b, "CREATE DATABASE busy", "CREATE TABLE busy.t (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(200), n INT)",
		"CREATE PROCEDURE busy.work(most INT) BEGIN FOR i IN 1..most DO INSERT INTO busy.t (a, n) VALUES (REPEAT(MD5(i), 5), i); END FOR; END")
	c := p.source.Connect(b)
	start, err := c.Flavor.CurrentPosition(c)
	require.NoError(b, err)
	p.source.Exec(b, fmt.Sprintf("CALL busy.work(%d)", transactions))
	epoch := int64(0)
	for round := range 3 {
		for _, relayLog := range []bool{false, true} {
			b.Run(fmt.Sprintf("relay %v round %d", relayLog, round), func(b *testing.B) {
				for range b.N {
					epoch++
					p.target.Exec(b, "CREATE OR REPLACE DATABASE busy", "CREATE TABLE busy.t (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(200), n INT)")
					job := p.job("busy", epoch, "busy")
					job.Incarnation = strconv.FormatInt(epoch, 10) // which has no progress yet
					job.Step, job.StartGTID = string(engine.StepIncr), start.GTIDSet
					if relayLog {
						job = relayed(job, b.TempDir())
					}
					ctx, cancel := context.WithCancel(b.Context())
					done := make(chan error)
					go func() { done <- engine.Run(ctx, job, &listener{}, zap.NewNop()) }()
					require.Eventually(b, func() bool {
						n, err := p.target.Value(ctx, "SELECT MAX(id) FROM busy.t")
						return err == nil && n == strconv.Itoa(transactions)
					}, time.Minute, 5*time.Millisecond)
					cancel()
					require.ErrorIs(b, <-done, context.Canceled)
				}
				b.ReportMetric(float64(transactions)*float64(b.N)/b.Elapsed().Seconds(), "trx/s")
			})
		}
	}
}
