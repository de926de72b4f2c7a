// Package grant keeps what users and roles are granted besides the menu: permissions of modules, permissions on single resources,
// and levels at nodes of the service tree.
package grant

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/page"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/directory"
	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// pages are those of contract 002.
var pages = page.Limits{Default: 10, Max: 100}

// Server serves the PermissionService, the ApplicationGrantService, the HostGrantService and the TreeLevelService.
type Server struct {
	authv1.UnimplementedPermissionServiceServer
	authv1.UnimplementedApplicationGrantServiceServer
	authv1.UnimplementedHostGrantServiceServer
	authv1.UnimplementedTreeLevelServiceServer

	changes   change.Changer
	resources directory.Directory
}

// NewServer returns the services.
func NewServer(changes change.Changer, resources directory.Directory) *Server {
	return &Server{changes: changes, resources: resources}
}

// target is who is granted something.
type target struct {
	Type string // change.ToUser or change.ToRole
	ID   int64
}

// columns are the values of the columns user_id and role_id of a grant.
func (t target) columns() (userID, roleID *int64) {
	if t.Type == change.ToUser {
		return &t.ID, nil
	}
	return nil, &t.ID
}

// change makes a change in the tenant of a target. Errors: USER_NOT_FOUND, ROLE_NOT_FOUND.
func (s *Server) change(ctx context.Context, of target, do func(ctx context.Context, c *change.Change) error) error {
	if of.Type == change.ToUser {
		return s.changes.ForUser(ctx, of.ID, do)
	}
	return s.changes.ForRole(ctx, of.ID, do)
}

// reachable refuses a target of a tenant out of the caller's reach. Errors: USER_NOT_FOUND, ROLE_NOT_FOUND.
func (s *Server) reachable(ctx context.Context, t target) error {
	sql, reason := `SELECT t.name FROM auth.users x JOIN auth.tenants t ON t.id = x.tenant_id WHERE x.id = $1 AND ($2 OR t.name = $3)`, "USER_NOT_FOUND"
	if t.Type == change.ToRole {
		sql, reason = `SELECT t.name FROM auth.roles x JOIN auth.tenants t ON t.id = x.tenant_id WHERE x.id = $1 AND ($2 OR t.name = $3)`, "ROLE_NOT_FOUND"
	}
	caller := authn.FromContext(ctx)
	rows, _ := s.changes.Pool.Query(ctx, sql, t.ID, caller.IsPlatform(), caller.Tenant) // the error comes again below
	_, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	return pg.Fault(err, reason, "there is no %s %d", t.Type, t.ID)
}

// namesOf returns the names of targets of the change's tenant, all of one type. What the role admin gives cannot be changed.
func namesOf(ctx context.Context, c *change.Change, targetType string, ids []int64) (map[int64]string, error) {
	sql, reason := `SELECT id, username AS name FROM auth.users WHERE tenant_id = $1 AND id = ANY ($2)`, "USER_NOT_FOUND"
	if targetType == change.ToRole {
		sql, reason = `SELECT id, name FROM auth.roles WHERE tenant_id = $1 AND id = ANY ($2)`, "ROLE_NOT_FOUND"
	}
	rows, _ := c.Tx.Query(ctx, sql, c.Tenant.ID, ids) // the error comes again below
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[named])
	if err != nil {
		return nil, pg.Fault(err, reason, "read the targets of grants")
	}
	names := make(map[int64]string, len(found))
	for _, n := range found {
		names[n.ID] = n.Name
		if targetType == change.ToRole && n.Name == authn.AdminRole {
			return nil, fault.Denied("ROLE_PROTECTED", "the role %s opens everything: nothing can be granted to it", n.Name).
				Chinese("角色 %s 拥有全部权限，不能再授权", n.Name)
		}
	}
	for _, id := range ids {
		if _, ok := names[id]; !ok {
			return nil, fault.NotFound(reason, "tenant %s has no %s %d", c.Tenant.Name, targetType, id)
		}
	}
	return names, nil
}

type named struct {
	ID   int64  `db:"id"`
	Name string `db:"name"`
}

// wanted are permissions by their names in the catalogue, and whether they are given or taken.
type wanted map[string]bool

// canonical reads what a caller wrote. Errors: PERMISSION_UNDEFINED, and a permission that stands there under two names.
func canonical(field string, written map[string]bool, find func(name string) (permission.Permission, bool)) (wanted, error) {
	w := wanted{}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		p, ok := find(name)
		if !ok {
			return nil, permission.Undefined(name)
		}
		if _, twice := w[p.Name]; twice {
			return nil, fault.Invalid(field, "names the permission %s twice", p.Name).Chinese("重复的权限 %s", p.Name)
		}
		if !p.Idle {
			w[p.Name] = written[name]
		}
	}
	return w, nil
}

// all returns every permission with whether it is among those granted.
func all(permissions []permission.Permission, granted []string) map[string]bool {
	shown := make(map[string]bool, len(permissions))
	for _, p := range permissions {
		shown[p.Name] = slices.Contains(granted, p.Name)
	}
	return shown
}
