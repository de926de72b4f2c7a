package push

import (
	"context"
	"math"
	"time"

	"github.com/riverqueue/river"

	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

const (
	// jobDelay gives the caller who made a change the time to see it pushed; the job finds nothing to do then.
	jobDelay = 10 * time.Second
	// jobTimeout bounds a try, which may have the changes of hours to push.
	jobTimeout = 5 * time.Minute
	// maxRetryWait is the longest pause between two tries: the longest that a server is back without hearing of its changes.
	maxRetryWait = 15 * time.Second
)

type args struct {
	Domain int64 `json:"domain"`
}

// Kind names the job in the queue's table.
func (args) Kind() string { return "dns.push" }

// Job implements zone.Pusher.
func (*Pusher) Job(domain int64) (river.JobArgs, *river.InsertOpts) {
	return args{domain}, &river.InsertOpts{ScheduledAt: time.Now().Add(jobDelay), MaxAttempts: math.MaxInt16}
}

// AddWorker registers the worker that pushes what no caller saw pushed.
func (p *Pusher) AddWorker(workers *river.Workers) { river.AddWorker(workers, &worker{pusher: p}) }

type worker struct {
	river.WorkerDefaults[args]

	pusher *Pusher
}

// Work pushes all pending changes of a domain.
func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	return w.pusher.push(ctx, job.Args.Domain, math.MaxInt64, zone.Change{})
}

// Timeout bounds one try.
func (*worker) Timeout(*river.Job[args]) time.Duration { return jobTimeout }

// NextRetry waits twice as long each time, up to a limit: the server is down, not the change wrong.
func (*worker) NextRetry(job *river.Job[args]) time.Time {
	return time.Now().Add(min(time.Second<<min(job.Attempt, 10), maxRetryWait))
}
