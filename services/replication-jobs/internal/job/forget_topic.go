package job

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

// ForgetTopic removes what a Kafka cluster remembers of one incarnation of a subscription. Doing it twice does no harm.
type ForgetTopic func(ctx context.Context, target *replicationv1.KafkaTask, jobID, incarnation string) error

// forgetTopicArgs is the deleted job as far as its brokers are concerned.
type forgetTopicArgs struct {
	JobID       string          `json:"job_id"`
	Incarnation string          `json:"incarnation"`
	Target      json.RawMessage `json:"target"`   // KafkaTask as protobuf JSON, without its password
	Password    []byte          `json:"password"` // sealed
}

// Kind names the job in the queue's table.
func (forgetTopicArgs) Kind() string { return "replication.forget_topic" }

// forgetTopicLater enqueues, with the transaction, the removal of a subscription's traces on its brokers.
func forgetTopicLater(ctx context.Context, tx pgx.Tx, queue *jobs.Client, j locked) error {
	config, err := ReadSubscription(j.ID, j.Config)
	if err != nil {
		return err
	}
	target, err := asJSON.Marshal(config.GetDestTask())
	if err != nil {
		return err
	}
	_, err = queue.Insert(ctx, tx, forgetTopicArgs{JobID: j.ID, Incarnation: j.Incarnation, Target: target, Password: j.Target},
		&river.InsertOpts{ScheduledAt: time.Now().Add(forgetDelay)})
	return err
}

// AddForgetTopicWorker registers the worker that removes traces of deleted subscriptions. Brokers that are out of reach are tried again,
// with growing pauses, for three weeks.
func AddForgetTopicWorker(workers *river.Workers, sealer *secret.Sealer, forget ForgetTopic) {
	river.AddWorker(workers, &forgetTopicWorker{sealer: sealer, forget: forget})
}

type forgetTopicWorker struct {
	river.WorkerDefaults[forgetTopicArgs]

	sealer *secret.Sealer
	forget ForgetTopic
}

// Work removes the traces of one job.
func (w *forgetTopicWorker) Work(ctx context.Context, job *river.Job[forgetTopicArgs]) error {
	a := job.Args
	password, err := w.sealer.Open(a.Password, place(a.Incarnation, Target))
	if err != nil {
		return fmt.Errorf("password of the brokers of deleted job %s: %w", a.JobID, err)
	}
	target := &replicationv1.KafkaTask{}
	if err := read(a.JobID, a.Target, target); err != nil {
		return err
	}
	target.KafkaPassword = string(password)
	if err := w.forget(ctx, target, a.JobID, a.Incarnation); err != nil {
		return fmt.Errorf("remove the traces of deleted job %s: %w", a.JobID, err)
	}
	return nil
}

// Timeout bounds one try.
func (*forgetTopicWorker) Timeout(*river.Job[forgetTopicArgs]) time.Duration { return forgetTimeout }
