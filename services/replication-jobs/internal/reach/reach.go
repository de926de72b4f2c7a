// Package reach says whose jobs a caller may see and change, in a form that SQL takes.
package reach

import (
	"context"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
)

// Reach limits jobs to those a caller may act for. A job is in reach when it is of the tenant and of one of the owners.
type Reach struct {
	Tenant *string  // nil: every tenant
	Owners []string // tenant:username; nil: every user
}

// Of returns the reach of the caller in ctx.
func Of(ctx context.Context) Reach {
	caller, scope := authn.FromContext(ctx), access.ScopeOf(ctx)
	var r Reach
	if !scope.EveryTenant {
		r.Tenant = &caller.Tenant
	}
	if !scope.All {
		r.Owners = append([]string{caller.Name()}, scope.Users...)
	}
	return r
}
