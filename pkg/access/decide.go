package access

import (
	"context"
	"slices"

	"github.com/opsdeck/opsdeck/pkg/authn"
)

// Decider knows what people may do now. A token alone does not: its session may have ended, and its user's rights may have
// changed, since it was signed.
type Decider interface {
	// Decide says which of the rights the caller holds; none may be asked for when being signed in is all that a method wants.
	// It returns an error when the session has ended, and when it cannot tell.
	Decide(ctx context.Context, caller authn.Principal, rights []string) (Decision, error)
}

// Decision is what a Decider says.
type Decision struct {
	Held  []string // of the rights asked for
	Scope Scope
}

// Holds reports whether a right was asked for and is held.
func (d Decision) Holds(right string) bool { return slices.Contains(d.Held, right) }

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

type decisionKey struct{}

// WithDecision returns a context that carries what was decided about the caller.
func WithDecision(ctx context.Context, d Decision) context.Context {
	return context.WithValue(ctx, decisionKey{}, d)
}

func decisionOf(ctx context.Context) Decision {
	d, _ := ctx.Value(decisionKey{}).(Decision)
	return d
}

// ScopeOf returns the scope of the caller in ctx; the zero Scope when nobody decided about one.
func ScopeOf(ctx context.Context) Scope { return decisionOf(ctx).Scope }

// Holds reports whether the caller in ctx holds a right that the rule of the method names. Methods with "row" in their rule ask it
// before they look at who owns a row.
func Holds(ctx context.Context, right string) bool { return decisionOf(ctx).Holds(right) }
