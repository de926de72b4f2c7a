package rights

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func person(tenant, name string, roles ...Role) Rights {
	r := Rights{Tenant: tenant, Username: name}
	for _, role := range roles {
		g := role.Grants()
		r.Roles, r.ObjectTypes = append(r.Roles, g.Roles...), append(r.ObjectTypes, g.ObjectTypes...)
		r.Actions, r.Users = append(r.Actions, g.Actions...), append(r.Users, g.Users...)
	}
	return r
}

func withMore(r Rights, modules, resources []string, levels map[int64]int32) Rights {
	r.Modules, r.Resources, r.Levels = modules, resources, levels
	return r
}

var (
	list = []string{"user-list"}
	both = []string{"user-create", "user-list"}

	adminRole  = Role{Name: "admin", ObjectType: Self}
	bossRole   = Role{Name: "boss", ObjectType: All, Actions: both}
	leadRole   = Role{Name: "lead", ObjectType: Designate, Actions: both, Users: []string{"acme:ann"}}
	workerRole = Role{Name: "worker", ObjectType: Self, Actions: list}
)

func TestNobodyCoversMoreThanHeIs(t *testing.T) {
	t.Parallel()
	admin, boss := person("acme", "root", adminRole), person("acme", "boss", bossRole)
	lead, worker := person("acme", "lead", leadRole), person("acme", "worker", workerRole)
	holder := withMore(person("acme", "holder", bossRole), []string{"dns.enable_dns_mgmt"}, []string{"host:1.view_host"}, map[int64]int32{0: 1, 7: 2})
	for _, test := range []struct {
		name string
		by   Rights
		than Grants
		want bool
	}{
		{"admin, admin", admin, adminRole.Grants(), true},
		{"admin, all", admin, bossRole.Grants(), true},
		{"admin, anything", admin, holder.Grants, true},
		{"all, admin", boss, adminRole.Grants(), false},
		{"all, designate", boss, leadRole.Grants(), true},
		{"all, its own", boss, bossRole.Grants(), true},
		{"all, another action", boss, Role{ObjectType: Self, Actions: []string{"auth-list"}}.Grants(), false},
		{"designate, its own", lead, leadRole.Grants(), true},
		{"designate, all", lead, Role{ObjectType: All, Actions: list}.Grants(), false},
		{"designate, himself", lead, Role{ObjectType: Designate, Users: []string{"acme:lead"}}.Grants(), true},
		{"designate, another user", lead, Role{ObjectType: Designate, Users: []string{"acme:ann", "acme:bob"}}.Grants(), false},
		{"self, less", worker, Role{ObjectType: Self}.Grants(), true},
		{"self, more", worker, Role{ObjectType: Self, Actions: both}.Grants(), false},
		{"self, designate", worker, Role{ObjectType: Designate, Users: []string{"acme:ann"}}.Grants(), false},
		{"grants, the same", holder, holder.Grants, true},
		{"grants, a module's permission more", holder, Grants{Modules: []string{"dns.manage_dns_server"}}, false},
		{"grants, a resource more", holder, Grants{Resources: []string{"host:2.view_host"}}, false},
		{"grants, a level less", holder, Grants{Levels: map[int64]int32{7: 1}}, true},
		{"grants, the global level elsewhere", holder, Grants{Levels: map[int64]int32{9: 1}}, true},
		{"grants, a level more", holder, Grants{Levels: map[int64]int32{9: 2}}, false},
		{"no grants, a module's permission", boss, Grants{Modules: []string{"dns.enable_dns_mgmt"}}, false},
		{"many roles, one of them admin", boss, person("acme", "x", workerRole, adminRole).Grants, false},
		{"many roles of his own, both", person("acme", "y", leadRole, workerRole), person("acme", "x", workerRole, leadRole).Grants, true},
	} {
		err := test.by.Cover("x", test.than)
		require.Equal(t, test.want, err == nil, "%s: %v", test.name, err)
		require.True(t, err == nil || fault.Is(err, "ABOVE_CALLER"), "%s: %v", test.name, err)
	}
}

func TestRolesOpenWhatTheirActionsSay(t *testing.T) {
	t.Parallel()
	worker, admin := workerRole.Grants(), adminRole.Grants()
	for uri, want := range map[string]bool{"": false, "/v2/user/list": true, "/v2/user/create": false, "/v2/log/level": false, "/v2/user/list/": false} {
		require.Equal(t, want, worker.Opens(uri), uri)
		require.True(t, admin.Opens(uri), uri)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	worker, admin := person("acme", "worker", workerRole), person("acme", "root", workerRole, adminRole)
	worker.UserID, admin.UserID = 5, 6
	worker = withMore(worker,
		[]string{
			"application.enable_app_mgmt", "application.view_app", "dns.manage_dns_server", "resource.enable_host_mgmt", "resource.manage_host",
			"resource.view_business",
		},
		[]string{"application:17.edit_app", "application:17.deploy_app", "business:1.view"}, map[int64]int32{0: 1, 12: 2})
	for right, want := range map[string]bool{
		"": true, "menu:/v2/user/list": true, "menu:/v2/user/create": false, "menu:": false, "admin": false, "row": false, "user:5": true, "user:6": false, "user:05": false,
		"module:application.enable_app_mgmt": true, "module:application.view_app": true, "module:application.edit_app": false,
		"module:dns.manage_dns_server":    false, // without its switch
		"module:resource.view_business":   false, // the switch of the module's other half is not enough
		"module:resource.manage_host":     true,
		"module:deploy_template.anything": false,
		"application:17.edit_app":         true, "application:17.deploy_app": true, "application:18.edit_app": false,
		"application:18.view_app":   true, // of every application
		"application:17.delete_app": false, "application:17.fly": false, "application:x.view_app": false, "application:-1.view_app": false,
		"host:4.login_host": true, "host:4.delete_host": true, // whoever manages hosts
		"business:1.view":         false, // granted, and the switch is missing
		"point:openc3_job_read@0": true, "point:openc3_job_read@99": true,
		"point:openc3_job_control@99": true, "point:openc3_job_control@0": false, // at the global node only administrators
		"point:openc3_job_write@12": true, "point:openc3_job_write@13": false, "point:openc3_job_root@12": false, "point:openc3_job_root@0": false,
		"point:openc3_job_fly@12": false, "point:openc3_job_read": false,
	} {
		require.Equal(t, want, worker.Hold(right), right)
	}
	for right, want := range map[string]bool{
		"admin": true, "menu:/v2/nothing": true, "module:dns.manage_dns_server": true, "module:dns.nothing": false, "application:1.edit_app": true,
		"application:1.nothing": false, "business:1.edit": true, "point:openc3_job_root@0": true, "point:nothing@0": false, "user:5": false, "row": false, "nothing": false,
	} {
		require.Equal(t, want, admin.Hold(right), right)
	}
	global := withMore(person("acme", "ops", workerRole), nil, nil, map[int64]int32{0: 3})
	for _, right := range []string{"point:openc3_job_root@0", "point:openc3_job_root@12", "point:openc3_job_write@0", "point:openc3_job_delete@12"} {
		require.True(t, global.Hold(right), right)
	}
	require.False(t, withMore(person("acme", "ops"), nil, nil, map[int64]int32{12: 3}).Hold("point:openc3_job_root@12"), "a root point is global only")
	require.False(t, person("acme", "root", adminRole).Hold("platform"))
	require.True(t, person("platform", "ann", workerRole).Hold("platform"))
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		who  Rights
		want access.Scope
	}{
		{person("acme", "root", adminRole), access.Scope{All: true}},
		{person("platform", "root", Role{Name: "admin", ObjectType: All}), access.Scope{All: true, EveryTenant: true}},
		{person("platform", "ann", workerRole), access.Scope{EveryTenant: true}},
		{person("acme", "ann", Role{Name: "lead", ObjectType: Designate, Users: []string{"acme:bob"}}), access.Scope{Users: []string{"acme:bob"}}},
		{person("acme", "ann", Role{Name: "lead", ObjectType: Self, Users: []string{"acme:bob"}}), access.Scope{}},
		{person("acme", "ann", workerRole, leadRole), access.Scope{Users: []string{"acme:ann"}}},
		{person("acme", "ann", workerRole, bossRole, leadRole), access.Scope{All: true}},
		{person("acme", "ann"), access.Scope{}},
	} {
		require.Equal(t, test.want, test.who.Scope(), "%+v", test.who)
	}
}
