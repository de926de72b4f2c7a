package user

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
)

// IDs returns the ids of references, each once, in ascending order.
func IDs(refs []*authv1.IdRef) []int64 {
	ids := make([]int64, 0, len(refs))
	for _, ref := range refs {
		ids = append(ids, ref.GetId())
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// GiveRoles gives each of the roles to each of the users, all of the change's tenant. Errors: FORBIDDEN, USER_NOT_FOUND,
// ROLE_NOT_FOUND.
func GiveRoles(ctx context.Context, c *change.Change, users, roles []int64) error {
	return regroup(ctx, c, users, roles, giveRoles)
}

// TakeRoles takes each of the roles from each of the users. Errors: FORBIDDEN, USER_NOT_FOUND, ROLE_NOT_FOUND, LAST_ADMIN.
func TakeRoles(ctx context.Context, c *change.Change, users, roles []int64) error {
	return regroup(ctx, c, users, roles, takeRoles)
}

func regroup(ctx context.Context, c *change.Change, users, roles []int64, do func(ctx context.Context, c *change.Change, users, roles []int64) error) error {
	if err := c.ByAdmin(); err != nil {
		return err
	}
	before, err := findAll(ctx, c, users)
	if err != nil {
		return err
	}
	if err := rolesExist(ctx, c, roles); err != nil {
		return err
	}
	if err := do(ctx, c, users, roles); err != nil {
		return err
	}
	if err := keepFirst(ctx, c, users); err != nil {
		return err
	}
	return changed(ctx, c, before)
}

func rolesExist(ctx context.Context, c *change.Change, ids []int64) error {
	rows, _ := c.Tx.Query(ctx, `SELECT id FROM auth.roles WHERE tenant_id = $1 AND id = ANY ($2)`, c.Tenant.ID, ids) // the error comes again below
	found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return pg.Fault(err, "ROLE", "read roles")
	}
	for _, id := range ids {
		if !slices.Contains(found, id) {
			return fault.NotFound("ROLE_NOT_FOUND", "there is no role %d", id).Chinese("没有角色 %d", id)
		}
	}
	return nil
}

func giveRoles(ctx context.Context, c *change.Change, users, roles []int64) error {
	_, err := c.Tx.Exec(ctx, `
		INSERT INTO auth.user_roles (tenant_id, user_id, role_id)
		SELECT u.tenant_id, u.id, given.role_id
		  FROM auth.users u
		 CROSS JOIN unnest($2::bigint[]) AS given (role_id)
		 WHERE u.id = ANY ($1) AND u.role_id IS DISTINCT FROM given.role_id
		    ON CONFLICT DO NOTHING`, users, roles)
	return pg.Fault(err, "ROLE", "give roles")
}

func takeRoles(ctx context.Context, c *change.Change, users, roles []int64) error {
	if _, err := c.Tx.Exec(ctx, `DELETE FROM auth.user_roles WHERE user_id = ANY ($1) AND role_id = ANY ($2)`, users, roles); err != nil {
		return pg.Fault(err, "ROLE", "take roles")
	}
	_, err := c.Tx.Exec(ctx, `UPDATE auth.users SET role_id = NULL WHERE id = ANY ($1) AND role_id = ANY ($2)`, users, roles)
	return pg.Fault(err, "ROLE", "take roles")
}

// keepFirst makes the oldest of their roles the first of users who have lost theirs, or had none.
func keepFirst(ctx context.Context, c *change.Change, users []int64) error {
	_, err := c.Tx.Exec(ctx, `
		UPDATE auth.users u
		   SET role_id = oldest.role_id
		  FROM (SELECT user_id, min(role_id) AS role_id FROM auth.user_roles WHERE user_id = ANY ($1) GROUP BY user_id) AS oldest
		 WHERE u.id = oldest.user_id AND u.role_id IS NULL`, users)
	if err != nil {
		return pg.Fault(err, "ROLE", "order roles")
	}
	_, err = c.Tx.Exec(ctx, `
		DELETE FROM auth.user_roles m USING auth.users u WHERE u.id = m.user_id AND u.role_id = m.role_id AND u.id = ANY ($1)`, users)
	return pg.Fault(err, "ROLE", "order roles")
}
