package placement

import (
	"context"
	"fmt"

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
	Finish         bool
	RelayNode      string // the name of another node that has a relay log of it
	Known          bool   // the node runs it, and has its configuration
	Key            []byte // sealed, of a placement whose source is on another node
	SourceNode     string // the name of that
}

// maxConfigs bounds the configurations in one answer, in bytes: an answer that is too large to be sent would stop every run of its
// node.
const maxConfigs = 2 << 20

// assignments returns all that a node should run. A run that the node has reported is named and no more: the node has its
// configuration. So is one for which an answer has no room; it comes with a next one. A job that cannot be read says so and is left
// out: the others go on.
func (s *Service) assignments(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest) ([]*replicationv1.Assignment, error) {
	ids, epochs := make([]string, len(r.GetRuns())), make([]int64, len(r.GetRuns()))
	for i, run := range r.GetRuns() {
		ids[i], epochs[i] = run.GetJobId(), run.GetEpoch()
	}
	rows, _ := tx.Query(ctx, `
		SELECT j.id, j.type, j.tenant, j.owner, j.status, j.incarnation::text, j.epoch, j.stored_sequence, j.successor <> '', coalesce(keeper.name, ''),
			r.id IS NOT NULL AS known, CASE WHEN r.id IS NULL THEN j.config END AS config, j.source_password, j.target_password, a.tunnel_key, coalesce(n.name, '')
		FROM replication.jobs AS j
		LEFT JOIN replication.allocations AS a ON a.job_id = j.id AND a.epoch = j.epoch AND a.tunnel_key IS NOT NULL
		LEFT JOIN replication.nodes AS n ON n.id = a.node
		LEFT JOIN replication.nodes AS keeper ON keeper.id = j.relay_node AND keeper.id <> $1
		LEFT JOIN unnest($2::text[], $3::bigint[]) AS r (id, epoch) ON r.id = j.id AND r.epoch = j.epoch
		WHERE j.node = $1 AND j.status IN ('running', 'retrying') ORDER BY j.id`, r.GetNodeId(), ids, epochs)
	stored, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (a assignment, err error) {
		err = r.Scan(&a.ID, &a.Type, &a.Tenant, &a.Owner, &a.Status, &a.Incarnation, &a.Epoch, &a.StoredSequence, &a.Finish, &a.RelayNode, &a.Known,
			&a.Config, &a.Source, &a.Target, &a.Key, &a.SourceNode)
		return a, err
	})
	if err != nil {
		return nil, pg.Fault(err, "PLACEMENT", "jobs of node %s", r.GetNodeId())
	}
	decisions, err := job.Decisions(ctx, tx, r.GetNodeId())
	if err != nil {
		return nil, err
	}
	orders, err := job.VerifyOrders(ctx, tx, r.GetNodeId())
	if err != nil {
		return nil, err
	}
	all := make([]*replicationv1.Assignment, 0, len(stored))
	room := maxConfigs
	for _, a := range stored {
		if a.Known || room <= 0 {
			all = append(all, a.named(decisions[a.ID], orders[a.ID]))
			continue
		}
		room -= len(a.Config)
		opened, err := s.open(a)
		if err != nil {
			if err := s.reject(ctx, tx, a, err); err != nil {
				return nil, err
			}
			continue
		}
		opened.Decisions, opened.Verify, opened.RelayNode = decisions[a.ID], orders[a.ID], a.RelayNode
		all = append(all, opened)
	}
	return all, nil
}

// named is an assignment without its configuration.
func (a assignment) named(decisions []*replicationv1.StatementDecision, verify *replicationv1.VerifyOrder) *replicationv1.Assignment {
	return &replicationv1.Assignment{
		Job: &replicationv1.JobConfig{JobId: a.ID}, Epoch: a.Epoch, StoredSequence: a.StoredSequence, Incarnation: a.Incarnation,
		Decisions: decisions, Finish: a.Finish, Verify: verify,
	}
}

// open reads what is stored of a job and of its placement.
func (s *Service) open(a assignment) (*replicationv1.Assignment, error) {
	read := s.openJob
	if a.Type == job.Subscription {
		read = s.openSubscription
	}
	out, err := read(a)
	if err != nil || a.Key == nil {
		return out, err
	}
	key, err := s.sealer.Open(a.Key, keyPlace(a.Incarnation))
	if err != nil {
		return nil, fmt.Errorf("key of the placement of job %s: %w", a.ID, err)
	}
	out.Source = &replicationv1.SourceRoute{Key: key, NodeName: a.SourceNode}
	return out, nil
}

// openJob reads what is stored of a job that writes to a database.
func (s *Service) openJob(a assignment) (*replicationv1.Assignment, error) {
	config, err := job.ReadConfig(a.ID, a.Config)
	if err != nil {
		return nil, err
	}
	if err := job.Unseal(s.sealer, config, a.Incarnation, a.Source, a.Target); err != nil {
		return nil, err
	}
	return &replicationv1.Assignment{
		Job: config, Epoch: a.Epoch, StoredSequence: a.StoredSequence, Incarnation: a.Incarnation, Finish: a.Finish,
	}, nil
}

// openSubscription reads what is stored of a job that writes to Kafka.
func (s *Service) openSubscription(a assignment) (*replicationv1.Assignment, error) {
	config, err := job.ReadSubscription(a.ID, a.Config)
	if err != nil {
		return nil, err
	}
	if err := job.UnsealSubscription(s.sealer, config, a.Incarnation, a.Source, a.Target); err != nil {
		return nil, err
	}
	out := a.named(nil, nil)
	out.Subscription = config
	return out, nil
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
