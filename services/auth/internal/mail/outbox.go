package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

const (
	sealedFor    = "auth.mail"
	maxAttempts  = 200 // more than fit into the life of any mail
	maxRetryWait = time.Minute
)

// Outbox takes mails that a transaction wants sent. Nobody who reads the queue learns whom they are to or what is in them.
type Outbox struct {
	Queue   *jobs.Client
	Sealer  *secret.Sealer
	Enabled bool // without an SMTP server mails are dropped
}

// Enqueue hands a mail over in the caller's transaction. It is tried until the server takes or refuses it, or until it is of no
// use any more.
func (o Outbox) Enqueue(ctx context.Context, tx pgx.Tx, m Message, until time.Time) error {
	if !o.Enabled || m.To == "" {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("enqueue a mail: %w", err)
	}
	sealed, err := o.Sealer.Seal(text, sealedFor)
	if err != nil {
		return fmt.Errorf("enqueue a mail: %w", err)
	}
	_, err = o.Queue.Insert(ctx, tx, args{Sealed: sealed, Until: until}, &river.InsertOpts{MaxAttempts: maxAttempts})
	return err
}

type args struct {
	Sealed []byte    `json:"sealed"` // Message as JSON
	Until  time.Time `json:"until"`
}

// Kind names the job in the queue's table.
func (args) Kind() string { return "auth.mail" }

type worker struct {
	river.WorkerDefaults[args]

	sender *Sender
	sealer *secret.Sealer
	now    func() time.Time
}

// AddWorker registers the worker that carries mails from the outbox to the server.
func AddWorker(workers *river.Workers, sender *Sender, sealer *secret.Sealer, now func() time.Time) {
	river.AddWorker(workers, &worker{sender: sender, sealer: sealer, now: now})
}

// Work sends one mail. A process that dies between the server's answer and the end of the job sends it twice, never not at all.
func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	if !w.now().Before(job.Args.Until) {
		return river.JobCancel(errors.New("the mail could not be sent while it was of use"))
	}
	text, err := w.sealer.Open(job.Args.Sealed, sealedFor)
	if err != nil {
		return river.JobCancel(fmt.Errorf("mail in the queue: %w", err))
	}
	var m Message
	if err := json.Unmarshal(text, &m); err != nil {
		return river.JobCancel(errors.New("mail in the queue: not a mail of this release"))
	}
	err = w.sender.Send(ctx, m)
	if errors.Is(err, ErrRefused) {
		return river.JobCancel(err)
	}
	return err
}

// Timeout bounds one try: connecting, signing in and sending.
func (*worker) Timeout(*river.Job[args]) time.Duration { return 3 * sendTimeout }

// NextRetry waits two seconds longer each time, a minute at most: somebody sits waiting for the mail.
func (w *worker) NextRetry(job *river.Job[args]) time.Time {
	return w.now().Add(min(2*time.Second*time.Duration(job.Attempt), maxRetryWait))
}
