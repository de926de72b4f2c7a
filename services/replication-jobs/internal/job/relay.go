package job

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// loadRelay reads how the relay log of a job does, as the node of its present placement has last told; nil if it has none.
func loadRelay(ctx context.Context, db querier, id string) (*replicationv1.RelayLog, error) {
	rows, _ := db.Query(ctx, `
		SELECT a.figures
		FROM replication.jobs AS j
		JOIN replication.allocations AS a ON a.job_id = j.id AND a.epoch = j.epoch AND a.target = 'src'
		WHERE j.id = $1 AND j.status <> 'finished' AND j.config -> 'src_task' ->> 'binlog_relay' = 'true' AND a.figures IS NOT NULL`, id)
	figures, err := pgx.CollectOneRow(rows, pgx.RowTo[[]byte])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // documented
	}
	if err != nil {
		return nil, pg.Fault(err, "JOB", "relay log of job %s", id)
	}
	status := &replicationv1.TaskStatus{}
	if err := proto.Unmarshal(figures, status); err != nil {
		return nil, fmt.Errorf("stored figures of job %s: %w", id, err)
	}
	return status.GetRelay(), nil
}
