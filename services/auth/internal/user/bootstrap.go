package user

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/password"
)

// adminUser is the user that the first start creates.
const adminUser = "admin"

// Bootstrap creates the tenant platform with its role and its user admin, unless the tenant exists. Without a password it
// makes a random one and writes it to out, the only place where it ever shows.
func Bootstrap(ctx context.Context, pool *pgxpool.Pool, hasher *password.Hasher, secret string, out io.Writer, now time.Time) error {
	err := pg.InTx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		tenant, err := insertTenant(ctx, tx, now)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		generated := secret == ""
		if generated {
			secret = rand.Text()
		}
		hash, err := hasher.Hash(ctx, secret)
		if err != nil {
			return err
		}
		if err := insertAdmin(ctx, tx, tenant, hash, now); err != nil || !generated {
			return err
		}
		// Before the commit: a process that dies in between has shown a password that is good for nothing, and the next start
		// shows another. The other way round the only password would be lost.
		_, err = fmt.Fprintf(out, "opsdeck: created user %s of tenant %s with password %s - it is not shown again.\n",
			adminUser, authn.PlatformTenant, secret)
		return err
	})
	if err != nil {
		return fmt.Errorf("create user %s of tenant %s: %w", adminUser, authn.PlatformTenant, err)
	}
	return nil
}

// insertTenant returns pgx.ErrNoRows when the tenant exists. A replica that starts at the same time waits here until the
// other's transaction has ended.
func insertTenant(ctx context.Context, tx pgx.Tx, now time.Time) (id int64, err error) {
	err = tx.QueryRow(ctx, `
		INSERT INTO auth.tenants (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING id`,
		authn.PlatformTenant, now).Scan(&id)
	return id, err
}

func insertAdmin(ctx context.Context, tx pgx.Tx, tenant int64, hash string, now time.Time) error {
	_, err := tx.Exec(ctx, `
		WITH role AS (
			INSERT INTO auth.roles (tenant_id, name, object_type, creator, created_at) VALUES ($1, $2, 'all', $3, $5) RETURNING id
		)
		INSERT INTO auth.users (tenant_id, role_id, username, password_hash, password_set_at, created_at)
		SELECT $1, role.id, $3, $4, $5, $5 FROM role`, tenant, authn.AdminRole, adminUser, hash, now)
	return err
}
