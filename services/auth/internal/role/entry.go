package role

import (
	"context"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/page"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/user"
)

// maxUsers bounds a list that has no pages.
const maxUsers = 10000

// pages are those of contract 002.
var pages = page.Limits{Default: 10, Max: 100}

// entry is the role as it is shown to somebody of a tenant.
func (r roleRow) entry(tenant string) *authv1.RoleEntry {
	e := &authv1.RoleEntry{Id: r.ID, Name: r.Name, Creator: r.Creator}
	if r.Tenant != tenant {
		e.Tenant = r.Tenant
	}
	return e
}

// FindRoles implements the RoleService.
func (s *Server) FindRoles(ctx context.Context, r *authv1.FindRolesRequest) (*authv1.FindRolesResponse, error) {
	offset, limit, err := pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	caller := authn.FromContext(ctx)
	roles, count, err := search(ctx, s.changes, caller, r.GetName(), offset, limit)
	if err != nil {
		return nil, err
	}
	answer := &authv1.FindRolesResponse{Count: count}
	for _, role := range roles {
		answer.Results = append(answer.Results, role.entry(caller.Tenant))
	}
	return answer, nil
}

// RenameRole implements the RoleService.
func (s *Server) RenameRole(ctx context.Context, r *authv1.RenameRoleRequest) (*authv1.RenameRoleResponse, error) {
	answer := &authv1.RenameRoleResponse{}
	err := s.changes.ForRole(ctx, r.GetId(), func(ctx context.Context, c *change.Change) error {
		before, err := ordinary(ctx, c, r.GetId())
		if err != nil {
			return err
		}
		after := before
		if r.Name != nil {
			after.Name = r.GetName()
		}
		answer.Role = after.entry(c.By.Tenant)
		if after.Name == before.Name {
			return nil
		}
		if after.Admin() {
			return protected(after)
		}
		if err := rename(ctx, c, after); err != nil {
			return err
		}
		return record(ctx, c, "updated", &before, &after)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// RemoveRole implements the RoleService.
func (s *Server) RemoveRole(ctx context.Context, r *authv1.RemoveRoleRequest) (*authv1.RemoveRoleResponse, error) {
	err := s.changes.ForRole(ctx, r.GetId(), func(ctx context.Context, c *change.Change) error {
		role, err := ordinary(ctx, c, r.GetId())
		if err != nil {
			return err
		}
		holders, err := holdersOf(ctx, c, role.ID)
		if err != nil {
			return err
		}
		if err := user.TakeRoles(ctx, c, holders, []int64{role.ID}); err != nil {
			return err
		}
		if err := remove(ctx, c, &role); err != nil {
			return err
		}
		return record(ctx, c, "deleted", &role, nil)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.RemoveRoleResponse{}, nil
}

// ListRoleUsers implements the RoleService.
func (s *Server) ListRoleUsers(ctx context.Context, r *authv1.ListRoleUsersRequest) (*authv1.ListRoleUsersResponse, error) {
	caller := authn.FromContext(ctx)
	if err := reachable(ctx, s.changes, caller, r.GetId()); err != nil {
		return nil, err
	}
	users, err := user.OfRole(ctx, s.changes.Pool, r.GetId(), caller.Tenant, maxUsers)
	return &authv1.ListRoleUsersResponse{Users: users}, err
}

// AddRoleUsers implements the RoleService.
func (s *Server) AddRoleUsers(ctx context.Context, r *authv1.AddRoleUsersRequest) (*authv1.AddRoleUsersResponse, error) {
	err := s.changes.ForRole(ctx, r.GetId(), func(ctx context.Context, c *change.Change) error {
		return user.GiveRoles(ctx, c, user.IDs(r.GetUsers()), []int64{r.GetId()})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.AddRoleUsersResponse{}, nil
}

// RemoveRoleUsers implements the RoleService.
func (s *Server) RemoveRoleUsers(ctx context.Context, r *authv1.RemoveRoleUsersRequest) (*authv1.RemoveRoleUsersResponse, error) {
	err := s.changes.ForRole(ctx, r.GetId(), func(ctx context.Context, c *change.Change) error {
		return user.TakeRoles(ctx, c, user.IDs(r.GetUsers()), []int64{r.GetId()})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.RemoveRoleUsersResponse{}, nil
}

// ordinary returns a role that an administrator may change. The role admin opens everything, always.
func ordinary(ctx context.Context, c *change.Change, id int64) (roleRow, error) {
	if err := c.ByAdmin(); err != nil {
		return roleRow{}, err
	}
	rows, _ := c.Tx.Query(ctx, selectRole+` WHERE t.id = $1 AND r.id = $2`, c.Tenant.ID, id) // the error comes again below
	role, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[roleRow])
	if err != nil {
		return role, pg.Fault(err, "ROLE_NOT_FOUND", "there is no role %d", id)
	}
	if role.Admin() {
		return role, protected(role)
	}
	return role, nil
}

const searched = ` WHERE ($1 OR t.name = $2) AND ($3 = '' OR strpos(lower(r.name), lower($3)) > 0)`

// search returns a page of roles by id, and how many there are on all pages.
func search(ctx context.Context, c change.Changer, caller authn.Principal, name string, offset int64, limit int) ([]roleRow, int64, error) {
	var count int64
	err := c.Pool.QueryRow(ctx, `SELECT count(*) FROM auth.roles r JOIN auth.tenants t ON t.id = r.tenant_id`+searched,
		caller.IsPlatform(), caller.Tenant, name).Scan(&count)
	if err != nil {
		return nil, 0, pg.Fault(err, "ROLE", "count roles")
	}
	rows, _ := c.Pool.Query(ctx, selectRole+searched+` ORDER BY r.id OFFSET $4 LIMIT $5`,
		caller.IsPlatform(), caller.Tenant, name, offset, limit) // the error comes again below
	roles, err := pgx.CollectRows(rows, pgx.RowToStructByName[roleRow])
	return roles, count, pg.Fault(err, "ROLE", "list roles")
}

func reachable(ctx context.Context, c change.Changer, caller authn.Principal, id int64) error {
	rows, _ := c.Pool.Query(ctx, `
		SELECT r.id FROM auth.roles r JOIN auth.tenants t ON t.id = r.tenant_id WHERE r.id = $1 AND ($2 OR t.name = $3)`,
		id, caller.IsPlatform(), caller.Tenant) // the error comes again below
	_, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	return pg.Fault(err, "ROLE_NOT_FOUND", "there is no role %d", id)
}

func rename(ctx context.Context, c *change.Change, r roleRow) error {
	_, err := c.Tx.Exec(ctx, `UPDATE auth.roles SET name = $2 WHERE id = $1`, r.ID, r.Name)
	return pg.Fault(err, "ROLE_EXISTS", "tenant %s has a role %s already", r.Tenant, r.Name)
}

func holdersOf(ctx context.Context, c *change.Change, id int64) ([]int64, error) {
	rows, _ := c.Tx.Query(ctx, `SELECT h.user_id FROM auth.held_roles h WHERE h.role_id = $1 ORDER BY h.user_id`, id) // the error comes again below
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, pg.Fault(err, "USER", "list the users of role %d", id)
}
