package rights

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// heldByUser are the columns of Grants that are always read in full, of the user u.
const heldByUser = `
	ARRAY(SELECT r.name FROM auth.held_roles h JOIN auth.roles r ON r.id = h.role_id WHERE h.user_id = u.id) AS roles,
	ARRAY(SELECT DISTINCT r.object_type FROM auth.held_roles h JOIN auth.roles r ON r.id = h.role_id WHERE h.user_id = u.id) AS object_types,
	ARRAY(SELECT DISTINCT ot.name || ':' || ou.username
	        FROM auth.held_roles h
	        JOIN auth.role_objects o ON o.role_id = h.role_id
	        JOIN auth.users ou ON ou.id = o.user_id
	        JOIN auth.tenants ot ON ot.id = ou.tenant_id
	       WHERE h.user_id = u.id) AS object_users,
	ARRAY(SELECT DISTINCT action
	        FROM auth.held_roles h
	        JOIN auth.roles r ON r.id = h.role_id
	        CROSS JOIN unnest(r.actions) AS action
	       WHERE h.user_id = u.id) AS actions,
	ARRAY(SELECT DISTINCT m.module || '.' || m.permission FROM auth.held_modules m WHERE m.user_id = u.id) AS modules`

// Of returns the rights of a caller whose session is open and who is enabled. Of grants on resources and levels at nodes it reads
// those that the rights asked about need. Errors: SESSION_ENDED.
func Of(ctx context.Context, db Querier, caller authn.Principal, now time.Time, asked ...string) (Rights, error) {
	kinds, ids, nodes := targets(asked)
	rows, _ := db.Query(ctx, `
		SELECT u.id AS user_id, t.name AS tenant, u.username, u.created_at, u.remark, coalesce(first.name, '') AS role,
		       (SELECT n FROM auth.revision) AS revision,`+heldByUser+`,
		       ARRAY(SELECT DISTINCT g.kind || ':' || g.resource_id || '.' || g.permission
		               FROM unnest($5::text[], $6::bigint[]) AS asked (kind, resource_id)
		               JOIN auth.held_resources g USING (kind, resource_id)
		              WHERE g.user_id = u.id) AS resources,
		       (SELECT coalesce(jsonb_object_agg(l.node_id, l.level), '{}')
		          FROM (SELECT h.node_id, max(h.level) AS level
		                  FROM auth.held_levels h
		                 WHERE h.user_id = u.id AND h.node_id = ANY ($7)
		                 GROUP BY h.node_id) AS l) AS levels
		  FROM auth.sessions s
		  JOIN auth.users u ON u.id = s.user_id
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  LEFT JOIN auth.roles first ON first.id = u.role_id
		 WHERE s.id = $1 AND s.expires_at > $2 AND u.status = 'enabled' AND t.name = $3 AND u.username = $4`,
		caller.Session, now, caller.Tenant, caller.User, kinds, ids, nodes) // the error comes again below
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Rights])
	if errors.Is(err, pgx.ErrNoRows) {
		return Rights{}, fault.Unauthenticated("SESSION_ENDED", "the session of %s has ended: please log in again", caller.Name())
	}
	return r, pg.Fault(err, "USER", "read user %s", caller.Name())
}

// targets returns the resources and nodes that rights are about.
func targets(asked []string) (kinds []string, ids, nodes []int64) {
	kinds, ids, nodes = []string{}, []int64{}, []int64{}
	for _, text := range asked {
		right, ok := permission.ParseRight(text)
		switch {
		case !ok:
		case right.Kind == permission.PointRight:
			nodes = append(nodes, right.ID, permission.GlobalNode)
		case permission.IsKind(right.Kind):
			kinds, ids = append(kinds, right.Kind), append(ids, right.ID)
		}
	}
	return kinds, ids, nodes
}

// OfUser returns all that a user has by himself and by his roles.
func OfUser(ctx context.Context, db Querier, id int64) (Grants, error) {
	rows, _ := db.Query(ctx, `
		SELECT`+heldByUser+`,
		       ARRAY(SELECT DISTINCT g.kind || ':' || g.resource_id || '.' || g.permission
		               FROM auth.held_resources g WHERE g.user_id = u.id) AS resources,
		       (SELECT coalesce(jsonb_object_agg(l.node_id, l.level), '{}')
		          FROM (SELECT h.node_id, max(h.level) AS level FROM auth.held_levels h WHERE h.user_id = u.id GROUP BY h.node_id) AS l) AS levels
		  FROM auth.users u
		 WHERE u.id = $1`, id) // the error comes again below
	g, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Grants])
	return g, pg.Fault(err, "USER_NOT_FOUND", "there is no user %d", id)
}

// OfRole returns all that a role gives.
func OfRole(ctx context.Context, db Querier, id int64) (Grants, error) {
	rows, _ := db.Query(ctx, `
		SELECT ARRAY[r.name] AS roles, ARRAY[r.object_type] AS object_types, r.actions,
		       ARRAY(SELECT ot.name || ':' || ou.username
		               FROM auth.role_objects o
		               JOIN auth.users ou ON ou.id = o.user_id
		               JOIN auth.tenants ot ON ot.id = ou.tenant_id
		              WHERE o.role_id = r.id) AS object_users,
		       ARRAY(SELECT g.module || '.' || g.permission FROM auth.module_grants g WHERE g.role_id = r.id) AS modules,
		       ARRAY(SELECT g.kind || ':' || g.resource_id || '.' || g.permission
		               FROM auth.resource_grants g WHERE g.role_id = r.id) AS resources,
		       (SELECT coalesce(jsonb_object_agg(l.node_id, l.level), '{}') FROM auth.tree_levels l WHERE l.role_id = r.id) AS levels
		  FROM auth.roles r
		 WHERE r.id = $1`, id) // the error comes again below
	g, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Grants])
	return g, pg.Fault(err, "ROLE_NOT_FOUND", "there is no role %d", id)
}

// Newest returns the revision of everybody's rights.
func Newest(ctx context.Context, db Querier) (int64, error) {
	rows, _ := db.Query(ctx, `SELECT n FROM auth.revision`) // the error comes again below
	n, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	return n, pg.Fault(err, "REVISION", "read the revision of rights")
}

// allowed returns the ids of resources on which a user has a permission by grants, from after one on.
func allowed(ctx context.Context, db Querier, user int64, kind, name string, after int64, limit int) ([]int64, error) {
	rows, _ := db.Query(ctx, `
		SELECT DISTINCT g.resource_id
		  FROM auth.held_resources g
		 WHERE g.user_id = $1 AND g.kind = $2 AND g.permission = $3 AND g.resource_id > $4
		 ORDER BY g.resource_id
		 LIMIT $5`, user, kind, name, after, limit) // the error comes again below
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, pg.Fault(err, "RESOURCE_GRANT", "list resources of kind %s", kind)
}
