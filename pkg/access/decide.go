package access

import (
	"context"
	"slices"

	"github.com/opsdeck/opsdeck/pkg/authn"
)

// Decider knows what people may do now. A token alone does not: its session may have ended, and its user's role may have
// changed, since it was signed.
type Decider interface {
	// Decide says whether the caller may use a menu action; action is empty when being signed in is all that a method wants.
	// It returns an error when the session has ended, and when it cannot tell.
	Decide(ctx context.Context, caller authn.Principal, action string) (Decision, error)
}

// Decision is what a Decider says.
type Decision struct {
	Allowed bool
	Scope   Scope
}

// Scope says whose things a caller may act for. The zero Scope reaches nobody but the caller himself.
type Scope struct {
	All         bool     // everybody's in the tenants in reach
	EveryTenant bool     // not only the caller's own tenant
	Users       []string // of these users besides, as tenant:username
}

// Reaches reports whether the caller may act for a user, or for what the user owns.
func (s Scope) Reaches(caller authn.Principal, tenant, username string) bool {
	if !s.EveryTenant && tenant != caller.Tenant {
		return false
	}
	owner := authn.Principal{Tenant: tenant, User: username}
	return s.All || owner.Name() == caller.Name() || slices.Contains(s.Users, owner.Name())
}

type scopeKey struct{}

// WithScope returns a context that carries the scope of the caller.
func WithScope(ctx context.Context, s Scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// ScopeOf returns the scope of the caller in ctx; the zero Scope when nobody decided about one.
func ScopeOf(ctx context.Context) Scope {
	s, _ := ctx.Value(scopeKey{}).(Scope)
	return s
}
