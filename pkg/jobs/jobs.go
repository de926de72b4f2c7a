// Package jobs is the durable queue of a service: work enqueued in the transaction of the change that wants it,
// kept in the service's own schema, retried, and spread over its replicas.
package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
)

// QueueEvents carries the outbox, apart from the service's own jobs so that long work does not hold events back.
const QueueEvents = "events"

// rescueMargin is how much longer than its timeout a job may be under way before it is taken for one whose process was killed,
// and tried again. River's own hour is longer than JetStream remembers the ids of events.
const rescueMargin = 30 * time.Second

// Options tune a client; the zero value suits a service with short jobs.
type Options struct {
	MaxWorkers int                  // jobs run at once from the default queue, 8 when zero
	Queues     map[string]int       // further queues: name and jobs run at once
	Periodic   []*river.PeriodicJob // scheduled by one elected replica
	JobTimeout time.Duration        // a job's context ends after this, 1 minute when zero, never when negative
	StopWait   time.Duration        // how long Run lets jobs finish before it cancels them, 10 seconds when zero
}

// Client inserts jobs and, unless it has no workers, runs them.
type Client struct {
	river   *river.Client[pgx.Tx]
	working bool
}

// New makes a client of the queue in a schema. With nil workers it only inserts.
func New(pool *pgxpool.Pool, schema string, workers *river.Workers, log *zap.Logger, o Options) (*Client, error) {
	cfg := &river.Config{
		Schema: schema,
		Logger: slog.New(zapslog.NewHandler(log.Named("jobs").Core(), zapslog.WithName("jobs"))),
	}
	if workers != nil {
		cfg.Workers = workers
		cfg.Queues = queues(o)
		cfg.PeriodicJobs = o.Periodic
		cfg.JobTimeout = cmp.Or(o.JobTimeout, time.Minute)
		cfg.SoftStopTimeout = cmp.Or(o.StopWait, 10*time.Second)
		if cfg.JobTimeout > 0 {
			cfg.RescueStuckJobsAfter = cfg.JobTimeout + rescueMargin
		}
	}
	client, err := river.NewClient(riverpgxv5.New(pool), cfg)
	if err != nil {
		return nil, fmt.Errorf("job queue of schema %s: %w", schema, err)
	}
	return &Client{client, workers != nil}, nil
}

// Insert enqueues a job in the caller's transaction: it exists when and only when the transaction commits.
func (c *Client) Insert(ctx context.Context, tx pgx.Tx, args river.JobArgs, o *river.InsertOpts) (*rivertype.JobInsertResult, error) {
	inserted, err := c.river.InsertTx(ctx, tx, args, o)
	if err != nil {
		return nil, fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	return inserted, nil
}

// Run works on jobs until ctx ends, then lets the running ones finish for Options.StopWait, cancels the rest and
// returns nil. A job cut off is retried after the next start. An insert-only client just waits.
func (c *Client) Run(ctx context.Context) error {
	if !c.working {
		<-ctx.Done()
		return nil
	}
	if err := c.river.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop while starting
		}
		return fmt.Errorf("start the job queue: %w", err)
	}
	<-c.river.Stopped()
	if ctx.Err() == nil {
		return errors.New("the job queue stopped by itself")
	}
	return nil
}

func queues(o Options) map[string]river.QueueConfig {
	all := map[string]int{river.QueueDefault: cmp.Or(o.MaxWorkers, 8), QueueEvents: 4}
	maps.Copy(all, o.Queues)
	configs := make(map[string]river.QueueConfig, len(all))
	for name, workers := range all {
		configs[name] = river.QueueConfig{MaxWorkers: workers}
	}
	return configs
}
