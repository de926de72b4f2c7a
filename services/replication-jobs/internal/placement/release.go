package placement

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/job"
)

const (
	// forgetAfter is how long a node must have been silent to be forgotten: workers without a disk of their own come back as
	// new nodes, and would fill the list.
	forgetAfter = 30 * 24 * time.Hour
	forgetEvery = time.Hour
)

// Run takes jobs from silent nodes, and forgets nodes that do not come back, until ctx ends. Replicas may do so side by side.
func (s *Service) Run(ctx context.Context) error {
	tick, seldom := time.NewTicker(s.cfg.Interval), time.NewTicker(forgetEvery)
	defer tick.Stop()
	defer seldom.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			err = s.Release(ctx)
		case <-seldom.C:
			err = s.Forget(ctx)
		}
		// The next tick tries again; the health of the service says that the database is away.
		if err != nil && ctx.Err() == nil {
			s.log.Warn("looking after silent nodes", zap.Error(err))
		}
	}
}

// Forget removes the nodes that have been silent for a month and that no job, and no kept placement of one, names.
func (s *Service) Forget(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `
		DELETE FROM replication.nodes AS n
		WHERE n.seen < now() - $1::interval
			AND NOT EXISTS (SELECT FROM replication.jobs AS j WHERE j.node = n.id OR n.id::text IN (j.pinned_node, j.preferred_node, j.source_node))
			AND NOT EXISTS (SELECT FROM replication.allocations AS a WHERE a.node = n.id)`, forgetAfter)
	return pg.Fault(err, "NODES", "forget nodes")
}

// released is a job that lost its node.
type released struct {
	job.Summary

	Reason string
}

// Release lets go of the jobs one of whose nodes has been silent for longer than the lease: another node may take them, or the
// same one when it is back. It does so as well with jobs that fail while a node is there again that they need: the one that they want for their source, or
// that has their relay log, of which they have begun no other yet.
func (s *Service) Release(ctx context.Context) error {
	var lost []released
	err := pg.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		if lost, err = release(ctx, tx, s.cfg.Lease); err != nil {
			return err
		}
		for _, j := range lost {
			if err := job.StatusChanged(ctx, tx, s.queue, j.Summary, "pending", j.Reason); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(lost) == 0 {
		return err
	}
	for _, j := range lost {
		s.log.Warn("job lost its node", zap.String("job", j.ID), zap.String("reason", j.Reason))
	}
	s.wake.Wake("")
	return nil
}

func release(ctx context.Context, tx pgx.Tx, lease time.Duration) ([]released, error) {
	rows, _ := tx.Query(ctx, `
		WITH due AS (
			SELECT a.job_id, a.epoch,
				'node ' || n.name || ' has been silent since ' || to_char(n.seen AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS reason
			FROM replication.nodes AS n
			JOIN replication.allocations AS a ON a.node = n.id
			JOIN replication.jobs AS j ON j.id = a.job_id AND j.epoch = a.epoch
			WHERE j.status IN ('running', 'retrying') AND n.seen < now() - $1::interval
			UNION
			SELECT a.job_id, a.epoch, 'node ' || n.name || ', to which its source belongs, is back'
			FROM replication.jobs AS j
			JOIN replication.nodes AS n ON n.id::text = j.source_node
			JOIN replication.allocations AS a ON a.job_id = j.id AND a.epoch = j.epoch AND a.target = 'src'
			WHERE j.status = 'retrying' AND a.node <> n.id AND n.seen >= now() - $1::interval
			UNION
			SELECT j.id, j.epoch, 'node ' || n.name || ', which has its relay log, is back'
			FROM replication.jobs AS j
			JOIN replication.nodes AS n ON n.id = j.relay_node
			WHERE j.status = 'retrying' AND j.node <> n.id AND n.seen >= now() - $1::interval
				AND n.id::text = coalesce(j.pinned_node, j.preferred_node, n.id::text) AND j.config -> 'src_task' ->> 'binlog_relay' = 'true'
		), reasons AS (
			SELECT job_id, epoch, string_agg(reason, '; ') AS reason FROM due GROUP BY job_id, epoch
		), lost AS (
			SELECT j.id, j.type, j.tenant, j.owner, j.status, j.epoch, reasons.reason
			FROM replication.jobs AS j
			JOIN reasons ON reasons.job_id = j.id AND reasons.epoch = j.epoch
			WHERE j.status IN ('running', 'retrying') AND j.node IS NOT NULL
			ORDER BY j.id LIMIT 1000
			FOR UPDATE OF j SKIP LOCKED
		), freed AS (
			UPDATE replication.jobs AS j SET node = NULL, status = 'pending', reason = lost.reason
			FROM lost WHERE j.id = lost.id
		), told AS (
			INSERT INTO replication.events (allocation, type, message)
			SELECT a.id, 'Killed', lost.reason
			FROM lost JOIN replication.allocations AS a ON a.job_id = lost.id AND a.epoch = lost.epoch
		)
		SELECT id, type, tenant, owner, status, reason FROM lost`, lease)
	lost, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (j released, err error) {
		err = r.Scan(&j.ID, &j.Type, &j.Tenant, &j.Owner, &j.Status, &j.Reason)
		return j, err
	})
	return lost, pg.Fault(err, "PLACEMENT", "take jobs from silent nodes")
}
