package placement

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// RaiseEpochs makes the next epoch at least the clock's milliseconds. The targets remember the highest epoch they have seen: after a
// restore of an older backup the sequence would stand below it, and every run would be taken for a stale one.
func RaiseEpochs(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `
		SELECT setval('replication.revision', clock.now)
		FROM replication.revision, (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) AS clock
		WHERE revision.last_value < clock.now`)
	return pg.Fault(err, "EPOCHS", "raise the epochs")
}
