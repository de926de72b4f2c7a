package job

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/reach"
)

// UpdateJob gives a job another configuration and takes it from its node, so that it is placed and started anew, also if it was finished:
// with another task_step_name it may have more to do.
func (s *Service) UpdateJob(ctx context.Context, r *replicationv1.UpdateJobRequest) (*replicationv1.UpdateJobResponse, error) {
	config := r.GetJob()
	if suffix := "-" + r.GetJobType(); !strings.HasSuffix(config.GetJobId(), suffix) {
		config.JobId += suffix
	}
	complete(config)
	if err := check(config, r.GetJobType()); err != nil {
		return nil, err
	}
	index, err := s.update(ctx, config.GetJobId(), func(ctx context.Context, tx pgx.Tx, j locked) (newJob, error) {
		return s.updated(ctx, tx, j, config)
	})
	if err != nil {
		return nil, err
	}
	return &replicationv1.UpdateJobResponse{Job: masked(config), EvalCreateIndex: index, JobModifyIndex: index}, nil
}

// update stores what becomes of a job under another configuration, and returns its revision.
func (s *Service) update(ctx context.Context, id string, become func(context.Context, pgx.Tx, locked) (newJob, error)) (index int64, err error) {
	err = pg.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		j, err := lock(ctx, tx, id, reach.Of(ctx))
		if err != nil {
			return err
		}
		row, err := become(ctx, tx, j)
		if err != nil {
			return err
		}
		if err := checkPinned(ctx, tx, row.nodes); err != nil {
			return err
		}
		if row.incarnation != j.Incarnation || j.Status == "finished" { // it may write to other tables than before, or begin to write again
			if err := checkShared(ctx, tx, row); err != nil {
				return err
			}
		}
		if index, err = replace(ctx, tx, row, j.Epoch); err != nil {
			return err
		}
		return changed(ctx, tx, s.queue, j.Summary, verbUpdated)
	})
	if err == nil {
		s.wake.Wake("")
	}
	return index, err
}

// updated is a job with a new configuration. One that is made of something else than before starts from scratch, under a new incarnation.
func (s *Service) updated(ctx context.Context, tx pgx.Tx, j locked, config *replicationv1.JobConfig) (newJob, error) {
	if j.Status == "finished" && j.Successor != "" {
		return newJob{}, fault.Precondition("JOB_HANDED_OVER", "job %s is finished, and job %s replicates in the other direction", j.ID, j.Successor)
	}
	before, err := ReadConfig(j.ID, j.Config)
	if err != nil {
		return newJob{}, err
	}
	if err := keepReverse(before, config); err != nil {
		return newJob{}, err
	}
	words, err := unseal(s.sealer, j.ID, j.Incarnation, j.Source, j.Target)
	if err != nil {
		return newJob{}, err
	}
	incarnation := j.Incarnation
	if field := differs(before, config); field != "" {
		if j.Stage != "" {
			f := fault.Invalid("job."+field, "cannot change once the job has begun, as what it has replicated would not fit: delete the job and create another one")
			f.Reason = "JOB_BEGUN"
			return newJob{}, f
		}
		incarnation = uuid.NewString()
		if err := forgetLater(ctx, tx, s.queue, j); err != nil {
			return newJob{}, err
		}
	}
	return s.newRow(j.Type, config, incarnation, words)
}

// keepReverse refuses to make a reverse job of another one, and the other way round. Where a reverse job starts is not its owner's to say.
func keepReverse(before, now *replicationv1.JobConfig) error {
	was, is := before.GetSrcTask(), now.GetSrcTask()
	switch {
	case before.GetReverse() != now.GetReverse():
		return fault.Invalid("job.reverse", "cannot change")
	case was.GetWaitOnJob() != is.GetWaitOnJob():
		return fault.Invalid("job.src_task.wait_on_job", "cannot change")
	}
	if before.GetReverse() {
		is.Gtid, is.AutoGtid = was.GetGtid(), was.GetAutoGtid()
	}
	return nil
}

// differs names the first field by which two configurations are of two different replications.
func differs(before, now *replicationv1.JobConfig) string {
	was, is := before.GetSrcTask(), now.GetSrcTask()
	switch {
	case !sameServer(was.GetMysqlConnectionConfig(), is.GetMysqlConnectionConfig()):
		return "src_task.mysql_connection_config"
	case !sameServer(before.GetDestTask().GetMysqlConnectionConfig(), now.GetDestTask().GetMysqlConnectionConfig()):
		return "dest_task.mysql_connection_config"
	case !sameRules(was.GetReplicateDoDb(), is.GetReplicateDoDb()):
		return "src_task.replicate_do_db"
	case !sameRules(was.GetReplicateIgnoreDb(), is.GetReplicateIgnoreDb()):
		return "src_task.replicate_ignore_db"
	case was.GetGtid() != is.GetGtid():
		return "src_task.gtid"
	case was.GetAutoGtid() != is.GetAutoGtid():
		return "src_task.auto_gtid"
	case !sameObjects(was.GetReplicateObjects(), is.GetReplicateObjects()):
		return "src_task.replicate_objects"
	}
	return ""
}

func sameInstance(a, b *replicationv1.MySQLConnection) bool {
	return strings.EqualFold(a.GetMysqlHost(), b.GetMysqlHost()) && a.GetMysqlPort() == b.GetMysqlPort()
}

// sameServer reports whether a node reaches the same instance in the same way.
func sameServer(a, b *replicationv1.MySQLConnection) bool {
	return sameInstance(a, b) && a.GetMysqlSocket() == b.GetMysqlSocket()
}

func sameObjects(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func sameRules(a, b []*replicationv1.SchemaRule) bool {
	return slices.EqualFunc(a, b, func(x, y *replicationv1.SchemaRule) bool { return proto.Equal(x, y) })
}
