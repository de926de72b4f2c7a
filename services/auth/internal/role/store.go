package role

import (
	"context"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/menu"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

type roleRow struct {
	Tenant    string   `db:"tenant"`
	Authority string   `db:"authority"` // as received
	Creator   string   `db:"creator"`   // user name; empty for roles of old
	granted   []string // what goes with a role that is deleted
	rights.Role
}

func (r roleRow) toProto() *authv1.Role {
	authority := r.Authority
	if r.Admin() {
		authority = menu.Authority() // what is stored does not matter
	}
	return &authv1.Role{Tenant: r.Tenant, Name: r.Name, ObjectType: r.ObjectType, ObjectUsers: r.Users, Authority: authority}
}

const selectRole = `
		SELECT t.name AS tenant, r.authority, r.creator, r.id AS role_id, r.name AS role, r.object_type, r.actions,
		       ARRAY(SELECT ot.name || ':' || ou.username
		               FROM auth.role_objects o
		               JOIN auth.users ou ON ou.id = o.user_id
		               JOIN auth.tenants ot ON ot.id = ou.tenant_id
		              WHERE o.role_id = r.id
		              ORDER BY ot.name, lower(ou.username)) AS object_users
		  FROM auth.roles r
		  JOIN auth.tenants t ON t.id = r.tenant_id`

// list returns the roles of the tenants in reach.
func list(ctx context.Context, db rights.Querier, by rights.Rights, tenant string) ([]roleRow, error) {
	rows, _ := db.Query(ctx, selectRole+`
		 WHERE ($1 OR t.name = $2) AND ($3 = '' OR t.name = $3)
		 ORDER BY t.name, r.name`, by.Scope().EveryTenant, by.Tenant, tenant) // the error comes again below
	roles, err := pgx.CollectRows(rows, pgx.RowToStructByName[roleRow])
	return roles, pg.Fault(err, "ROLE", "list roles")
}

func find(ctx context.Context, c *change.Change, name string) (roleRow, error) {
	rows, _ := c.Tx.Query(ctx, selectRole+`
		 WHERE t.id = $1 AND r.name = $2`, c.Tenant.ID, name) // the error comes again below
	role, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[roleRow])
	return role, pg.Fault(err, "ROLE_NOT_FOUND", "tenant %s has no role %s", c.Tenant.Name, name)
}

func insert(ctx context.Context, c *change.Change, r roleRow) (id int64, err error) {
	err = c.Tx.QueryRow(ctx, `
		INSERT INTO auth.roles (tenant_id, name, object_type, authority, actions, creator, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		c.Tenant.ID, r.Name, r.ObjectType, r.Authority, r.Actions, r.Creator, c.Now).Scan(&id)
	return id, pg.Fault(err, "ROLE_EXISTS", "tenant %s has a role %s already", r.Tenant, r.Name)
}

func update(ctx context.Context, c *change.Change, r roleRow) error {
	_, err := c.Tx.Exec(ctx, `UPDATE auth.roles SET object_type = $2, authority = $3, actions = $4 WHERE id = $1`,
		r.ID, r.ObjectType, r.Authority, r.Actions)
	return pg.Fault(err, "ROLE", "store the role %s of tenant %s", r.Name, r.Tenant)
}

// setObjects replaces the users that a role reaches.
func setObjects(ctx context.Context, c *change.Change, r roleRow, users []int64) error {
	if _, err := c.Tx.Exec(ctx, `DELETE FROM auth.role_objects WHERE role_id = $1`, r.ID); err != nil {
		return pg.Fault(err, "ROLE", "replace the users of the role %s", r.Name)
	}
	_, err := c.Tx.Exec(ctx, `INSERT INTO auth.role_objects (role_id, user_id) SELECT $1, user_id FROM unnest($2::bigint[]) AS user_id`, r.ID, users)
	return pg.Fault(err, "ROLE", "replace the users of the role %s", r.Name)
}

// remove also takes what was granted to the role, and writes that down in it.
func remove(ctx context.Context, c *change.Change, r *roleRow) error {
	g, err := rights.OfRole(ctx, c.Tx, r.ID)
	if err != nil {
		return err
	}
	r.granted = g.Granted()
	_, err = c.Tx.Exec(ctx, `DELETE FROM auth.roles WHERE id = $1`, r.ID)
	return pg.Fault(err, "ROLE_IN_USE", "the role %s of tenant %s cannot be deleted: users have it", r.Name, r.Tenant)
}

type userRef struct {
	ID       int64  `db:"id"`
	Tenant   string `db:"tenant"`
	Username string `db:"username"`
}

// usersNamed returns those of the users that there are. The names of tenants are exact, those of users have no case.
func usersNamed(ctx context.Context, c *change.Change, tenants, usernames []string) ([]userRef, error) {
	rows, _ := c.Tx.Query(ctx, `
		SELECT DISTINCT u.id, t.name AS tenant, u.username
		  FROM unnest($1::text[], $2::text[]) AS wanted (tenant, username)
		  JOIN auth.tenants t ON t.name = wanted.tenant
		  JOIN auth.users u ON u.tenant_id = t.id AND lower(u.username) = lower(wanted.username)`, tenants, usernames) // the error comes again below
	users, err := pgx.CollectRows(rows, pgx.RowToStructByName[userRef])
	return users, pg.Fault(err, "USER", "read users")
}

// audited is a role as the audit shows it.
type audited struct {
	Name        string   `json:"name"`
	Tenant      string   `json:"tenant"`
	ObjectType  string   `json:"object_type"`
	ObjectUsers []string `json:"object_users"`
	Actions     []string `json:"actions"`
	Granted     []string `json:"granted,omitempty"` // of one that is deleted: what goes with it
}

func (r *roleRow) audited() any {
	if r == nil {
		return nil
	}
	return audited{Name: r.Name, Tenant: r.Tenant, ObjectType: r.ObjectType, ObjectUsers: r.Users, Actions: r.Actions, Granted: r.granted}
}
