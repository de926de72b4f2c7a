package grant

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// GrantUserModules implements the PermissionService.
func (s *Server) GrantUserModules(ctx context.Context, r *authv1.GrantUserModulesRequest) (*authv1.GrantUserModulesResponse, error) {
	if err := s.grantModules(ctx, target{change.ToUser, r.GetId()}, r.GetModules()); err != nil {
		return nil, err
	}
	return &authv1.GrantUserModulesResponse{}, nil
}

// GrantRoleModules implements the PermissionService.
func (s *Server) GrantRoleModules(ctx context.Context, r *authv1.GrantRoleModulesRequest) (*authv1.GrantRoleModulesResponse, error) {
	if err := s.grantModules(ctx, target{change.ToRole, r.GetId()}, r.GetModules()); err != nil {
		return nil, err
	}
	return &authv1.GrantRoleModulesResponse{}, nil
}

// ListUserModules implements the PermissionService.
func (s *Server) ListUserModules(ctx context.Context, r *authv1.ListUserModulesRequest) (*authv1.ListUserModulesResponse, error) {
	modules, err := s.listModules(ctx, target{change.ToUser, r.GetId()})
	return &authv1.ListUserModulesResponse{Modules: modules}, err
}

// ListRoleModules implements the PermissionService.
func (s *Server) ListRoleModules(ctx context.Context, r *authv1.ListRoleModulesRequest) (*authv1.ListRoleModulesResponse, error) {
	modules, err := s.listModules(ctx, target{change.ToRole, r.GetId()})
	return &authv1.ListRoleModulesResponse{Modules: modules}, err
}

// modulePermission is a permission of a module.
type modulePermission struct {
	Module     string `db:"module"`
	Permission string `db:"permission"`
}

func (s *Server) grantModules(ctx context.Context, to target, grants []*authv1.ModuleGrant) error {
	give, take, err := modulesWanted(grants)
	if err != nil {
		return err
	}
	return s.change(ctx, to, func(ctx context.Context, c *change.Change) error {
		if err := c.ByAdmin(); err != nil {
			return denied(c, err)
		}
		names, err := namesOf(ctx, c, to.Type, []int64{to.ID})
		if err != nil {
			return err
		}
		given, err := giveModules(ctx, c, to, give)
		if err != nil {
			return err
		}
		taken, err := takeModules(ctx, c, to, take)
		if err != nil {
			return err
		}
		var changed []change.Granted
		for i, p := range append(given, taken...) {
			changed = append(changed, change.Granted{
				TargetType: to.Type, TargetName: names[to.ID], Module: p.Module, Permission: p.Permission, Given: i < len(given),
			})
		}
		return c.RecordGrants(ctx, changed)
	})
}

// denied is how the documents number a caller who may not grant.
func denied(c *change.Change, cause error) error {
	name := c.By.Principal().Name()
	return fault.Denied("GRANT_DENIED", "%s may not grant permissions", name).Chinese("%s 没有授权权限", name).Wrap(cause)
}

func modulesWanted(grants []*authv1.ModuleGrant) (give, take []modulePermission, err error) {
	seen := map[string]bool{}
	for i, g := range grants {
		field := fmt.Sprintf("modules[%d]", i)
		module, ok := permission.ModuleNamed(g.GetModuleName())
		if !ok {
			return nil, nil, fault.Invalid(field+".module_name", "there is no module %q: see /users/permission-catalogue", g.GetModuleName()).
				Chinese("没有模块 %q，参见 /users/permission-catalogue", g.GetModuleName())
		}
		if seen[module.Name] {
			return nil, nil, fault.Invalid(field+".module_name", "names the module %s again", module.Name).Chinese("重复的模块 %s", module.Name)
		}
		seen[module.Name] = true
		w, err := canonical(field+".permissions", g.GetPermissions(), module.Permission)
		if err != nil {
			return nil, nil, err
		}
		for name, on := range w {
			if on {
				give = append(give, modulePermission{module.Name, name})
			} else {
				take = append(take, modulePermission{module.Name, name})
			}
		}
	}
	return give, take, nil
}

func split(permissions []modulePermission) (modules, names []string) {
	modules, names = make([]string, len(permissions)), make([]string, len(permissions))
	for i, p := range permissions {
		modules[i], names[i] = p.Module, p.Permission
	}
	return modules, names
}

// giveModules returns what was not granted before.
func giveModules(ctx context.Context, c *change.Change, to target, permissions []modulePermission) ([]modulePermission, error) {
	userID, roleID := to.columns()
	modules, names := split(permissions)
	rows, _ := c.Tx.Query(ctx, `
		INSERT INTO auth.module_grants (user_id, role_id, module, permission)
		SELECT $1, $2, g.module, g.permission
		  FROM unnest($3::text[], $4::text[]) AS g (module, permission)
		 ORDER BY g.module, g.permission
		    ON CONFLICT DO NOTHING
		RETURNING module, permission`, userID, roleID, modules, names) // the error comes again below
	given, err := pgx.CollectRows(rows, pgx.RowToStructByName[modulePermission])
	return given, pg.Fault(err, "MODULE_GRANT", "give permissions of modules")
}

// takeModules returns what was granted before.
func takeModules(ctx context.Context, c *change.Change, from target, permissions []modulePermission) ([]modulePermission, error) {
	userID, roleID := from.columns()
	modules, names := split(permissions)
	rows, _ := c.Tx.Query(ctx, `
		DELETE FROM auth.module_grants g
		 USING unnest($3::text[], $4::text[]) AS taken (module, permission)
		 WHERE (g.user_id = $1 OR g.role_id = $2) AND g.module = taken.module AND g.permission = taken.permission
		RETURNING g.module, g.permission`, userID, roleID, modules, names) // the error comes again below
	gone, err := pgx.CollectRows(rows, pgx.RowToStructByName[modulePermission])
	return gone, pg.Fault(err, "MODULE_GRANT", "take permissions of modules")
}

func (s *Server) listModules(ctx context.Context, of target) ([]*authv1.ModuleGrant, error) {
	if err := s.reachable(ctx, of); err != nil {
		return nil, err
	}
	userID, roleID := of.columns()
	rows, _ := s.changes.Pool.Query(ctx, `SELECT module, permission FROM auth.module_grants WHERE user_id = $1 OR role_id = $2`,
		userID, roleID) // the error comes again below
	granted, err := pgx.CollectRows(rows, pgx.RowToStructByName[modulePermission])
	if err != nil {
		return nil, pg.Fault(err, "MODULE_GRANT", "list permissions of modules")
	}
	byModule := map[string][]string{}
	for _, p := range granted {
		byModule[p.Module] = append(byModule[p.Module], p.Permission)
	}
	var modules []*authv1.ModuleGrant
	for _, m := range permission.Modules() {
		modules = append(modules, &authv1.ModuleGrant{ModuleName: m.Name, Permissions: all(m.Permissions, byModule[m.Name])})
	}
	return modules, nil
}
