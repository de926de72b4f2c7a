package jobs_test

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	schema = "ops"
	wait   = time.Minute
)

func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return pgtest.New(t, schema, fstest.MapFS{"0001_none.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}})
}

type greet struct {
	Name string `json:"name"`
}

func (greet) Kind() string { return "greet" }

func newClient(t *testing.T, pool *pgxpool.Pool, work func(ctx context.Context, job *river.Job[greet]) error, o jobs.Options) *jobs.Client {
	t.Helper()
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(work))
	client, err := jobs.New(pool, schema, workers, zap.NewNop(), o)
	require.NoError(t, err)
	return client
}

// run works until stop is called, which returns what Run does.
func run(t *testing.T, client *jobs.Client) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func insert(t *testing.T, pool *pgxpool.Pool, client *jobs.Client, name string, fail error) error {
	t.Helper()
	return pg.InTx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
		_, err := client.Insert(ctx, tx, greet{name}, nil)
		require.NoError(t, err)
		return fail
	})
}

func TestJobsFollowTheTransaction(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	greeted := make(chan string, 2)
	client := newClient(t, pool, func(_ context.Context, job *river.Job[greet]) error {
		greeted <- job.Args.Name
		return nil
	}, jobs.Options{})
	inserter, err := jobs.New(pool, schema, nil, zap.NewNop(), jobs.Options{})
	require.NoError(t, err)
	rolledBack := errors.New("rolled back")
	require.ErrorIs(t, insert(t, pool, inserter, "never", rolledBack), rolledBack)
	require.NoError(t, insert(t, pool, inserter, "bob", nil))

	stop := run(t, client)
	require.Equal(t, "bob", receive(t, greeted))
	require.NoError(t, stop())
	require.Empty(t, greeted)

	require.NoError(t, run(t, inserter)(), "an insert-only client waits for the end")
}

func TestFailedJobIsRetried(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	attempts := make(chan int, 2)
	client := newClient(t, pool, func(_ context.Context, job *river.Job[greet]) error {
		attempts <- job.Attempt
		if job.Attempt == 1 {
			panic("boom")
		}
		return nil
	}, jobs.Options{})
	require.NoError(t, insert(t, pool, client, "bob", nil))
	stop := run(t, client)
	require.Equal(t, 1, receive(t, attempts))
	require.Equal(t, 2, receive(t, attempts))
	require.NoError(t, stop())
}

func TestRunStopsGracefully(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	started := make(chan struct{})
	finish := make(chan struct{})
	client := newClient(t, pool, func(ctx context.Context, _ *river.Job[greet]) error {
		close(started)
		select {
		case <-finish:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, jobs.Options{StopWait: wait})
	require.NoError(t, insert(t, pool, client, "bob", nil))

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	receive(t, started)
	cancel()
	close(finish)
	require.NoError(t, receive(t, ended))
	require.Equal(t, "completed", state(t, pool))
}

func TestRunCancelsWhatDoesNotFinish(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	started := make(chan struct{})
	client := newClient(t, pool, func(ctx context.Context, _ *river.Job[greet]) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}, jobs.Options{StopWait: time.Millisecond, JobTimeout: -1})
	require.NoError(t, insert(t, pool, client, "bob", nil))
	stop := run(t, client)
	receive(t, started)
	require.NoError(t, stop())
	require.Contains(t, []string{"retryable", "available"}, state(t, pool))
}

func TestJobOfAKilledProcessIsTriedAgain(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	attempts := make(chan int, 1)
	client := newClient(t, pool, func(_ context.Context, job *river.Job[greet]) error {
		attempts <- job.Attempt
		return nil
	}, jobs.Options{})
	require.NoError(t, insert(t, pool, client, "bob", nil))
	_, err := pool.Exec(t.Context(), `
		UPDATE ops.river_job SET state = 'running', attempt = 1, attempted_at = now() - interval '2 minutes', attempted_by = '{killed}'`)
	require.NoError(t, err)
	stop := run(t, client)
	require.Equal(t, 2, receive(t, attempts))
	require.NoError(t, stop())
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := jobs.New(newPool(t), "no; schema", nil, zap.NewNop(), jobs.Options{})
	require.ErrorContains(t, err, "job queue of schema")
}

func state(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var s string
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT state FROM ops.river_job`).Scan(&s))
	return s
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(wait):
		require.FailNow(t, "nothing received")
		panic("unreachable")
	}
}
