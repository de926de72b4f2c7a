package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/riverqueue/river"

	"github.com/opsdeck/opsdeck/pkg/jobs"
)

// maxRetryWait is the longest pause between two tries to publish an event.
const maxRetryWait = time.Minute

// Publish enqueues an event in the caller's transaction. A worker of the service carries it to JetStream after
// the commit, and tries until it is acknowledged; consumers may see it twice, with the same id.
func Publish(ctx context.Context, tx pgx.Tx, client *jobs.Client, e Event) error {
	envelope, err := e.envelope(time.Now())
	if err != nil {
		return err
	}
	// The queue's column is a smallint: this is "for ever".
	_, err = client.Insert(ctx, tx, outboxArgs{envelope}, &river.InsertOpts{Queue: jobs.QueueEvents, MaxAttempts: math.MaxInt16})
	return err
}

// AddWorker registers the worker that carries the service's events from its outbox to JetStream.
func AddWorker(workers *river.Workers, conn *Conn) {
	river.AddWorker(workers, &outboxWorker{stream: conn.stream})
}

type outboxArgs struct {
	Event Envelope `json:"event"`
}

// Kind names the job in the queue's table.
func (outboxArgs) Kind() string { return "bus.publish" }

type outboxWorker struct {
	river.WorkerDefaults[outboxArgs]

	stream jetstream.JetStream
}

// Work publishes one event and waits for the acknowledgement.
func (w *outboxWorker) Work(ctx context.Context, job *river.Job[outboxArgs]) error {
	event := job.Args.Event
	body, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("event %s: %w", event.ID, err)
	}
	if _, err := w.stream.Publish(ctx, event.Type, body, jetstream.WithMsgID(event.ID)); err != nil {
		return fmt.Errorf("publish event %s of type %s: %w", event.ID, event.Type, err)
	}
	return nil
}

// Timeout bounds one try.
func (*outboxWorker) Timeout(*river.Job[outboxArgs]) time.Duration { return 5 * time.Second }

// NextRetry waits one second longer each time, a minute at most: the server is down, not the event wrong.
func (*outboxWorker) NextRetry(job *river.Job[outboxArgs]) time.Time {
	return time.Now().Add(min(time.Duration(job.Attempt)*time.Second, maxRetryWait))
}
