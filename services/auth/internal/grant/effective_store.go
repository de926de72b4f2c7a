package grant

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"
)

// holder is a user whose permissions are shown.
type holder struct {
	ID       int64  `db:"id"`
	TenantID int64  `db:"tenant_id"`
	Username string `db:"username"`
	Enabled  bool   `db:"enabled"`
}

type roleHeld struct {
	ID      int64    `db:"id"`
	Name    string   `db:"name"`
	Actions []string `db:"actions"`
}

type moduleHeld struct {
	Module     string  `db:"module"`
	Permission string  `db:"permission"`
	Via        []int64 `db:"via"` // roles; 0 for the user himself
}

type resourceHeld struct {
	Kind       string  `db:"kind"`
	ResourceID int64   `db:"resource_id"`
	Name       string  `db:"name"`
	Permission string  `db:"permission"`
	Via        []int64 `db:"via"`
}

// resourceKey is where a part of a list of resourceHeld ends.
type resourceKey struct {
	Kind       string `json:"k"`
	ResourceID int64  `json:"r"`
	Permission string `json:"p"`
}

func (r resourceHeld) key() resourceKey { return resourceKey{r.Kind, r.ResourceID, r.Permission} }

type levelHeld struct {
	NodeID int64   `db:"node_id"`
	Level  int32   `db:"level"`
	Via    []int64 `db:"via"`
}

func (s *Server) holder(ctx context.Context, caller authn.Principal, id int64) (holder, error) {
	rows, _ := s.changes.Pool.Query(ctx, `
		SELECT u.id, u.tenant_id, u.username, u.status = 'enabled' AS enabled
		  FROM auth.users u
		  JOIN auth.tenants t ON t.id = u.tenant_id
		 WHERE u.id = $1 AND ($2 OR t.name = $3)`, id, caller.IsPlatform(), caller.Tenant) // the error comes again below
	h, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[holder])
	return h, pg.Fault(err, "USER_NOT_FOUND", "there is no user %d", id)
}

func (s *Server) rolesOf(ctx context.Context, user int64) ([]roleHeld, error) {
	rows, _ := s.changes.Pool.Query(ctx, `
		SELECT r.id, r.name, r.actions FROM auth.held_roles h JOIN auth.roles r ON r.id = h.role_id WHERE h.user_id = $1 ORDER BY r.id`,
		user) // the error comes again below
	roles, err := pgx.CollectRows(rows, pgx.RowToStructByName[roleHeld])
	return roles, pg.Fault(err, "ROLE", "list the roles of user %d", user)
}

func (s *Server) modulesHeld(ctx context.Context, user int64) ([]moduleHeld, error) {
	rows, _ := s.changes.Pool.Query(ctx, `
		SELECT module, permission, array_agg(coalesce(via_role_id, 0) ORDER BY coalesce(via_role_id, 0)) AS via
		  FROM auth.held_modules
		 WHERE user_id = $1
		 GROUP BY module, permission
		 ORDER BY module, permission`, user) // the error comes again below
	modules, err := pgx.CollectRows(rows, pgx.RowToStructByName[moduleHeld])
	return modules, pg.Fault(err, "MODULE_GRANT", "list the permissions of user %d", user)
}

func (s *Server) resourcesHeld(ctx context.Context, h holder, kind string, id int64, after resourceKey, limit int) ([]resourceHeld, error) {
	rows, _ := s.changes.Pool.Query(ctx, `
		SELECT g.kind, g.resource_id, coalesce(n.name, '') AS name, g.permission,
		       array_agg(coalesce(g.via_role_id, 0) ORDER BY coalesce(g.via_role_id, 0)) AS via
		  FROM auth.held_resources g
		  LEFT JOIN auth.resource_names n ON n.tenant_id = $2 AND n.kind = g.kind AND n.resource_id = g.resource_id
		 WHERE g.user_id = $1 AND ($3 = '' OR g.kind = $3) AND ($4 = 0 OR g.resource_id = $4)
		   AND (g.kind, g.resource_id, g.permission) > ($5, $6, $7)
		 GROUP BY g.kind, g.resource_id, n.name, g.permission
		 ORDER BY g.kind, g.resource_id, g.permission
		 LIMIT $8`, h.ID, h.TenantID, kind, id, after.Kind, after.ResourceID, after.Permission, limit) // the error comes again below
	resources, err := pgx.CollectRows(rows, pgx.RowToStructByName[resourceHeld])
	return resources, pg.Fault(err, "RESOURCE_GRANT", "list the permissions of user %d", h.ID)
}

// levelsHeld returns the highest level at each node, and who else gives one there.
func (s *Server) levelsHeld(ctx context.Context, user int64) ([]levelHeld, error) {
	rows, _ := s.changes.Pool.Query(ctx, `
		SELECT node_id, max(level) AS level, array_agg(coalesce(via_role_id, 0) ORDER BY coalesce(via_role_id, 0)) AS via
		  FROM auth.held_levels
		 WHERE user_id = $1
		 GROUP BY node_id
		 ORDER BY node_id`, user) // the error comes again below
	levels, err := pgx.CollectRows(rows, pgx.RowToStructByName[levelHeld])
	return levels, pg.Fault(err, "TREE_LEVEL", "list the levels of user %d", user)
}
