package placement

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// storeCarried keeps what a node reports of the source's ends that are its own, and tells in their logs when they begin to carry, and why
// they cannot.
func storeCarried(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest) error {
	if len(r.GetSourceEnds()) == 0 {
		return nil
	}
	var ids, told, messages []string
	var epochs, toldEpochs []int64
	var figures [][]byte
	before, err := carriedBefore(ctx, tx, r.GetNodeId())
	if err != nil {
		return err
	}
	for _, end := range r.GetSourceEnds() {
		at := placed{end.GetJobId(), end.GetEpoch()}
		old, ok := before[at]
		if !ok {
			continue // it was given away
		}
		if message := news(old, end.GetFigures().GetTunnel()); message != "" {
			told, toldEpochs, messages = append(told, at.job), append(toldEpochs, at.epoch), append(messages, clean(message))
		}
		text, err := proto.Marshal(end.GetFigures())
		if err != nil {
			return fmt.Errorf("figures of the source of job %s: %w", at.job, err)
		}
		ids, epochs, figures = append(ids, at.job), append(epochs, at.epoch), append(figures, text)
	}
	_, err = tx.Exec(ctx, `
		WITH stored AS (
			UPDATE replication.allocations AS a SET carried = r.figures
			FROM unnest($2::text[], $3::bigint[], $4::bytea[]) AS r (job_id, epoch, figures)
			WHERE a.job_id = r.job_id AND a.epoch = r.epoch AND a.target = 'src' AND a.node = $1
		)
		INSERT INTO replication.events (allocation, type, message)
		SELECT a.id, 'Driver', e.message
		FROM unnest($5::text[], $6::bigint[], $7::text[]) AS e (job_id, epoch, message)
		JOIN replication.allocations AS a ON a.job_id = e.job_id AND a.epoch = e.epoch AND a.target = 'src'`,
		r.GetNodeId(), ids, epochs, figures, told, toldEpochs, messages)
	return pg.Fault(err, "PLACEMENT", "store what node %s carries", r.GetNodeId())
}

// placed is a placement of a job.
type placed struct {
	job   string
	epoch int64
}

// carriedBefore returns what was last stored of the source's ends of a node; nil where that is nothing yet.
func carriedBefore(ctx context.Context, tx pgx.Tx, node string) (map[placed]*replicationv1.TunnelStatus, error) {
	rows, _ := tx.Query(ctx, `SELECT job_id, epoch, carried FROM replication.allocations WHERE node = $1 AND tunnel_key IS NOT NULL`, node)
	before := map[placed]*replicationv1.TunnelStatus{}
	var at placed
	var text []byte
	_, err := pgx.ForEachRow(rows, []any{&at.job, &at.epoch, &text}, func() error {
		if text == nil {
			before[at] = nil
			return nil
		}
		var status replicationv1.TaskStatus
		if err := proto.Unmarshal(text, &status); err != nil {
			return fmt.Errorf("stored figures of the source of job %s: %w", at.job, err)
		}
		before[at] = status.GetTunnel()
		return nil
	})
	return before, pg.Fault(err, "PLACEMENT", "what node %s carries", node)
}

// news is what a log should say of a report; "" for nothing new.
func news(before, now *replicationv1.TunnelStatus) string {
	switch {
	case now.GetError() != "" && now.GetError() != before.GetError():
		return "carries no connections to the source: " + now.GetError()
	case now.GetError() == "" && (before == nil || before.GetError() != ""):
		return "carries connections to the source"
	}
	return ""
}
