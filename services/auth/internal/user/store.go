package user

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// States of users.
const (
	Enabled  = "enabled"
	Disabled = "disabled"
)

type userRow struct {
	ID       int64     `db:"id"`
	Tenant   string    `db:"tenant"`
	Username string    `db:"username"`
	Email    string    `db:"email"`
	Phone    string    `db:"phone"`
	Status   string    `db:"status"`
	Created  time.Time `db:"created_at"`
	Remark   string    `db:"remark"`
	RoleID   *int64    `db:"role_id"` // of the first one
	Role     string    `db:"role"`
	Roles    []string  `db:"roles"` // names of all of them
	granted  []string  // what goes with a user who is deleted
}

func (u userRow) name() string { return authn.Principal{Tenant: u.Tenant, User: u.Username}.Name() }

// administers reports whether the user counts as an administrator now.
func (u userRow) administers() bool {
	return u.Status == Enabled && slices.Contains(u.Roles, authn.AdminRole)
}

func (u userRow) toProto() *authv1.User {
	return &authv1.User{
		Username: u.Username, Tenant: u.Tenant, Role: u.Role, CreateTime: timestamppb.New(u.Created), Remark: u.Remark,
	}
}

const (
	userColumns = `u.id, t.name AS tenant, u.username, u.email, u.phone, u.status, u.created_at, u.remark, u.role_id,
		coalesce(r.name, '') AS role,
		ARRAY(SELECT held.name FROM auth.held_roles h JOIN auth.roles held ON held.id = h.role_id
		       WHERE h.user_id = u.id ORDER BY held.name) AS roles`
	userTables = `auth.users u JOIN auth.tenants t ON t.id = u.tenant_id LEFT JOIN auth.roles r ON r.id = u.role_id`
)

type store struct{ pool *pgxpool.Pool }

// list returns the users in reach of somebody.
func (s store) list(ctx context.Context, by rights.Rights, tenant, prefix string) ([]userRow, error) {
	scope := by.Scope()
	rows, _ := s.pool.Query(ctx, `
		SELECT `+userColumns+`
		  FROM `+userTables+`
		 WHERE ($1 OR t.name = $2)
		   AND ($3 OR u.id = $4 OR t.name || ':' || u.username = ANY ($5))
		   AND ($6 = '' OR t.name = $6)
		   AND starts_with(lower(u.username), lower($7))
		 ORDER BY t.name, lower(u.username)`,
		scope.EveryTenant, by.Tenant, scope.All, by.UserID, scope.Users, tenant, prefix) // the error comes again below
	users, err := pgx.CollectRows(rows, pgx.RowToStructByName[userRow])
	return users, pg.Fault(err, "USER", "list users")
}

// tenants returns the names of those in reach of somebody.
func (s store) tenants(ctx context.Context, by rights.Rights) ([]string, error) {
	rows, _ := s.pool.Query(ctx, `SELECT name FROM auth.tenants WHERE $1 OR name = $2 ORDER BY name`,
		by.Scope().EveryTenant, by.Tenant) // the error comes again below
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, pg.Fault(err, "TENANT", "list tenants")
}

func find(ctx context.Context, c *change.Change, username string) (userRow, error) {
	rows, _ := c.Tx.Query(ctx, `SELECT `+userColumns+` FROM `+userTables+` WHERE u.tenant_id = $1 AND lower(u.username) = lower($2)`,
		c.Tenant.ID, username) // the error comes again below
	u, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[userRow])
	return u, pg.Fault(err, "USER_NOT_FOUND", "there is no user %s:%s", c.Tenant.Name, username)
}

// findAll returns users of the tenant in ascending order of their ids; all must exist.
func findAll(ctx context.Context, c *change.Change, ids []int64) ([]userRow, error) {
	rows, _ := c.Tx.Query(ctx, `SELECT `+userColumns+` FROM `+userTables+` WHERE u.tenant_id = $1 AND u.id = ANY ($2) ORDER BY u.id`,
		c.Tenant.ID, ids) // the error comes again below
	users, err := pgx.CollectRows(rows, pgx.RowToStructByName[userRow])
	if err != nil {
		return nil, pg.Fault(err, "USER", "read users")
	}
	for _, id := range ids {
		if !slices.ContainsFunc(users, func(u userRow) bool { return u.ID == id }) {
			return nil, notFound(id)
		}
	}
	return users, nil
}

func notFound(id int64) *fault.Fault {
	return fault.NotFound("USER_NOT_FOUND", "there is no user %d", id).Chinese("没有用户 %d", id)
}

func roleOf(ctx context.Context, c *change.Change, name string) (rights.Role, error) {
	rows, _ := c.Tx.Query(ctx, `
		SELECT r.id AS role_id, r.name AS role, r.object_type, r.actions,
		       ARRAY(SELECT ot.name || ':' || ou.username
		               FROM auth.role_objects o
		               JOIN auth.users ou ON ou.id = o.user_id
		               JOIN auth.tenants ot ON ot.id = ou.tenant_id
		              WHERE o.role_id = r.id) AS object_users
		  FROM auth.roles r
		 WHERE r.tenant_id = $1 AND r.name = $2`, c.Tenant.ID, name) // the error comes again below
	role, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[rights.Role])
	return role, pg.Fault(err, "ROLE_NOT_FOUND", "role: tenant %s has no role %s", c.Tenant.Name, name)
}

func insert(ctx context.Context, c *change.Change, u userRow, hash string) (id int64, err error) {
	err = c.Tx.QueryRow(ctx, `
		INSERT INTO auth.users (tenant_id, role_id, username, remark, password_hash, password_set_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id`, c.Tenant.ID, u.RoleID, u.Username, u.Remark, hash, c.Now).Scan(&id)
	return id, pg.Fault(err, "USER_EXISTS", "there is a user %s already", u.name())
}

// update replaces the first role and the remark.
func update(ctx context.Context, c *change.Change, u userRow, role rights.Role, remark string) error {
	_, err := c.Tx.Exec(ctx, `UPDATE auth.users SET role_id = $2, remark = $3 WHERE id = $1`, u.ID, role.ID, remark)
	if err != nil {
		return pg.Fault(err, "USER", "store user %s", u.name())
	}
	_, err = c.Tx.Exec(ctx, `DELETE FROM auth.user_roles WHERE user_id = $1 AND role_id = $2`, u.ID, role.ID)
	return pg.Fault(err, "USER", "store the roles of user %s", u.name())
}

// setPassword also ends the user's sessions.
func setPassword(ctx context.Context, c *change.Change, u userRow, hash string) error {
	_, err := c.Tx.Exec(ctx, `UPDATE auth.users SET password_hash = $2, password_set_at = $3 WHERE id = $1`, u.ID, hash, c.Now)
	if err != nil {
		return pg.Fault(err, "USER", "store the password of %s", u.name())
	}
	return endSessions(ctx, c, u)
}

func endSessions(ctx context.Context, c *change.Change, u userRow) error {
	_, err := c.Tx.Exec(ctx, `DELETE FROM auth.sign_ins WHERE user_id = $1`, u.ID)
	return pg.Fault(err, "SESSION", "end the sessions of %s", u.name())
}

// remove also ends the user's sessions and takes his own grants, which it writes down in him: they go with him.
func remove(ctx context.Context, c *change.Change, u *userRow) error {
	g, err := grantedTo(ctx, c, u.ID)
	if err != nil {
		return err
	}
	u.granted = g
	_, err = c.Tx.Exec(ctx, `DELETE FROM auth.users WHERE id = $1`, u.ID)
	return pg.Fault(err, "USER", "delete user %s", u.name())
}

// grantedTo returns what a user is granted by himself.
func grantedTo(ctx context.Context, c *change.Change, id int64) ([]string, error) {
	rows, _ := c.Tx.Query(ctx, `
		SELECT module || '.' || permission AS granted FROM auth.module_grants WHERE user_id = $1
		UNION ALL
		SELECT kind || ':' || resource_id || '.' || permission FROM auth.resource_grants WHERE user_id = $1
		UNION ALL
		SELECT 'level ' || level || '@' || node_id FROM auth.tree_levels WHERE user_id = $1
		 ORDER BY granted`, id) // the error comes again below
	granted, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return granted, pg.Fault(err, "USER", "list what user %d is granted", id)
}

// admins counts those who administer the tenant.
func admins(ctx context.Context, c *change.Change) (n int, err error) {
	err = c.Tx.QueryRow(ctx, `
		SELECT count(*)
		  FROM auth.roles r
		  JOIN auth.held_roles h ON h.role_id = r.id
		  JOIN auth.users u ON u.id = h.user_id
		 WHERE r.tenant_id = $1 AND r.name = $2 AND u.status = 'enabled'`, c.Tenant.ID, authn.AdminRole).Scan(&n)
	return n, pg.Fault(err, "USER", "count the administrators of tenant %s", c.Tenant.Name)
}

// audited is a user as the audit shows him.
type audited struct {
	Username string   `json:"username"`
	Tenant   string   `json:"tenant"`
	Email    string   `json:"email"`
	Phone    string   `json:"phone"`
	Roles    []string `json:"roles"`
	Remark   string   `json:"remark"`
	Status   string   `json:"status"`
	Granted  []string `json:"granted,omitempty"`  // of one who is deleted: what goes with him
	Password string   `json:"password,omitempty"` // never the password: whether it changed
}

func (u *userRow) audited() audited {
	return audited{
		Username: u.Username, Tenant: u.Tenant, Email: u.Email, Phone: u.Phone, Roles: u.Roles, Remark: u.Remark, Status: u.Status,
		Granted: u.granted,
	}
}
