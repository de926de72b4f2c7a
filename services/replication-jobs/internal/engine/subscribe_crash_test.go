package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// TestSubscribeCrashes writes to the source all the time, and stops and kills worker, brokers and source at random moments, in the copy
// and after it. Whoever reads committed messages only must have each change of the log once, and end with the rows of the source.
func TestSubscribeCrashes(t *testing.T) {
	t.Parallel()
	for _, seed := range crashSeeds(t) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { crashSubscription(t, seed) })
	}
}

func crashSubscription(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	cluster := kafkatest.Start(t)
	s := &subscribed{source: mysqltest.Start(t, 1, "--binlog-row-metadata=FULL"), brokers: cluster.ListenAddrs()}
	s.source.Exec(t, crashSchema...)

	ctx, stopWriters := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range uint64(2) {
		writers.Go(func() { write(ctx, t, s.source.Config(), rand.New(rand.NewPCG(seed, i+1))) })
	}
	const runs = 14
	for epoch := int64(1); epoch <= runs; epoch++ {
		job := s.job("crash", epoch, "app")
		job.Subscription.DecimalString = true
		life := time.After(time.Duration(100+r.IntN(400)) * time.Millisecond)
		switch r.IntN(4) {
		case 0: // a pause
			run := start(t, job)
			<-life
			run.stop(t)
		case 1: // kill -9 of the worker
			_, kill := startWorker(t, job)
			<-life
			kill()
		case 2: // the brokers go away
			run := start(t, job)
			<-life
			cluster.Close()
			require.Error(t, <-run.done)
			cluster.Restart(t)
		case 3: // kill -9 of the source
			run := start(t, job)
			<-life
			require.NoError(t, s.source.Kill())
			require.Error(t, <-run.done)
			s.source.Restart(t)
		}
		if epoch == runs/2 {
			s.source.Exec(t, "ALTER TABLE app.parts ADD extra INT NOT NULL DEFAULT 7 FIRST",
				"CREATE TABLE app.fresh (id INT PRIMARY KEY) SELECT seq AS id FROM mysql.seq_1_to_100", "TRUNCATE TABLE app.log")
		}
	}
	stopWriters()
	writers.Wait()
	job := s.job("crash", runs+1, "app")
	job.Subscription.DecimalString = true
	run := start(t, job)
	s.awaitWritten(t, run)
	run.stop(t)
	all := kafkatest.All(t, s.brokers, `crash\.app\..*`)
	requireOnce(t, all)
	s.requireRows(t, all)
}

// awaitWritten waits until everything that the source has logged is committed.
func (s *subscribed) awaitWritten(t *testing.T, run *running) {
	t.Helper()
	c := s.source.Connect(t)
	end, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	run.await(t, func() bool {
		_, last, _ := run.snapshot()
		return last.Executed.GTIDSet == end.GTIDSet
	})
}

// requireOnce fails if a change of the log was told twice.
func requireOnce(t *testing.T, all []*kgo.Record) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range all {
		if m.Value == nil {
			continue
		}
		e := parse(t, m)
		if e.Op == "r" {
			continue
		}
		change := fmt.Sprint(e.Source.File, e.Source.Pos, e.Source.Row, e.Op)
		require.False(t, seen[change], "%s", m.Value)
		seen[change] = true
	}
	require.NotEmpty(t, seen)
}

// requireRows compares what the messages add up to with the tables.
func (s *subscribed) requireRows(t *testing.T, all []*kgo.Record) {
	t.Helper()
	rows := materialize(t, all)
	c := s.source.Connect(t)
	for table, columns := range map[string][]string{
		"orders": {"id", "sku", "state", "amount", "note"}, "parts": {"a", "b"}, "named": {"name", "doc", "n"}, "fresh": {"id"},
	} {
		got := map[string]bool{}
		for key, row := range rows {
			if !strings.HasPrefix(key, "crash.app."+table+"{") {
				continue
			}
			var parts []string
			for _, column := range columns {
				if v, ok := row[column].(float64); ok {
					parts = append(parts, fmt.Sprint(int64(v)))
				} else if row[column] != nil {
					parts = append(parts, row[column].(string))
				} else {
					parts = append(parts, "NULL")
				}
			}
			got[strings.Join(parts, "|")] = true
		}
		fields := make([]string, len(columns))
		for i, column := range columns {
			fields[i] = "COALESCE(" + column + ", 'NULL')"
		}
		r, err := c.Execute("SELECT CONCAT_WS('|', " + strings.Join(fields, ", ") + ") FROM app." + table)
		require.NoError(t, err)
		require.Len(t, got, r.RowNumber(), table)
		for i := range r.RowNumber() {
			want, err := r.GetString(i, 0)
			require.NoError(t, err)
			if !got[want] {
				require.FailNow(t, "the messages lack a row", "%s has %s, of %v", table, want, slices.Sorted(maps.Keys(got)))
			}
		}
	}
}
