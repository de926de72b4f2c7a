package reach_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/reach"
)

func TestOf(t *testing.T) {
	t.Parallel()
	shop := "shop"
	alice := authn.Principal{Tenant: shop, User: "alice"}
	for name, tc := range map[string]struct {
		scope access.Scope
		want  reach.Reach
	}{
		"nobody decided":          {access.Scope{}, reach.Reach{Tenant: &shop, Owners: []string{"shop:alice"}}},
		"own things":              {access.Scope{}, reach.Reach{Tenant: &shop, Owners: []string{"shop:alice"}}},
		"those of others besides": {access.Scope{Users: []string{"shop:bob"}}, reach.Reach{Tenant: &shop, Owners: []string{"shop:alice", "shop:bob"}}},
		"all of the tenant":       {access.Scope{All: true}, reach.Reach{Tenant: &shop}},
		"everything":              {access.Scope{All: true, EveryTenant: true}, reach.Reach{}},
	} {
		ctx := access.WithDecision(authn.WithPrincipal(context.Background(), alice), access.Decision{Scope: tc.scope})
		require.Equal(t, tc.want, reach.Of(ctx), name)
	}
}
