// Package rights says what somebody who is signed in may do at this moment.
package rights

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/menu"
)

// Object types of roles, as the documents name them.
const (
	All       = "all"
	Self      = "self"
	Designate = "designate"
)

// Role is what a role lets its users do.
type Role struct {
	ID         int64    `db:"role_id"`
	Name       string   `db:"role"`
	ObjectType string   `db:"object_type"`
	Actions    []string `db:"actions"`
	Users      []string `db:"object_users"` // tenant:username
}

// Rights are somebody's rights.
type Rights struct {
	UserID   int64     `db:"user_id"`
	Tenant   string    `db:"tenant"`
	Username string    `db:"username"`
	Created  time.Time `db:"created_at"`
	Remark   string    `db:"remark"`
	Revision int64     `db:"revision"` // of everybody's rights
	Role
}

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Of returns the rights of a caller whose session is open and who is enabled. Errors: SESSION_ENDED.
func Of(ctx context.Context, db Querier, caller authn.Principal, now time.Time) (Rights, error) {
	rows, _ := db.Query(ctx, `
		SELECT u.id AS user_id, t.name AS tenant, u.username, u.created_at, u.remark, (SELECT n FROM auth.revision) AS revision,
		       r.id AS role_id, r.name AS role, r.object_type, r.actions,
		       ARRAY(SELECT ot.name || ':' || ou.username
		               FROM auth.role_objects o
		               JOIN auth.users ou ON ou.id = o.user_id
		               JOIN auth.tenants ot ON ot.id = ou.tenant_id
		              WHERE o.role_id = r.id) AS object_users
		  FROM auth.sessions s
		  JOIN auth.users u ON u.id = s.user_id
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  JOIN auth.roles r ON r.id = u.role_id
		 WHERE s.id = $1 AND s.expires_at > $2 AND u.status = 'enabled' AND t.name = $3 AND u.username = $4`,
		caller.Session, now, caller.Tenant, caller.User) // the error comes again below
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Rights])
	if errors.Is(err, pgx.ErrNoRows) {
		return Rights{}, fault.Unauthenticated("SESSION_ENDED", "the session of %s has ended: please log in again", caller.Name())
	}
	return r, pg.Fault(err, "USER", "read user %s", caller.Name())
}

// Principal returns whose rights they are.
func (r Rights) Principal() authn.Principal {
	return authn.Principal{Tenant: r.Tenant, User: r.Username, Role: r.Name}
}

// Admin reports whether the role opens everything in the tenants in reach.
func (r Role) Admin() bool { return r.Name == authn.AdminRole }

// Opens reports whether the role opens a path of the menu catalogue.
func (r Role) Opens(uri string) bool {
	return r.Admin() || slices.Contains(r.Actions, menu.ActionOf(uri)) // no role has the action ""
}

// Hold reports whether the rights hold one that is written as in opsdeck.access.v1.Rights.
func (r Rights) Hold(right string) bool {
	if uri, ok := strings.CutPrefix(right, access.MenuPrefix); ok {
		return r.Opens(uri)
	}
	switch right {
	case "":
		return true
	case "admin":
		return r.Admin()
	case "platform":
		return r.Tenant == authn.PlatformTenant
	}
	return false
}

// Scope returns whose things the rights reach.
func (r Rights) Scope() access.Scope {
	scope := access.Scope{All: r.Admin() || r.ObjectType == All, EveryTenant: r.Tenant == authn.PlatformTenant}
	if r.ObjectType == Designate {
		scope.Users = r.Users
	}
	return scope
}

// Reach refuses a user that the rights do not reach: OUT_OF_SCOPE. Whether there is such a user does not show.
func (r Rights) Reach(tenant, username string) error {
	if r.Scope().Reaches(r.Principal(), tenant, username) {
		return nil
	}
	return fault.Denied("OUT_OF_SCOPE", "%s may not act for user %s:%s", r.Principal().Name(), tenant, username)
}

// ReachTenant refuses a tenant that the rights do not reach: OUT_OF_SCOPE.
func (r Rights) ReachTenant(tenant string) error {
	if r.Tenant == authn.PlatformTenant || r.Tenant == tenant {
		return nil
	}
	return fault.Denied("OUT_OF_SCOPE", "%s may not act for tenant %s", r.Principal().Name(), tenant)
}

// Cover refuses a role that gives more than the rights: ABOVE_CALLER. It keeps people from making themselves, or others, more
// than they are, and from touching those above them.
func (r Rights) Cover(role Role) error {
	if r.Admin() || !role.Admin() && r.coversActions(role) && r.coversObjects(role) {
		return nil
	}
	return fault.Denied("ABOVE_CALLER", "the role %s gives more than %s may do", role.Name, r.Principal().Name())
}

func (r Rights) coversActions(role Role) bool {
	return !slices.ContainsFunc(role.Actions, func(action string) bool { return !slices.Contains(r.Actions, action) })
}

func (r Rights) coversObjects(role Role) bool {
	scope := r.Scope()
	switch {
	case scope.All || role.ObjectType == Self:
		return true
	case role.ObjectType == All:
		return false
	}
	return !slices.ContainsFunc(role.Users, func(user string) bool {
		return user != r.Principal().Name() && !slices.Contains(scope.Users, user)
	})
}

// Newest returns the revision of everybody's rights.
func Newest(ctx context.Context, db Querier) (int64, error) {
	rows, _ := db.Query(ctx, `SELECT n FROM auth.revision`) // the error comes again below
	n, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	return n, pg.Fault(err, "REVISION", "read the revision of rights")
}
