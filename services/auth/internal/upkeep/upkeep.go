// Package upkeep does what must be done from time to time, once for all replicas.
package upkeep

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
)

const every = 10 * time.Minute

type args struct{}

// Kind names the job in the queue's table.
func (args) Kind() string { return "auth.upkeep" }

type worker struct {
	river.WorkerDefaults[args]

	tasks []func(context.Context) error
}

// Work runs every task, also when one before it failed.
func (w *worker) Work(ctx context.Context, _ *river.Job[args]) error {
	failures := make([]error, len(w.tasks))
	for i, task := range w.tasks {
		failures[i] = task(ctx)
	}
	return errors.Join(failures...)
}

// Schedule registers the worker of the tasks and returns the job that runs them at the start and every ten minutes.
func Schedule(workers *river.Workers, tasks ...func(context.Context) error) *river.PeriodicJob {
	river.AddWorker(workers, &worker{tasks: tasks})
	return river.NewPeriodicJob(river.PeriodicInterval(every),
		func() (river.JobArgs, *river.InsertOpts) { return args{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})
}
