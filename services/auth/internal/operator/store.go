package operator

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
)

func ensureTenant(ctx context.Context, pool *pgxpool.Pool, name string, now time.Time) error {
	_, err := pool.Exec(ctx, `INSERT INTO auth.tenants (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, now)
	return pg.Fault(err, "TENANT", "begin tenant %s", name)
}

func insertAdmin(ctx context.Context, c *change.Change, a Account, hash string) error {
	_, err := c.Tx.Exec(ctx, `
		INSERT INTO auth.roles (tenant_id, name, object_type, created_at) VALUES ($1, $2, 'all', $3) ON CONFLICT (tenant_id, name) DO NOTHING`,
		c.Tenant.ID, authn.AdminRole, c.Now)
	if err != nil {
		return pg.Fault(err, "ROLE", "make the role %s of tenant %s", authn.AdminRole, a.Tenant)
	}
	_, err = c.Tx.Exec(ctx, `
		INSERT INTO auth.users (tenant_id, role_id, username, password_hash, password_set_at, created_at)
		SELECT r.tenant_id, r.id, $3, $4, $5, $5 FROM auth.roles r WHERE r.tenant_id = $1 AND r.name = $2`,
		c.Tenant.ID, authn.AdminRole, a.Username, hash, c.Now)
	return pg.Fault(err, "USER_EXISTS", "there is a user %s already: reset-password sets his password", a)
}
