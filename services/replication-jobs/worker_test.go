package replication_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/bus"

	replication "github.com/opsdeck/opsdeck/services/replication-jobs"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/run"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/wake"
)

// startScriptedWorker runs a node whose engine tells the test when it starts and ends.
func (m *manager) startScriptedWorker() (started, stopped <-chan string) {
	m.t.Helper()
	starts, stops := make(chan string, 10), make(chan string, 10)
	work := func(ctx context.Context, job engine.Job, reporter engine.Reporter) error {
		starts <- job.ID
		reporter.Progress(engine.Progress{Stage: "job_stage_incr", Percent: 100})
		<-ctx.Done()
		stops <- job.ID
		return ctx.Err()
	}
	n := m.node("scripted")
	worker := run.NewNode(run.Identity{ID: n.id, Name: n.name}, n.client, work, relay.Store{Dir: n.m.t.TempDir()}, run.Tunnels{}, func() *replicationv1.MessageStatus { return &replicationv1.MessageStatus{} }, zap.NewNop())
	conn, err := bus.Connect(m.t.Context(), bus.Config{URL: m.natsURL, User: natsUser, Password: "nats-password"}, zap.NewNop())
	require.NoError(m.t, err)
	quiet, err := wake.Listen(conn, n.id, worker.Wake)
	require.NoError(m.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.Run(ctx) }()
	m.t.Cleanup(func() {
		cancel()
		require.NoError(m.t, <-done)
		quiet()
		require.NoError(m.t, conn.Close(context.Background()))
	})
	return starts, stops
}

// The interval is so long that only wake-ups can be what makes this test pass.
func TestChangesReachTheWorkerAtOnce(t *testing.T) {
	t.Parallel()
	m := startManager(t, func(c *replication.Config) { c.Interval, c.Lease = time.Minute, 5*time.Minute })
	started, stopped := m.startScriptedWorker()
	hears := func(c <-chan string, id string) {
		t.Helper()
		select {
		case got := <-c:
			require.Equal(t, id, got)
		case <-time.After(patience):
			require.FailNow(t, "the worker did not hear of it")
		}
	}
	require.Eventually(t, func() bool {
		var nodes int
		require.NoError(t, m.pool.QueryRow(t.Context(), `SELECT count(*) FROM replication.nodes`).Scan(&nodes))
		return nodes == 1
	}, patience, moment)
	jobs, id := m.jobs(alice), m.create(alice, "quick", all)
	hears(started, id)
	_, err := jobs.PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	hears(stopped, id)
	_, err = jobs.ResumeJob(t.Context(), &replicationv1.ResumeJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	hears(started, id)
	_, err = jobs.DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	hears(stopped, id)
}
