package rights

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func person(tenant, name, role, objects string, actions []string, users ...string) Rights {
	return Rights{Tenant: tenant, Username: name, Role: Role{Name: role, ObjectType: objects, Actions: actions, Users: users}}
}

var (
	list = []string{"user-list"}
	both = []string{"user-create", "user-list"}
)

func TestNobodyCoversMoreThanHeIs(t *testing.T) {
	t.Parallel()
	admin := person("acme", "root", "admin", Self, nil)
	boss := person("acme", "boss", "boss", All, both)
	lead := person("acme", "lead", "lead", Designate, both, "acme:ann")
	worker := person("acme", "worker", "worker", Self, list)
	for _, test := range []struct {
		name string
		by   Rights
		role Role
		want bool
	}{
		{"admin, admin", admin, admin.Role, true},
		{"admin, all", admin, boss.Role, true},
		{"all, admin", boss, Role{Name: "admin", ObjectType: Self}, false},
		{"all, designate", boss, lead.Role, true},
		{"all, its own", boss, boss.Role, true},
		{"all, another action", boss, Role{ObjectType: Self, Actions: []string{"auth-list"}}, false},
		{"designate, its own", lead, lead.Role, true},
		{"designate, all", lead, Role{ObjectType: All, Actions: list}, false},
		{"designate, himself", lead, Role{ObjectType: Designate, Users: []string{"acme:lead"}}, true},
		{"designate, another user", lead, Role{ObjectType: Designate, Users: []string{"acme:ann", "acme:bob"}}, false},
		{"self, less", worker, Role{ObjectType: Self}, true},
		{"self, more", worker, Role{ObjectType: Self, Actions: both}, false},
		{"self, designate", worker, Role{ObjectType: Designate, Users: []string{"acme:ann"}}, false},
	} {
		err := test.by.Cover(test.role)
		require.Equal(t, test.want, err == nil, "%s: %v", test.name, err)
		require.True(t, err == nil || fault.Is(err, "ABOVE_CALLER"), "%s: %v", test.name, err)
	}
}

func TestRolesOpenWhatTheirActionsSay(t *testing.T) {
	t.Parallel()
	worker, admin := Role{Name: "worker", Actions: list}, Role{Name: "admin"}
	for uri, want := range map[string]bool{"": false, "/v2/user/list": true, "/v2/user/create": false, "/v2/log/level": false, "/v2/user/list/": false} {
		require.Equal(t, want, worker.Opens(uri), uri)
		require.True(t, admin.Opens(uri), uri)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	worker, admin := Rights{Role: Role{Name: "worker", Actions: list}}, Rights{Role: Role{Name: "admin"}}
	for right, want := range map[string]bool{"": true, "menu:/v2/user/list": true, "menu:/v2/user/create": false, "admin": false, "menu:": false, "row": false} {
		require.Equal(t, want, worker.Hold(right), right)
	}
	require.True(t, admin.Hold("admin"))
	require.False(t, Rights{Tenant: "acme", Role: Role{Name: "admin"}}.Hold("platform"))
	require.True(t, Rights{Tenant: "platform", Role: Role{Name: "reader"}}.Hold("platform"))
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		who  Rights
		want access.Scope
	}{
		{person("acme", "root", "admin", Self, nil), access.Scope{All: true}},
		{person("platform", "root", "admin", All, nil), access.Scope{All: true, EveryTenant: true}},
		{person("platform", "ann", "reader", Self, nil), access.Scope{EveryTenant: true}},
		{person("acme", "ann", "lead", Designate, nil, "acme:bob"), access.Scope{Users: []string{"acme:bob"}}},
		{person("acme", "ann", "lead", Self, nil, "acme:bob"), access.Scope{}},
	} {
		require.Equal(t, test.want, test.who.Scope(), "%+v", test.who)
	}
}
