package change

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
)

// ForUser is In for the tenant of the user with an id. A user out of reach is not found: USER_NOT_FOUND.
func (c Changer) ForUser(ctx context.Context, id int64, do func(ctx context.Context, c *Change) error) error {
	return c.forID(ctx, "USER_NOT_FOUND", "user", `
		SELECT t.name FROM auth.users x JOIN auth.tenants t ON t.id = x.tenant_id WHERE x.id = $1 AND ($2 OR t.name = $3)`, id, do)
}

// ForRole is In for the tenant of the role with an id. A role out of reach is not found: ROLE_NOT_FOUND.
func (c Changer) ForRole(ctx context.Context, id int64, do func(ctx context.Context, c *Change) error) error {
	return c.forID(ctx, "ROLE_NOT_FOUND", "role", `
		SELECT t.name FROM auth.roles x JOIN auth.tenants t ON t.id = x.tenant_id WHERE x.id = $1 AND ($2 OR t.name = $3)`, id, do)
}

func (c Changer) forID(ctx context.Context, reason, noun, sql string, id int64, do func(ctx context.Context, c *Change) error) error {
	caller := authn.FromContext(ctx)
	rows, _ := c.Pool.Query(ctx, sql, id, caller.IsPlatform(), caller.Tenant) // the error comes again below
	tenant, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if err != nil {
		return pg.Fault(err, reason, "there is no %s %d", noun, id)
	}
	return c.In(ctx, tenant, do)
}

// ByAdmin refuses a caller who is no administrator any more: FORBIDDEN. The rule of the method was checked before the transaction.
func (c *Change) ByAdmin() error {
	if c.By.Admin() {
		return nil
	}
	return fault.Denied("FORBIDDEN", "%s may not use %s", c.By.Principal().Name(), access.AdminRight)
}
