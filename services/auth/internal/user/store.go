package user

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

type userRow struct {
	ID       int64     `db:"id"`
	Tenant   string    `db:"tenant"`
	Username string    `db:"username"`
	Enabled  bool      `db:"enabled"`
	Created  time.Time `db:"created_at"`
	Remark   string    `db:"remark"`
	rights.Role
}

func (u userRow) name() string { return authn.Principal{Tenant: u.Tenant, User: u.Username}.Name() }

// listed is a user as lists show him.
type listed struct {
	Username string    `db:"username"`
	Tenant   string    `db:"tenant"`
	Role     string    `db:"role"`
	Created  time.Time `db:"created_at"`
	Remark   string    `db:"remark"`
}

func (l listed) toProto() *authv1.User {
	return &authv1.User{
		Username: l.Username, Tenant: l.Tenant, Role: l.Role, CreateTime: timestamppb.New(l.Created), Remark: l.Remark,
	}
}

type store struct{ pool *pgxpool.Pool }

// list returns the users in reach of somebody.
func (s store) list(ctx context.Context, by rights.Rights, tenant, prefix string) ([]listed, error) {
	scope := by.Scope()
	rows, _ := s.pool.Query(ctx, `
		SELECT u.username, t.name AS tenant, r.name AS role, u.created_at, u.remark
		  FROM auth.users u
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  JOIN auth.roles r ON r.id = u.role_id
		 WHERE ($1 OR t.name = $2)
		   AND ($3 OR u.id = $4 OR t.name || ':' || u.username = ANY ($5))
		   AND ($6 = '' OR t.name = $6)
		   AND starts_with(lower(u.username), lower($7))
		 ORDER BY t.name, lower(u.username)`,
		scope.EveryTenant, by.Tenant, scope.All, by.UserID, scope.Users, tenant, prefix) // the error comes again below
	users, err := pgx.CollectRows(rows, pgx.RowToStructByName[listed])
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
	rows, _ := c.Tx.Query(ctx, `
		SELECT u.id, t.name AS tenant, u.username, u.status = 'enabled' AS enabled, u.created_at, u.remark,
		       r.id AS role_id, r.name AS role, r.object_type, r.actions,
		       ARRAY(SELECT ot.name || ':' || ou.username
		               FROM auth.role_objects o
		               JOIN auth.users ou ON ou.id = o.user_id
		               JOIN auth.tenants ot ON ot.id = ou.tenant_id
		              WHERE o.role_id = r.id) AS object_users
		  FROM auth.users u
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  JOIN auth.roles r ON r.id = u.role_id
		 WHERE u.tenant_id = $1 AND lower(u.username) = lower($2)`, c.Tenant.ID, username) // the error comes again below
	u, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[userRow])
	return u, pg.Fault(err, "USER_NOT_FOUND", "there is no user %s:%s", c.Tenant.Name, username)
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

func insertAdminRole(ctx context.Context, c *change.Change) (rights.Role, error) {
	role := rights.Role{Name: authn.AdminRole, ObjectType: rights.All}
	err := c.Tx.QueryRow(ctx, `
		INSERT INTO auth.roles (tenant_id, name, object_type, created_at) VALUES ($1, $2, $3, $4) RETURNING id`,
		c.Tenant.ID, role.Name, role.ObjectType, c.Now).Scan(&role.ID)
	if err != nil {
		return role, pg.Fault(err, "ROLE_EXISTS", "make the role %s of tenant %s", role.Name, c.Tenant.Name)
	}
	name := c.Tenant.Name + ":" + role.Name
	return role, c.Record(ctx, change.Entry{
		Action: "role.created", Subject: name, After: map[string]string{"name": role.Name, "object_type": role.ObjectType},
		Event: &eventv1.RoleChanged{Tenant: c.Tenant.Name, Name: role.Name, ChangedBy: c.By.Principal().Name()},
	})
}

func insert(ctx context.Context, c *change.Change, u userRow, hash string) error {
	_, err := c.Tx.Exec(ctx, `
		INSERT INTO auth.users (tenant_id, role_id, username, remark, password_hash, password_set_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $6)`, c.Tenant.ID, u.Role.ID, u.Username, u.Remark, hash, c.Now)
	return pg.Fault(err, "USER_EXISTS", "there is a user %s already", u.name())
}

func update(ctx context.Context, c *change.Change, u userRow) error {
	_, err := c.Tx.Exec(ctx, `UPDATE auth.users SET role_id = $2, remark = $3 WHERE id = $1`, u.ID, u.Role.ID, u.Remark)
	return pg.Fault(err, "USER", "store user %s", u.name())
}

// setPassword also ends the user's sessions.
func setPassword(ctx context.Context, c *change.Change, u userRow, hash string) error {
	_, err := c.Tx.Exec(ctx, `UPDATE auth.users SET password_hash = $2, password_set_at = $3 WHERE id = $1`, u.ID, hash, c.Now)
	if err != nil {
		return pg.Fault(err, "USER", "store the password of %s", u.name())
	}
	_, err = c.Tx.Exec(ctx, `DELETE FROM auth.sign_ins WHERE user_id = $1`, u.ID)
	return pg.Fault(err, "SESSION", "end the sessions of %s", u.name())
}

// remove also ends the user's sessions: they go with him.
func remove(ctx context.Context, c *change.Change, u userRow) error {
	_, err := c.Tx.Exec(ctx, `DELETE FROM auth.users WHERE id = $1`, u.ID)
	return pg.Fault(err, "USER", "delete user %s", u.name())
}

func otherAdmins(ctx context.Context, c *change.Change, u userRow) (n int, err error) {
	err = c.Tx.QueryRow(ctx, `
		SELECT count(*) FROM auth.users WHERE role_id = $1 AND id <> $2 AND status = 'enabled'`, u.Role.ID, u.ID).Scan(&n)
	return n, pg.Fault(err, "USER", "count the administrators of tenant %s", u.Tenant)
}

// audited is a user as the audit shows him.
type audited struct {
	Username string `json:"username"`
	Tenant   string `json:"tenant"`
	Role     string `json:"role"`
	Remark   string `json:"remark"`
	Enabled  bool   `json:"enabled"`
	Password string `json:"password,omitempty"` // never the password: whether it changed
}

func (u *userRow) audited() any {
	if u == nil {
		return nil
	}
	return &audited{Username: u.Username, Tenant: u.Tenant, Role: u.Name, Remark: u.Remark, Enabled: u.Enabled}
}

func record(ctx context.Context, c *change.Change, verb string, before, after *userRow, password bool) error {
	known := after
	if known == nil {
		known = before
	}
	e := change.Entry{
		Action: "user." + verb, Subject: known.name(), Before: before.audited(), After: after.audited(),
		Event: &eventv1.UserChanged{
			Tenant: known.Tenant, Username: known.Username, Role: known.Name, ChangedBy: c.By.Principal().Name(), PasswordChanged: password,
		},
	}
	if shown, ok := e.After.(*audited); ok && password {
		shown.Password = "changed"
	}
	return c.Record(ctx, e)
}
