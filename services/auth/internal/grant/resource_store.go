package grant

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
)

// arrays are the columns of permissions.
func arrays(permissions []permissionOn) (users, roles []*int64, resources []int64, names []string) {
	n := len(permissions)
	users, roles, resources, names = make([]*int64, n), make([]*int64, n), make([]int64, n), make([]string, n)
	for i, p := range permissions {
		users[i], roles[i], resources[i], names[i] = p.UserID, p.RoleID, p.ResourceID, p.Permission
	}
	return users, roles, resources, names
}

// giveOn returns what was not granted before.
func giveOn(ctx context.Context, c *change.Change, kind string, permissions []permissionOn) ([]permissionOn, error) {
	users, roles, resources, names := arrays(permissions)
	rows, _ := c.Tx.Query(ctx, `
		INSERT INTO auth.resource_grants (user_id, role_id, kind, resource_id, permission)
		SELECT g.user_id, g.role_id, $1, g.resource_id, g.permission
		  FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) AS g (user_id, role_id, resource_id, permission)
		    ON CONFLICT DO NOTHING
		RETURNING user_id, role_id, resource_id, permission`, kind, users, roles, resources, names) // the error comes again below
	given, err := pgx.CollectRows(rows, pgx.RowToStructByName[permissionOn])
	return given, pg.Fault(err, "RESOURCE_GRANT", "give permissions on resources of kind %s", kind)
}

// takeOn returns what was granted before.
func takeOn(ctx context.Context, c *change.Change, kind string, permissions []permissionOn) ([]permissionOn, error) {
	users, roles, resources, names := arrays(permissions)
	rows, _ := c.Tx.Query(ctx, `
		DELETE FROM auth.resource_grants g
		 USING unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) AS taken (user_id, role_id, resource_id, permission)
		 WHERE (g.user_id = taken.user_id OR g.role_id = taken.role_id)
		   AND g.kind = $1 AND g.resource_id = taken.resource_id AND g.permission = taken.permission
		RETURNING g.user_id, g.role_id, g.resource_id, g.permission`, kind, users, roles, resources, names) // the error comes again below
	gone, err := pgx.CollectRows(rows, pgx.RowToStructByName[permissionOn])
	return gone, pg.Fault(err, "RESOURCE_GRANT", "take permissions on resources of kind %s", kind)
}

// keepNames remembers what resources are called in the tenant.
func keepNames(ctx context.Context, c *change.Change, kind string, names map[int64]string) error {
	ids, texts := make([]int64, 0, len(names)), make([]string, 0, len(names))
	for id, name := range names {
		ids, texts = append(ids, id), append(texts, name)
	}
	_, err := c.Tx.Exec(ctx, `
		INSERT INTO auth.resource_names (tenant_id, kind, resource_id, name)
		SELECT $1, $2, n.id, n.name
		  FROM unnest($3::bigint[], $4::text[]) AS n (id, name)
		 ORDER BY n.id
		    ON CONFLICT (tenant_id, kind, resource_id) DO UPDATE SET name = excluded.name WHERE resource_names.name <> excluded.name`,
		c.Tenant.ID, kind, ids, texts)
	return pg.Fault(err, "RESOURCE_NAME", "keep names of resources of kind %s", kind)
}

// knownNames returns the names of the resources that permissions are about, as far as the tenant knows them.
func knownNames(ctx context.Context, c *change.Change, kind string, permissions []permissionOn) (map[int64]string, error) {
	_, _, ids, _ := arrays(permissions)
	rows, _ := c.Tx.Query(ctx, `
		SELECT resource_id AS id, name FROM auth.resource_names WHERE tenant_id = $1 AND kind = $2 AND resource_id = ANY ($3)`,
		c.Tenant.ID, kind, ids) // the error comes again below
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[named])
	names := make(map[int64]string, len(found))
	for _, n := range found {
		names[n.ID] = n.Name
	}
	return names, pg.Fault(err, "RESOURCE_NAME", "read names of resources of kind %s", kind)
}

// granted is one row of a list: a resource with what a target may do to it, or a target with what it may do to a resource.
type granted struct {
	ID          int64    `db:"id"`
	Name        string   `db:"name"`
	Permissions []string `db:"permissions"`
}

// resourcesOf lists the resources of a kind on which a target has grants of its own: a page by id, and how many there are in all.
func (s *Server) resourcesOf(ctx context.Context, of target, kind, name string, pageNumber, pageSize int32) ([]granted, int64, error) {
	offset, limit, err := pages.Offset(pageNumber, pageSize)
	if err != nil {
		return nil, 0, err
	}
	if err := s.reachable(ctx, of); err != nil {
		return nil, 0, err
	}
	const tables = `
		  FROM auth.resource_grants g
		  LEFT JOIN auth.users u ON u.id = g.user_id
		  LEFT JOIN auth.roles r ON r.id = g.role_id
		  LEFT JOIN auth.resource_names n
		    ON n.tenant_id = coalesce(u.tenant_id, r.tenant_id) AND n.kind = g.kind AND n.resource_id = g.resource_id
		 WHERE (g.user_id = $1 OR g.role_id = $2) AND g.kind = $3 AND ($4 = '' OR strpos(lower(n.name), lower($4)) > 0)`
	userID, roleID := of.columns()
	var count int64
	if err := s.changes.Pool.QueryRow(ctx, `SELECT count(DISTINCT g.resource_id)`+tables, userID, roleID, kind, name).Scan(&count); err != nil {
		return nil, 0, pg.Fault(err, "RESOURCE_GRANT", "count resources of kind %s", kind)
	}
	rows, _ := s.changes.Pool.Query(ctx, `
		SELECT g.resource_id AS id, coalesce(n.name, '') AS name, array_agg(g.permission) AS permissions`+tables+`
		 GROUP BY g.resource_id, n.name ORDER BY g.resource_id OFFSET $5 LIMIT $6`,
		userID, roleID, kind, name, offset, limit) // the error comes again below
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[granted])
	return found, count, pg.Fault(err, "RESOURCE_GRANT", "list resources of kind %s", kind)
}

// usersOn lists the users in reach who have grants of their own on a resource.
func (s *Server) usersOn(ctx context.Context, kind string, id int64, pageNumber, pageSize int32) ([]granted, int64, error) {
	return s.targetsOn(ctx, `
		  FROM auth.resource_grants g JOIN auth.users x ON x.id = g.user_id JOIN auth.tenants t ON t.id = x.tenant_id
		 WHERE g.kind = $1 AND g.resource_id = $2 AND ($3 OR t.name = $4)`, `x.username`, kind, id, pageNumber, pageSize)
}

// rolesOn lists the roles in reach that have grants of their own on a resource.
func (s *Server) rolesOn(ctx context.Context, kind string, id int64, pageNumber, pageSize int32) ([]granted, int64, error) {
	return s.targetsOn(ctx, `
		  FROM auth.resource_grants g JOIN auth.roles x ON x.id = g.role_id JOIN auth.tenants t ON t.id = x.tenant_id
		 WHERE g.kind = $1 AND g.resource_id = $2 AND ($3 OR t.name = $4)`, `x.name`, kind, id, pageNumber, pageSize)
}

func (s *Server) targetsOn(ctx context.Context, tables, name, kind string, id int64, pageNumber, pageSize int32) ([]granted, int64, error) {
	offset, limit, err := pages.Offset(pageNumber, pageSize)
	if err != nil {
		return nil, 0, err
	}
	caller := authn.FromContext(ctx)
	var count int64
	err = s.changes.Pool.QueryRow(ctx, `SELECT count(DISTINCT x.id)`+tables, kind, id, caller.IsPlatform(), caller.Tenant).Scan(&count)
	if err != nil {
		return nil, 0, pg.Fault(err, "RESOURCE_GRANT", "count grants on %s %d", kind, id)
	}
	rows, _ := s.changes.Pool.Query(ctx, `
		SELECT x.id, `+name+` AS name, array_agg(g.permission) AS permissions`+tables+` GROUP BY x.id ORDER BY x.id OFFSET $5 LIMIT $6`,
		kind, id, caller.IsPlatform(), caller.Tenant, offset, limit) // the error comes again below
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[granted])
	return found, count, pg.Fault(err, "RESOURCE_GRANT", "list grants on %s %d", kind, id)
}
