package placement

import (
	"context"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/job"
)

// assignment is a job as it is stored for its node.
type assignment struct {
	job.Summary

	Incarnation    string
	Config         []byte
	Source, Target []byte // sealed passwords
	Epoch          int64
	StoredSequence int64
}

// assignments returns all that a node should run. A job that cannot be read says so and is left out: the others go on.
func (s *Service) assignments(ctx context.Context, tx pgx.Tx, node string) ([]*replicationv1.Assignment, error) {
	rows, _ := tx.Query(ctx, `
		SELECT id, type, tenant, owner, status, incarnation::text, config, source_password, target_password, epoch, stored_sequence
		FROM replication.jobs WHERE node = $1 AND status IN ('running', 'retrying') ORDER BY id`, node)
	stored, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (a assignment, err error) {
		err = r.Scan(&a.ID, &a.Type, &a.Tenant, &a.Owner, &a.Status, &a.Incarnation, &a.Config, &a.Source, &a.Target, &a.Epoch, &a.StoredSequence)
		return a, err
	})
	if err != nil {
		return nil, pg.Fault(err, "PLACEMENT", "jobs of node %s", node)
	}
	all := make([]*replicationv1.Assignment, 0, len(stored))
	for _, a := range stored {
		opened, err := s.open(a)
		if err != nil {
			if err := s.reject(ctx, tx, a, err); err != nil {
				return nil, err
			}
			continue
		}
		all = append(all, opened)
	}
	return all, nil
}

// open reads what is stored of a job.
func (s *Service) open(a assignment) (*replicationv1.Assignment, error) {
	config, err := job.ReadConfig(a.ID, a.Config)
	if err != nil {
		return nil, err
	}
	if err := job.Unseal(s.sealer, config, a.Incarnation, a.Source, a.Target); err != nil {
		return nil, err
	}
	return &replicationv1.Assignment{Job: config, Epoch: a.Epoch, StoredSequence: a.StoredSequence, Incarnation: a.Incarnation}, nil
}

// reject notes, once, why a job cannot be given to its node. Every call tries again: the missing key may be put back.
func (s *Service) reject(ctx context.Context, tx pgx.Tx, a assignment, cause error) error {
	if a.Status == "retrying" {
		return nil
	}
	s.log.Error("job cannot be run", zap.String("job", a.ID), zap.Error(cause))
	_, err := tx.Exec(ctx, `
		WITH failed AS (
			UPDATE replication.jobs SET status = 'retrying', reason = $2, reported = false WHERE id = $1
		)
		INSERT INTO replication.events (allocation, type, setup_error, message)
		SELECT id, 'Task Setup', $2, 'Task could not be set up' FROM replication.allocations WHERE job_id = $1 AND epoch = $3`,
		a.ID, cause.Error(), a.Epoch)
	if err != nil {
		return pg.Fault(err, "PLACEMENT", "reject job %s", a.ID)
	}
	return job.StatusChanged(ctx, tx, s.queue, a.Summary, "retrying", cause.Error())
}
