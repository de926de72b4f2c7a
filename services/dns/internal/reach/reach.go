// Package reach says which servers and domains a caller reaches, and what he may do with them.
package reach

import (
	"context"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Manage is the right to change every domain, whoever made it.
const Manage = "module:dns.manage_dns_server"

// Reach are the tenants whose servers a caller sees. The zero Reach sees none.
type Reach struct {
	Tenant string
	Every  bool
}

// Of returns the reach of the caller.
func Of(ctx context.Context) Reach {
	return Reach{Tenant: authn.FromContext(ctx).Tenant, Every: access.ScopeOf(ctx).EveryTenant}
}

// MayEdit reports whether the caller may change a domain with this creator. The rule of the method must name Manage.
func MayEdit(ctx context.Context, tenant, creator string) bool {
	caller := authn.FromContext(ctx)
	return access.Holds(ctx, Manage) || caller.User != "" && caller.Tenant == tenant && caller.User == creator
}

// Edit is MayEdit for a method that wants it. Errors: FORBIDDEN.
func Edit(ctx context.Context, tenant, creator, domain string) error {
	if MayEdit(ctx, tenant, creator) {
		return nil
	}
	return fault.Denied("FORBIDDEN", "only who made the domain %s, and who manages name servers, may change it", domain).
		Chinese("只有域 %s 的创建者和 DNS 服务器管理员可以修改它", domain)
}
