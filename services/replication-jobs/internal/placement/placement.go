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
	var carriers []string
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
		if err := storeCarried(ctx, tx, r); err != nil {
			return err
		}
		if err := stopped(ctx, tx, r); err != nil {
			return err
		}
		if carriers, err = s.place(ctx, tx, r, known, waiting); err != nil {
			return err
		}
		if answer.DropRelays, err = relays(ctx, tx, r); err != nil {
			return err
		}
		if answer.Assignments, err = s.assignments(ctx, tx, r); err != nil {
			return err
		}
		answer.SourceEnds, err = s.sourceEnds(ctx, tx, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, node := range carriers {
		s.wake.Wake(node)
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

// place gives the node what it has to run: anew what its process has forgotten, and what waits. It returns the nodes of the sources' ends
// of these jobs, as far as they are others.
func (s *Service) place(
	ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest, known map[string]holding, waiting bool,
) (carriers []string, err error) {
	ids, err := forgotten(ctx, tx, r, known)
	if err != nil {
		return nil, err
	}
	if waiting {
		claimed, err := s.claim(ctx, tx, r)
		if err != nil {
			return nil, err
		}
		ids = append(ids, claimed...)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return s.assign(ctx, tx, r, ids)
}

// forgotten returns the runs that the node reported once and does not any more: its process died and came back. They start anew; the new
// epoch keeps the old process from writing.
func forgotten(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest, known map[string]holding) ([]string, error) {
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
		return nil, nil
	}
	slices.Sort(lost)
	return lost, kill(ctx, tx, lost, "the worker process ended: "+r.GetNodeName()+" starts the task anew")
}

// stopped notes which deleted jobs the node does not run any more.
func stopped(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest) error {
	ids, epochs := make([]string, len(r.GetRuns())), make([]int64, len(r.GetRuns()))
	for i, run := range r.GetRuns() {
		ids[i], epochs[i] = run.GetJobId(), run.GetEpoch()
	}
	_, err := tx.Exec(ctx, `
		UPDATE replication.leftovers AS l SET node = NULL
		WHERE l.node = $1 AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::bigint[]) AS r (id, epoch) WHERE r.id = l.job_id AND r.epoch = l.epoch)`,
		r.GetNodeId(), ids, epochs)
	return pg.Fault(err, "PLACEMENT", "deleted jobs of node %s", r.GetNodeId())
}

// claim returns jobs that wait and that the node may have: those that want it, and of the others its share. A job goes where it is pinned to, else to
// the node that it prefers, else to the one that has its relay log; the last two if they live. One that has not begun waits while its target still knows of a
// deleted job: a worker would be refused what that one wrote to.
func (s *Service) claim(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest) ([]string, error) {
	rows, _ := tx.Query(ctx, `
		WITH live AS (
			SELECT n.id, count(j.id) AS runs
			FROM replication.nodes AS n
			LEFT JOIN replication.jobs AS j ON j.node = n.id AND j.status IN ('running', 'retrying')
			WHERE n.seen >= now() - $2::interval
			GROUP BY n.id
		), waiting AS (
			SELECT j.id, coalesce($1::text IN (j.pinned_node, j.preferred_node), false) OR coalesce(keeper.id::text = $1, false) AS wanted
			FROM replication.jobs AS j
			LEFT JOIN live ON live.id::text = j.preferred_node
			LEFT JOIN live AS keeper ON keeper.id = j.relay_node
			WHERE j.node IS NULL AND j.status = 'pending'
				AND (j.pinned_node IS NULL OR j.pinned_node = $1 AND (j.source_node IS NULL OR j.source_node IN (SELECT id::text FROM live)))
				AND (live.id IS NULL OR live.id::text = $1)
				AND (keeper.id IS NULL OR $1 IN (keeper.id::text, j.pinned_node, live.id::text))
				AND (j.stage <> '' OR NOT EXISTS (
					SELECT FROM replication.leftovers AS l
					WHERE l.job_id <> j.id AND lower(l.target_host) = lower(j.target_host) AND l.delete_time > now() - $3::interval
						AND l.target_port = (j.config -> 'dest_task' -> 'mysql_connection_config' ->> 'mysql_port')::int))
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
		FOR UPDATE OF j SKIP LOCKED`, r.GetNodeId(), s.cfg.Lease, job.LeftoverWait)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, pg.Fault(err, "PLACEMENT", "claim jobs for node %s", r.GetNodeId())
}

// assign places jobs on a node under a new epoch, with the sources' ends on the nodes that they want. It returns those nodes.
func (s *Service) assign(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest, ids []string) (carriers []string, err error) {
	far, err := s.far(ctx, tx, r.GetNodeId(), ids)
	if err != nil {
		return nil, err
	}
	rows, _ := tx.Query(ctx, `
		WITH before AS (
			SELECT id, status, CASE WHEN epoch = 0 THEN reason ELSE '' END AS waited FROM replication.jobs WHERE id = ANY($2)
		), placed AS (
			UPDATE replication.jobs AS j
			SET node = $1, epoch = nextval('replication.revision'), reported = false, stored_sequence = 0, status = 'running', reason = '', stopped_at = ''
			FROM before WHERE j.id = before.id
			RETURNING j.id, j.type, j.tenant, j.owner, before.status, before.waited, j.epoch
		), allocated AS (
			INSERT INTO replication.allocations (job_id, epoch, target, node, tunnel_key)
			SELECT placed.id, placed.epoch, ends.target, coalesce(far.node, $1), far.key
			FROM placed CROSS JOIN (VALUES ('src'), ('dst')) AS ends (target)
			LEFT JOIN unnest($3::text[], $4::uuid[], $5::bytea[]) AS far (id, node, key) ON far.id = placed.id AND ends.target = 'src'
			RETURNING id, job_id
		), told AS (
			INSERT INTO replication.events (allocation, type, message)
			SELECT allocated.id, said.type, said.message
			FROM allocated JOIN placed ON placed.id = allocated.job_id CROSS JOIN LATERAL (VALUES
				(1, 'Received', 'Task received by client'), (2, 'Driver', placed.waited), (3, 'Task Setup', 'Building Task Directory'),
				(4, 'Started', 'Task started by client')
			) AS said (n, type, message)
			WHERE said.message <> ''
			ORDER BY allocated.id, said.n
		)
		SELECT id, type, tenant, owner, status FROM placed ORDER BY id`, r.GetNodeId(), ids, far.ids, far.nodes, far.keys)
	placed, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job.Summary])
	if err != nil {
		return nil, pg.Fault(err, "PLACEMENT", "place jobs on node %s", r.GetNodeId())
	}
	for _, j := range placed {
		s.log.Info("placed job", zap.String("job", j.ID), zap.String("node", r.GetNodeId()), zap.String("node_name", r.GetNodeName()))
		if j.Status == "running" {
			continue
		}
		if err := job.StatusChanged(ctx, tx, s.queue, j, "running", ""); err != nil {
			return nil, err
		}
	}
	if err := dropKeys(ctx, tx, ids); err != nil {
		return nil, err
	}
	slices.Sort(far.nodes)
	return slices.Compact(far.nodes), trimPlacements(ctx, tx, ids)
}
