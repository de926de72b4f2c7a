package job

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
)

// CopyJob makes a job begin again with a full copy: under a new incarnation, of which its target remembers nothing.
func (s *Service) CopyJob(ctx context.Context, r *replicationv1.CopyJobRequest) (*replicationv1.CopyJobResponse, error) {
	if err := matchType(r.GetJobId(), r.GetJobType()); err != nil {
		return nil, err
	}
	_, err := s.update(ctx, r.GetJobId(), func(ctx context.Context, tx pgx.Tx, j locked) (newJob, error) {
		return s.copied(ctx, tx, j, r.GetDropTableIfExists())
	})
	return &replicationv1.CopyJobResponse{}, err
}

// copied is a job that has not begun yet, with the configuration of one that has.
func (s *Service) copied(ctx context.Context, tx pgx.Tx, j locked, drop bool) (newJob, error) {
	config, err := ReadConfig(j.ID, j.Config)
	if err != nil {
		return newJob{}, err
	}
	if err := copies(j, config, drop); err != nil {
		return newJob{}, err
	}
	words, err := unseal(s.sealer, j.ID, j.Incarnation, j.Source, j.Target)
	if err != nil {
		return newJob{}, err
	}
	if err := forgetLater(ctx, tx, s.queue, j); err != nil {
		return newJob{}, err
	}
	// Positions of another history may be the same in the next one.
	if _, err := tx.Exec(ctx, `DELETE FROM replication.decisions WHERE job_id = $1`, j.ID); err != nil {
		return newJob{}, pg.Fault(err, "JOB", "forget the decisions of job %s", j.ID)
	}
	config.SrcTask.DropTableIfExists = drop
	return s.newRow(j.Type, config, uuid.NewString(), words)
}

// copies refuses a job that would not copy, or not into tables that are its own.
func copies(j locked, config *replicationv1.JobConfig, drop bool) error {
	src := config.GetSrcTask()
	switch {
	case j.Successor != "":
		return fault.Precondition("JOB_HANDED_OVER", "job %s ends, or has ended, so that job %s replicates in the other direction", j.ID, j.Successor)
	case config.GetTaskStepName() == stageIncr || src.GetGtid() != "" || src.GetAutoGtid():
		return fault.Precondition("NOTHING_TO_COPY", "job %s only follows the binary log (job_stage_incr, gtid or auto_gtid): create a job that copies", j.ID)
	case drop && src.GetSkipCreateDbTable():
		return fault.Precondition("TABLES_KEPT", "job %s writes to the target's own tables (skip_create_db_table): empty them there, and leave drop_table_if_exists out", j.ID)
	}
	return nil
}
