// Package placement decides which node runs which job, and keeps what the nodes report.
package placement

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/job"
)

// Config tunes the service.
type Config struct {
	Lease    time.Duration // a node that is silent for longer loses its runs
	Interval time.Duration // how often a node reports
}

// Service answers WorkerService. Its state is in Postgres alone, so any replica may answer any call.
type Service struct {
	replicationv1.UnimplementedWorkerServiceServer

	pool   *pgxpool.Pool
	queue  *jobs.Client
	sealer *secret.Sealer
	wake   job.Waker
	cfg    Config
	log    *zap.Logger
}

// NewService returns the service.
func NewService(pool *pgxpool.Pool, queue *jobs.Client, sealer *secret.Sealer, wake job.Waker, cfg Config, log *zap.Logger) *Service {
	return &Service{pool: pool, queue: queue, sealer: sealer, wake: wake, cfg: cfg, log: log}
}

// Reconcile stores what a node reports, gives it jobs that wait, and returns all that it should run.
func (s *Service) Reconcile(ctx context.Context, r *replicationv1.ReconcileRequest) (*replicationv1.ReconcileResponse, error) {
	answer := &replicationv1.ReconcileResponse{Interval: durationpb.New(s.cfg.Interval), Lease: durationpb.New(s.cfg.Lease)}
	err := pg.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		waiting, err := greet(ctx, tx, r) // locks the node: its calls come one after the other
		if err != nil {
			return err
		}
		known, err := holdings(ctx, tx, r.GetNodeId())
		if err != nil {
			return err
		}
		if err := s.record(ctx, tx, r, known); err != nil {
			return err
		}
		if err := s.restart(ctx, tx, r, known); err != nil {
			return err
		}
		if waiting {
			if err := s.claim(ctx, tx, r); err != nil {
				return err
			}
		}
		answer.Assignments, err = s.assignments(ctx, tx, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// greet notes that a node lives, and reports whether jobs wait for one.
func greet(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest) (waiting bool, err error) {
	err = tx.QueryRow(ctx, `
		INSERT INTO replication.nodes (id, name, address, datacenter, version, seen) VALUES ($1, $2, $3, $4, $5, now())
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, address = excluded.address, datacenter = excluded.datacenter,
			version = excluded.version, seen = excluded.seen
		RETURNING EXISTS (SELECT FROM replication.jobs WHERE node IS NULL AND status = 'pending')`,
		r.GetNodeId(), r.GetNodeName(), r.GetNodeAddress(), r.GetDatacenter(), r.GetVersion()).Scan(&waiting)
	return waiting, pg.Fault(err, "NODE", "greet node %s", r.GetNodeId())
}

// restart starts runs anew that the node reported once and does not any more: its process died and came back. The new
// epoch keeps the old process from writing.
func (s *Service) restart(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest, known map[string]holding) error {
	reported := make(map[string]bool, len(r.GetRuns()))
	for _, run := range r.GetRuns() {
		reported[run.GetJobId()] = true
	}
	var lost []string
	for id, h := range known {
		if h.Reported && h.active() && !reported[id] {
			lost = append(lost, id)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	if err := kill(ctx, tx, lost, "the worker process ended: "+r.GetNodeName()+" starts the task anew"); err != nil {
		return err
	}
	return s.assign(ctx, tx, r, lost)
}

// claim gives the node jobs that wait: those that want it, and of the others its share.
func (s *Service) claim(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest) error {
	rows, _ := tx.Query(ctx, `
		WITH live AS (
			SELECT n.id, count(j.id) AS runs
			FROM replication.nodes AS n
			LEFT JOIN replication.jobs AS j ON j.node = n.id AND j.status IN ('running', 'retrying')
			WHERE n.seen >= now() - $2::interval
			GROUP BY n.id
		), waiting AS (
			SELECT j.id, coalesce($1::text IN (j.pinned_node, j.preferred_node), false) AS wanted
			FROM replication.jobs AS j
			LEFT JOIN live ON live.id::text = j.preferred_node
			WHERE j.node IS NULL AND j.status = 'pending'
				AND (j.pinned_node IS NULL OR j.pinned_node = $1) AND (live.id IS NULL OR live.id::text = $1)
		), room AS (
			SELECT greatest((SELECT count(*) FROM waiting WHERE wanted),
				ceil(((SELECT sum(runs) FROM live) + (SELECT count(*) FROM waiting)) / (SELECT count(*) FROM live)::numeric)
					- (SELECT runs FROM live WHERE id::text = $1))::bigint AS jobs
		)
		SELECT j.id
		FROM replication.jobs AS j
		JOIN waiting ON waiting.id = j.id
		WHERE j.node IS NULL AND j.status = 'pending'
		ORDER BY waiting.wanted DESC, j.id
		LIMIT (SELECT least(jobs, 1000) FROM room)
		FOR UPDATE OF j SKIP LOCKED`, r.GetNodeId(), s.cfg.Lease)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return pg.Fault(err, "PLACEMENT", "claim jobs for node %s", r.GetNodeId())
	}
	if len(ids) == 0 {
		return nil
	}
	return s.assign(ctx, tx, r, ids)
}

// assign places jobs on a node under a new epoch.
func (s *Service) assign(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest, ids []string) error {
	rows, _ := tx.Query(ctx, `
		WITH before AS (
			SELECT id, status FROM replication.jobs WHERE id = ANY($2)
		), placed AS (
			UPDATE replication.jobs AS j
			SET node = $1, epoch = nextval('replication.revision'), reported = false, stored_sequence = 0, status = 'running', reason = '', stopped_at = ''
			FROM before WHERE j.id = before.id
			RETURNING j.id, j.type, j.tenant, j.owner, before.status, j.epoch
		), allocated AS (
			INSERT INTO replication.allocations (job_id, epoch, target, node)
			SELECT placed.id, placed.epoch, ends.target, $1 FROM placed CROSS JOIN (VALUES ('src'), ('dst')) AS ends (target)
			RETURNING id
		), told AS (
			INSERT INTO replication.events (allocation, type, message)
			SELECT allocated.id, said.type, said.message
			FROM allocated CROSS JOIN (VALUES
				(1, 'Received', 'Task received by client'), (2, 'Task Setup', 'Building Task Directory'), (3, 'Started', 'Task started by client')
			) AS said (n, type, message)
			ORDER BY allocated.id, said.n
		)
		SELECT id, type, tenant, owner, status FROM placed ORDER BY id`, r.GetNodeId(), ids)
	placed, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job.Summary])
	if err != nil {
		return pg.Fault(err, "PLACEMENT", "place jobs on node %s", r.GetNodeId())
	}
	for _, j := range placed {
		s.log.Info("placed job", zap.String("job", j.ID), zap.String("node", r.GetNodeId()), zap.String("node_name", r.GetNodeName()))
		if j.Status == "running" {
			continue
		}
		if err := job.StatusChanged(ctx, tx, s.queue, j, "running", ""); err != nil {
			return err
		}
	}
	return trimPlacements(ctx, tx, ids)
}
