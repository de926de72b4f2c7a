package job

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/reach"
)

const (
	// reverseInit is the status of a job that waits for the one that it takes over from.
	reverseInit   = "reverse-init"
	reversePrefix = "reverse-"
)

// ReverseJob makes the job that replicates back, which waits for StartReverseJob.
func (s *Service) ReverseJob(ctx context.Context, r *replicationv1.ReverseJobRequest) (*replicationv1.ReverseJobResponse, error) {
	if err := matchType(r.GetJobId(), r.GetJobType()); err != nil {
		return nil, err
	}
	var j locked
	err := pg.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		j, err = lock(ctx, tx, r.GetJobId(), reach.Of(ctx))
		return err
	})
	if err != nil {
		return nil, err
	}
	config, err := s.reversed(ctx, j, r.GetReverseConfig())
	if err != nil {
		return nil, err
	}
	if err := check(config, j.Type); err != nil {
		return nil, err
	}
	if err := s.check(ctx, config); err != nil {
		return nil, err
	}
	row, err := s.newRow(j.Type, config, uuid.NewString(), passwords{})
	if err != nil {
		return nil, err
	}
	row.tenant, row.owner = j.Tenant, j.Owner
	_, err = s.store(ctx, row)
	return &replicationv1.ReverseJobResponse{}, err
}

// reversed is the configuration of the job that replicates back, with its passwords in the clear.
func (s *Service) reversed(ctx context.Context, j locked, accounts *replicationv1.ReverseConfig) (*replicationv1.JobConfig, error) {
	config, err := ReadConfig(j.ID, j.Config)
	if err != nil {
		return nil, err
	}
	if err := Unseal(s.sealer, config, j.Incarnation, j.Source, j.Target); err != nil {
		return nil, err
	}
	if config.GetReverse() {
		return nil, fault.Precondition("NOT_REVERSIBLE", "job %s is a reverse job itself: create a job in the other direction", j.ID)
	}
	src, dest := config.GetSrcTask(), config.GetDestTask()
	do, ignore, err := mapping.Invert(src.GetReplicateDoDb(), src.GetReplicateIgnoreDb(), columnsAt(ctx, src.GetMysqlConnectionConfig()))
	if err != nil {
		return nil, fault.Precondition("NOT_REVERSIBLE", "job %s cannot be reversed by itself: %v; create a job with reverse and src_task.wait_on_job by hand", j.ID, err)
	}
	back := proto.CloneOf(config)
	back.JobId, back.TaskStepName, back.Reverse, back.IsMysqlPasswordEncrypted = reversePrefix+j.ID, stageIncr, true, false
	back.SrcTask.TaskName, back.DestTask.TaskName = "src", "dest"
	back.SrcTask.NodeId, back.DestTask.NodeId = dest.GetNodeId(), src.GetNodeId()
	back.SrcTask.MysqlConnectionConfig, back.DestTask.MysqlConnectionConfig = dest.GetMysqlConnectionConfig(), src.GetMysqlConnectionConfig()
	back.DestTask.MysqlConnectionConfig.MysqlAddresses = nil
	back.SrcTask.ReplicateDoDb, back.SrcTask.ReplicateIgnoreDb = do, ignore
	back.SrcTask.WaitOnJob, back.SrcTask.AutoGtid, back.SrcTask.Gtid = j.ID, true, ""
	back.SrcTask.DropTableIfExists = false
	return back, s.account(back, accounts)
}

// lookLimit bounds a look at a table of the source: somebody waits for it.
const lookLimit = 5 * time.Second

// columnsAt looks up the columns of a table at an instance.
func columnsAt(ctx context.Context, instance *replicationv1.MySQLConnection) func(schema, table string) ([]string, error) {
	return func(schema, table string) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, lookLimit)
		defer cancel()
		c, err := mysql.Connect(ctx, mysql.ConfigOf(instance))
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }() // nothing was written
		t, err := mysql.LoadTable(c, schema, table)
		if err != nil {
			return nil, err
		}
		names := make([]string, len(t.Columns))
		for i, column := range t.Columns {
			names[i] = column.Name
		}
		return names, nil
	}
}

// account gives a reverse job the accounts that the caller names for it.
func (s *Service) account(c *replicationv1.JobConfig, accounts *replicationv1.ReverseConfig) error {
	encrypted := accounts.GetIsMysqlPasswordEncrypted()
	for _, end := range []struct {
		instance              *replicationv1.MySQLConnection
		field, user, password string
	}{
		{c.GetSrcTask().GetMysqlConnectionConfig(), "reverse_config.src_pwd", accounts.GetSrcUser(), accounts.GetSrcPwd()},
		{
			c.GetDestTask().GetMysqlConnectionConfig(), "reverse_config.dst_pwd",
			cmp.Or(accounts.GetDestUser(), accounts.GetDstUser()), cmp.Or(accounts.GetDstPwd(), accounts.GetDestPwd()),
		},
	} {
		var err error
		end.instance.MysqlUser = cmp.Or(end.user, end.instance.GetMysqlUser())
		if end.instance.MysqlPassword, err = s.readPassword(end.field, end.password, end.instance.GetMysqlPassword(), encrypted); err != nil {
			return err
		}
	}
	return nil
}

// StartReverseJob tells the job that a reverse job waits for to finish. Its node hears of it at once.
func (s *Service) StartReverseJob(ctx context.Context, r *replicationv1.StartReverseJobRequest) (*replicationv1.StartReverseJobResponse, error) {
	if err := matchType(r.GetJobId(), r.GetJobType()); err != nil {
		return nil, err
	}
	var node *string
	err := pg.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		back, err := waiting(ctx, tx, r.GetJobId())
		if err != nil {
			return err
		}
		config, err := ReadConfig(back.ID, back.Config)
		if err != nil {
			return err
		}
		j, err := lock(ctx, tx, config.GetSrcTask().GetWaitOnJob(), reach.Of(ctx))
		if err != nil {
			return err
		}
		if config, err = ReadConfig(j.ID, j.Config); err != nil {
			return err
		}
		if config.GetTaskStepName() == stageFull {
			return fault.Precondition("JOB_NOT_RUNNING", "job %s only copies: it does not follow its source to an end that job %s could begin behind", j.ID, back.ID)
		}
		node = j.Node
		if err := succeed(ctx, tx, j, back.ID); err != nil {
			return err
		}
		return changed(ctx, tx, s.queue, back.Summary, verbStarted)
	})
	if err == nil && node != nil {
		s.wake.Wake(*node)
	}
	return &replicationv1.StartReverseJobResponse{}, err
}

// waiting locks the reverse job of an id, which may also be that of the job to be reversed. Errors: JOB_NOT_FOUND, NOT_REVERSE.
func waiting(ctx context.Context, tx pgx.Tx, id string) (locked, error) {
	back, err := lock(ctx, tx, reversePrefix+id, reach.Of(ctx))
	if fault.Is(err, "JOB_NOT_FOUND") {
		back, err = lock(ctx, tx, id, reach.Of(ctx))
	}
	if err == nil && back.Status != reverseInit {
		return back, fault.Precondition("NOT_REVERSE", "job %s is %s: only a reverse job that waits (reverse-init) can be started", back.ID, back.Status)
	}
	return back, err
}

// succeed names the job that takes over when a running one has finished. Errors: JOB_NOT_RUNNING.
func succeed(ctx context.Context, tx pgx.Tx, j locked, successor string) error {
	if j.Status != "running" || j.Node == nil || j.Stage != stageIncr {
		why := j.Status
		switch {
		case j.Status == "running":
			why = "still in its full copy"
		case j.Reason != "":
			why += ": " + j.Reason
		}
		return fault.Precondition("JOB_NOT_RUNNING", "job %s, which must follow its source to be ended, is %s", j.ID, why)
	}
	if _, err := tx.Exec(ctx, `UPDATE replication.jobs SET successor = $2, modify_index = nextval('replication.revision') WHERE id = $1`, j.ID, successor); err != nil {
		return pg.Fault(err, "JOB", "name the successor of job %s", j.ID)
	}
	return signal(ctx, tx, j)
}

// stayWith takes a deleted job back as a successor: the one that was to finish for it goes on.
func stayWith(ctx context.Context, tx pgx.Tx, successor string) error {
	_, err := tx.Exec(ctx, `UPDATE replication.jobs SET successor = '' WHERE successor = $1 AND status <> 'finished'`, successor)
	return pg.Fault(err, "JOB", "keep the jobs that job %s was to take over from", successor)
}

// checkPredecessor refuses a reverse job that waits for one that is not there or does not replicate the other way.
func checkPredecessor(ctx context.Context, tx pgx.Tx, back newJob) error {
	if back.predecessor == "" {
		return nil
	}
	if err := matchType(back.predecessor, back.jobType); err != nil {
		return err
	}
	j, err := lock(ctx, tx, back.predecessor, reach.Of(ctx))
	if err != nil {
		return err
	}
	to, err := ReadConfig(back.id, back.config)
	if err != nil {
		return err
	}
	from, err := ReadConfig(j.ID, j.Config)
	if err != nil {
		return err
	}
	if !sameInstance(to.GetSrcTask().GetMysqlConnectionConfig(), from.GetDestTask().GetMysqlConnectionConfig()) ||
		!sameInstance(to.GetDestTask().GetMysqlConnectionConfig(), from.GetSrcTask().GetMysqlConnectionConfig()) {
		return fault.Invalid("job.src_task.wait_on_job", "names job %s, which does not replicate the other way between the same instances", j.ID)
	}
	return nil
}

// HandOver starts the job that takes over from one that has finished, behind what that one has applied: end is the GTID set of the server
// that the one wrote to and the other reads from. It reports false where there is none to start.
func HandOver(ctx context.Context, tx pgx.Tx, finished, end string) (Summary, bool, error) {
	rows, _ := tx.Query(ctx, `
		UPDATE replication.jobs AS j
		SET status = 'pending', config = jsonb_set(j.config #- '{src_task,auto_gtid}', '{src_task,gtid}', to_jsonb($2::text)),
			modify_index = nextval('replication.revision')
		FROM replication.jobs AS f
		WHERE f.id = $1 AND j.id = f.successor AND j.status = 'reverse-init'
		RETURNING j.id, j.type, j.tenant, j.owner, 'reverse-init'`, finished, end)
	started, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Summary])
	if err != nil || len(started) == 0 {
		return Summary{}, false, pg.Fault(err, "JOB", "start the job that takes over from %s", finished)
	}
	return started[0], true, nil
}
