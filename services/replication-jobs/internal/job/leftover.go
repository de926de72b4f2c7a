package job

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// LeftoverWait is how long a new job waits at most until what deleted jobs have left at its target is cleared. After that the target is out of reach, which
// the job may say itself.
const LeftoverWait = 30 * time.Second

// leave notes that the target of a job knows of an incarnation that is no more.
func leave(ctx context.Context, tx pgx.Tx, j locked, target *replicationv1.MySQLConnection) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO replication.leftovers (incarnation, job_id, epoch, node, target_host, target_port) VALUES ($1, $2, $3, $4, $5, $6)`,
		j.Incarnation, j.ID, j.Epoch, j.Node, target.GetMysqlHost(), target.GetMysqlPort())
	return pg.Fault(err, "JOB", "note what job %s has left at its target", j.ID)
}

// stillRuns reports whether the node of a deleted job has not said yet that it has stopped, and may be about to.
func stillRuns(ctx context.Context, pool *pgxpool.Pool, incarnation string) (runs bool, err error) {
	err = pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM replication.leftovers WHERE incarnation = $1 AND node IS NOT NULL AND delete_time > now() - $2::interval)`,
		incarnation, forgetDelay).Scan(&runs)
	return runs, pg.Fault(err, "JOB", "look whether a deleted job has stopped")
}

// cleared forgets what a deleted job had left at its target, and what nobody waits for any more.
func cleared(ctx context.Context, pool *pgxpool.Pool, incarnation string) error {
	_, err := pool.Exec(ctx, `DELETE FROM replication.leftovers WHERE incarnation = $1 OR delete_time < now() - $2::interval`, incarnation, LeftoverWait)
	return pg.Fault(err, "JOB", "forget what a deleted job had left")
}
