package placement

import (
	"context"

	"github.com/jackc/pgx/v5"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// relays notes which jobs have their relay log at a node, and returns the incarnations whose logs the node is to delete: those of jobs that are gone,
// finished or do without, and of those that have theirs elsewhere by now. A job that runs on another node which has not begun a log keeps its old one:
// its source may have purged what only that has.
func relays(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest) (surplus []string, err error) {
	if err := noteRelays(ctx, tx, r); err != nil || len(r.GetRelays()) == 0 {
		return nil, err
	}
	rows, _ := tx.Query(ctx, `
		SELECT here.incarnation
		FROM unnest($2::text[]) AS here (incarnation)
		WHERE NOT EXISTS (
			SELECT FROM replication.jobs AS j
			WHERE (j.node = $1 OR j.relay_node = $1) AND j.incarnation::text = here.incarnation
				AND j.status <> 'finished' AND j.config -> 'src_task' ->> 'binlog_relay' = 'true')`, r.GetNodeId(), r.GetRelays())
	surplus, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return surplus, pg.Fault(err, "PLACEMENT", "relay logs of node %s", r.GetNodeId())
}

// noteRelays writes where the relay logs are, if that is news.
func noteRelays(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest) error {
	var ids []string
	var epochs []int64
	for _, run := range r.GetRuns() {
		if run.GetSource().GetRelay().GetBytes() > 0 {
			ids, epochs = append(ids, run.GetJobId()), append(epochs, run.GetEpoch())
		}
	}
	if len(ids) > 0 {
		_, err := tx.Exec(ctx, `
			UPDATE replication.jobs AS j SET relay_node = $1
			FROM unnest($2::text[], $3::bigint[]) AS r (id, epoch)
			WHERE j.id = r.id AND j.epoch = r.epoch AND j.node = $1 AND j.relay_node IS DISTINCT FROM $1`, r.GetNodeId(), ids, epochs)
		if err != nil {
			return pg.Fault(err, "PLACEMENT", "relay logs of node %s", r.GetNodeId())
		}
	}
	_, err := tx.Exec(ctx, `
		UPDATE replication.jobs SET relay_node = NULL
		WHERE relay_node = $1 AND incarnation::text <> ALL (coalesce($2::text[], '{}'))`, r.GetNodeId(), r.GetRelays())
	return pg.Fault(err, "PLACEMENT", "relay logs of node %s", r.GetNodeId())
}
