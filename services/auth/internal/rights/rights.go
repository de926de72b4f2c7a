// Package rights says what somebody who is signed in may do at this moment.
package rights

import (
	"time"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// Rights are somebody's rights.
type Rights struct {
	UserID   int64     `db:"user_id"`
	Tenant   string    `db:"tenant"`
	Username string    `db:"username"`
	Role     string    `db:"role"` // name of the first one; empty for none
	Created  time.Time `db:"created_at"`
	Remark   string    `db:"remark"`
	Revision int64     `db:"revision"` // of everybody's rights
	Grants
}

// Principal returns whose rights they are.
func (r Rights) Principal() authn.Principal {
	return authn.Principal{Tenant: r.Tenant, User: r.Username, Role: r.Role}
}

// Hold reports whether the rights hold one that is written as in opsdeck.access.v1.Rights.
func (r Rights) Hold(text string) bool {
	switch text {
	case "":
		return true
	case access.AdminRight:
		return r.Admin()
	case access.PlatformRight:
		return r.Tenant == authn.PlatformTenant
	}
	right, ok := permission.ParseRight(text)
	if !ok {
		return false
	}
	switch right.Kind {
	case permission.MenuRight:
		return r.Opens(right.Name)
	case permission.UserRight:
		return r.UserID == right.ID
	case permission.ModuleRight:
		return r.Admin() || r.holdsModule(right.Name)
	case permission.PointRight:
		return r.Admin() || r.passes(right.Name, right.ID)
	}
	return r.Admin() || r.holdsEvery(right.Kind, right.Name) || r.holdsResource(right.Kind, right.ID, right.Name)
}

// Scope returns whose things the rights reach.
func (r Rights) Scope() access.Scope {
	scope := access.Scope{All: r.Admin() || r.reachesAll(), EveryTenant: r.Tenant == authn.PlatformTenant}
	if !scope.All {
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

// Cover refuses a role, or a user, that may do more than the rights: ABOVE_CALLER. It keeps people from making themselves, or
// others, more than they are, and from touching those above them. The rights must have been read in full.
func (r Rights) Cover(whom string, g Grants) error {
	if r.Admin() || r.covers(g, r.Principal().Name()) {
		return nil
	}
	return fault.Denied("ABOVE_CALLER", "%s may do more than %s", whom, r.Principal().Name())
}
