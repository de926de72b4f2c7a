package job

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

const (
	// forgetDelay gives a run time to stop. One that does not can write no more: it finds its row gone.
	forgetDelay   = 5 * time.Second
	forgetTimeout = 30 * time.Second
	// forgetAgain is how often the worker looks whether a run has stopped, as long as forgetDelay lasts.
	forgetAgain = 200 * time.Millisecond
)

// Forget removes what the target of a job remembers of one incarnation of it. Doing it twice does no harm.
type Forget func(ctx context.Context, target *replicationv1.MySQLConnection, jobID, incarnation string) error

// forgetArgs is the deleted job as far as its target is concerned.
type forgetArgs struct {
	JobID       string `json:"job_id"`
	Incarnation string `json:"incarnation"`
	Host        string `json:"host"`
	Port        int32  `json:"port"`
	User        string `json:"user"`
	Password    []byte `json:"password"` // sealed
	SSLMode     string `json:"ssl_mode,omitempty"`
	SSLCA       string `json:"ssl_ca,omitempty"`
}

// Kind names the job in the queue's table.
func (forgetArgs) Kind() string { return "replication.forget" }

// forgetLater enqueues, with the transaction, the removal of a job's traces on its target.
func forgetLater(ctx context.Context, tx pgx.Tx, queue *jobs.Client, j locked) error {
	if j.Type == Subscription {
		return forgetTopicLater(ctx, tx, queue, j)
	}
	config, err := ReadConfig(j.ID, j.Config)
	if err != nil {
		return err
	}
	target := config.GetDestTask().GetMysqlConnectionConfig()
	if err := leave(ctx, tx, j, target); err != nil {
		return err
	}
	_, err = queue.Insert(ctx, tx, forgetArgs{
		JobID: j.ID, Incarnation: j.Incarnation,
		Host: target.GetMysqlHost(), Port: target.GetMysqlPort(), User: target.GetMysqlUser(), Password: j.Target,
		SSLMode: target.GetMysqlSslMode(), SSLCA: target.GetMysqlSslCa(),
	}, nil)
	return err
}

// AddForgetWorker registers the worker that removes traces of deleted jobs. A target that is out of reach is tried again,
// with growing pauses, for three weeks.
func AddForgetWorker(workers *river.Workers, pool *pgxpool.Pool, sealer *secret.Sealer, wake Waker, forget Forget) {
	river.AddWorker(workers, &forgetWorker{pool: pool, sealer: sealer, wake: wake, forget: forget})
}

type forgetWorker struct {
	river.WorkerDefaults[forgetArgs]

	pool   *pgxpool.Pool
	sealer *secret.Sealer
	wake   Waker
	forget Forget
}

// Work removes the traces of one job, once its run has stopped. Jobs that wait for that are then looked at.
func (w *forgetWorker) Work(ctx context.Context, job *river.Job[forgetArgs]) error {
	a := job.Args
	if runs, err := stillRuns(ctx, w.pool, a.Incarnation); err != nil {
		return err
	} else if runs {
		return river.JobSnooze(forgetAgain)
	}
	password, err := w.sealer.Open(a.Password, place(a.Incarnation, Target))
	if err != nil {
		return fmt.Errorf("password of the target of deleted job %s: %w", a.JobID, err)
	}
	target := &replicationv1.MySQLConnection{
		MysqlHost: a.Host, MysqlPort: a.Port, MysqlUser: a.User, MysqlPassword: string(password), MysqlSslMode: a.SSLMode, MysqlSslCa: a.SSLCA,
	}
	if err := w.forget(ctx, target, a.JobID, a.Incarnation); err != nil {
		return fmt.Errorf("remove the traces of deleted job %s from %s: %w", a.JobID, a.Host, err)
	}
	if err := cleared(ctx, w.pool, a.Incarnation); err != nil {
		return err
	}
	w.wake.Wake("")
	return nil
}

// Timeout bounds one try.
func (*forgetWorker) Timeout(*river.Job[forgetArgs]) time.Duration { return forgetTimeout }
