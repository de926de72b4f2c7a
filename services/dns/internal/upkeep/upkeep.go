// Package upkeep forgets what is too old to be of use, once for all replicas.
package upkeep

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

const every = time.Hour

type args struct{}

// Kind names the job in the queue's table.
func (args) Kind() string { return "dns.upkeep" }

type worker struct {
	river.WorkerDefaults[args]

	pool *pgxpool.Pool
	keep time.Duration
}

// Work deletes finished changes that nobody can want to roll back any more.
func (w *worker) Work(ctx context.Context, _ *river.Job[args]) error {
	return zone.DeleteOld(ctx, w.pool, time.Now().Add(-w.keep))
}

// Schedule registers the worker and returns the job that runs it at the start and every hour.
func Schedule(workers *river.Workers, pool *pgxpool.Pool, keep time.Duration) *river.PeriodicJob {
	river.AddWorker(workers, &worker{pool: pool, keep: keep})
	return river.NewPeriodicJob(river.PeriodicInterval(every),
		func() (river.JobArgs, *river.InsertOpts) { return args{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})
}
