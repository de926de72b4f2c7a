package auth

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

// holds asks which rights a caller has.
func (a *accounts) holds(t *testing.T, ctx context.Context, rights ...string) []bool {
	t.Helper()
	answer, err := a.access.BatchCheck(ctx, &authv1.BatchCheckRequest{Rights: rights})
	require.NoError(t, err)
	return answer.GetAllowed()
}

func module(name string, permissions map[string]bool) []*authv1.ModuleGrant {
	return []*authv1.ModuleGrant{{ModuleName: name, Permissions: permissions}}
}

func on(names ...string) map[string]bool {
	permissions := map[string]bool{}
	for _, name := range names {
		permissions[name] = true
	}
	return permissions
}

func off(names ...string) map[string]bool {
	permissions := map[string]bool{}
	for _, name := range names {
		permissions[name] = false
	}
	return permissions
}

// changesOf returns the audit of grants in a tenant.
func (a *accounts) changesOf(t *testing.T, tenant string) []string {
	t.Helper()
	return a.texts(t, `
		SELECT concat_ws(' ', operator_tenant || ':' || operator, CASE WHEN granted THEN 'gave' ELSE 'took' END,
		                 coalesce(module, resource_kind || '/' || resource_id || '/' || resource_name) || '.' || permission, target_type, target_name, request_id, address)
		  FROM auth.grant_changes WHERE tenant = $1 ORDER BY id`, tenant)
}

func (a *accounts) testModuleGrants(t *testing.T) {
	a.role(t, "modules", "ops", "self", "[]")
	a.user(t, "modules", "ann", "ops")
	a.user(t, "modules", "root", "admin")
	a.user(t, "modules2", "eve", "admin")
	root, ann := a.as(t, "modules", "root", goodPassword), a.as(t, "modules", "ann", goodPassword)
	annID, ops := a.userID(t, "modules", "ann"), a.roleID(t, "modules", "ops")
	toUser := func(ctx context.Context, id int64, grants []*authv1.ModuleGrant) error {
		_, err := a.permissions.GrantUserModules(ctx, &authv1.GrantUserModulesRequest{Id: id, Modules: grants})
		return err
	}
	toRole := func(ctx context.Context, id int64, grants []*authv1.ModuleGrant) error {
		_, err := a.permissions.GrantRoleModules(ctx, &authv1.GrantRoleModulesRequest{Id: id, Modules: grants})
		return err
	}
	rights := []string{"module:application.enable_app_mgmt", "module:application.create_app", "application:3.edit_app", "application:3.deploy_app"}
	require.Equal(t, []bool{false, false, false, false}, a.holds(t, ann, rights...))
	require.NoError(t, toUser(root, annID, module("应用管理", on("add_app", "manage_app"))), "as the documents spell it")
	require.Equal(t, []bool{false, false, false, false}, a.holds(t, ann, rights...), "without the switch")
	require.NoError(t, toRole(root, ops, module("application", on("enable_app_mgmt"))))
	require.Equal(t, []bool{true, true, true, false}, a.holds(t, ann, rights...), "the role's switch and her own permissions")
	require.NoError(t, toRole(root, ops, module("application", map[string]bool{"create_app": false, "edit_app": true})))
	require.Equal(t, []bool{true, true, true, false}, a.holds(t, ann, rights...), "false at one level is no veto")
	require.NoError(t, toUser(root, annID, module("application", off("create_app", "edit_app"))))
	require.Equal(t, []bool{true, false, true, false}, a.holds(t, ann, rights...))

	err := toUser(root, annID, module("application", on("view_app", "restart_app")))
	requireReason(t, err, "PERMISSION_UNDEFINED")
	require.ErrorContains(t, err, "undefined permission restart_app")
	requireReason(t, toUser(root, annID, module("rockets", on("fly"))), "INVALID_REQUEST")
	requireReason(t, toUser(root, annID, append(module("dns", on("enable_dns_mgmt")), module("DNS", on("manage_dns_server"))...)), "INVALID_REQUEST")
	requireReason(t, toUser(root, annID, module("application", map[string]bool{"edit_app": true, "manage_app": false})), "INVALID_REQUEST")
	requireReason(t, toUser(root, a.userID(t, "modules2", "eve"), module("dns", on("enable_dns_mgmt"))), "USER_NOT_FOUND")
	requireReason(t, toRole(root, a.roleID(t, "modules2", "admin"), module("dns", on("enable_dns_mgmt"))), "ROLE_NOT_FOUND")
	requireReason(t, toRole(root, a.roleID(t, "modules", "admin"), module("dns", on("enable_dns_mgmt"))), "ROLE_PROTECTED")
	requireReason(t, toUser(ann, annID, module("dns", on("enable_dns_mgmt"))), "FORBIDDEN")

	require.NoError(t, toUser(root, annID, module("deploy_template", on("enable_deploy_template_mgmt", "enable_cdn_refresher"))))
	require.Equal(t, []bool{true, false}, a.holds(t, ann, "module:deploy_template.enable_deploy_template_mgmt", "module:common_tools.enable_cdn_refresher"))
	list, err := a.permissions.ListUserModules(ann, &authv1.ListUserModulesRequest{Id: annID})
	require.NoError(t, err)
	require.Len(t, list.GetModules(), 7)
	require.Equal(t, map[string]bool{"enable_deploy_template_mgmt": true, "enable_cdn_refresher": false, "enable_jumpserver_log_mgmt": false}, list.GetModules()[6].GetPermissions())
	roles, err := a.permissions.ListRoleModules(root, &authv1.ListRoleModulesRequest{Id: ops})
	require.NoError(t, err)
	require.True(t, roles.GetModules()[1].GetPermissions()["edit_app"])
	require.False(t, roles.GetModules()[1].GetPermissions()["create_app"])

	const by = "modules:root "
	const from = " request-of-root 192.0.2.7"
	require.Equal(t, []string{
		by + "gave application.create_app user ann" + from, by + "gave application.edit_app user ann" + from,
		by + "gave application.enable_app_mgmt role ops" + from, by + "gave application.edit_app role ops" + from,
		by + "took application.create_app user ann" + from, by + "took application.edit_app user ann" + from,
		by + "gave deploy_template.enable_deploy_template_mgmt user ann" + from,
	}, a.changesOf(t, "modules"))
	require.Equal(t, []string{"user/modules:ann", "role/modules:ops", "role/modules:ops", "user/modules:ann", "user/modules:ann"}, a.texts(t, `
		SELECT args->'event'->>'subject' FROM auth.river_job
		 WHERE args->'event'->>'tenant' = 'modules' AND args->'event'->>'type' = 'opsdeck.auth.grants.changed' ORDER BY id`))
	a.testModuleAudit(t, root)
}

func (a *accounts) testModuleAudit(t *testing.T, root context.Context) {
	t.Helper()
	list := func(r *authv1.ListModuleGrantChangesRequest) *authv1.ListModuleGrantChangesResponse {
		answer, err := a.audit.ListModuleGrantChanges(root, r)
		require.NoError(t, err)
		return answer
	}
	all := list(&authv1.ListModuleGrantChangesRequest{PageSize: 2, Page: 2})
	require.Equal(t, int64(7), all.GetCount())
	require.Len(t, all.GetResults(), 2)
	newest := list(&authv1.ListModuleGrantChangesRequest{}).GetResults()[0]
	require.Equal(t, "deploy_template", newest.GetModuleName())
	require.Equal(t, "enable", newest.GetAction())
	require.Equal(t, "root", newest.GetOperator())
	for want, r := range map[int64]*authv1.ListModuleGrantChangesRequest{
		6: {ModuleName: "应用管理"},
		2: {PermName: "add_app"},
		3: {PermName: "manage_app"},
		1: {AuthorizedTargetType: "role", PermName: "enable_app_mgmt", Operator: "root", AuthorizedTargetName: "ops", Action: "enable"},
		0: {Operator: "roo"},
		5: {AuthorizedTargetName: "ann"},
	} {
		require.Equal(t, want, list(r).GetCount(), "%v", r)
	}
	require.Equal(t, int64(2), list(&authv1.ListModuleGrantChangesRequest{Action: "disable"}).GetCount())
	require.Equal(t, int64(7), list(&authv1.ListModuleGrantChangesRequest{OpTimeLt: newest.GetOpTime()}).GetCount(), "that time included")
	require.Equal(t, int64(1), list(&authv1.ListModuleGrantChangesRequest{OpTimeGt: newest.GetOpTime()}).GetCount(), "that time included")
}

// testGrantsElsewhere asks like another service, which remembers what it was told.
func (a *accounts) testGrantsElsewhere(t *testing.T) {
	const right = "application:17.restart_app"
	a.role(t, "far", "ops", "self", "[]")
	a.user(t, "far", "ann", "ops")
	token, err := a.tryLogin(t, "far", "ann", goodPassword)
	require.NoError(t, err)
	caller, err := authn.NewVerifier(authn.NewRemoteKeys(authv1.NewKeyServiceClient(a.conn))).Verify(t.Context(), token)
	require.NoError(t, err)
	ann := rpc.WithCall(t.Context(), rpc.Call{}.WithToken(token))
	events, err := bus.Connect(t.Context(), bus.Config{URL: a.cfg.NATSURL, Name: "far", User: a.cfg.NATSUser, Password: a.cfg.NATSPassword}, zap.NewNop())
	require.NoError(t, err)
	defer func() { require.NoError(t, events.Close(t.Context())) }()
	news, err := access.Listen(events)
	require.NoError(t, err)
	remote := access.NewRemote(a.access, news)
	within := func(what string, want bool) {
		t.Helper()
		require.Eventually(t, func() bool {
			d, err := remote.Decide(ann, caller, []string{right})
			return err == nil && d.Holds(right) == want
		}, time.Minute, 10*time.Millisecond, what)
	}
	ops, annID := a.roleID(t, "far", "ops"), a.userID(t, "far", "ann")
	grant := func(permissions map[string]bool) {
		t.Helper()
		_, err := a.apps.GrantRoleApplications(a.admin, &authv1.GrantRoleApplicationsRequest{Id: ops, Authorizations: appGrants(permissions, 17)})
		require.NoError(t, err)
	}
	within("nothing", false)
	_, err = a.permissions.GrantUserModules(a.admin, &authv1.GrantUserModulesRequest{Id: annID, Modules: module("application", on("enable_app_mgmt"))})
	require.NoError(t, err)
	grant(on("restart_app", "view_app"))
	within("granted", true)
	effective, err := a.permissions.GetEffectivePermissions(ann, &authv1.GetEffectivePermissionsRequest{Id: annID, MaxResources: 1})
	require.NoError(t, err)
	require.Equal(t, []*authv1.EffectiveModulePermission{
		{ModuleName: "application", PermName: "enable_app_mgmt", Effective: true, Sources: []*authv1.PermissionSource{{Type: "user"}}},
	}, effective.GetModules())
	byRole := []*authv1.PermissionSource{{Type: "role", RoleId: ops, RoleName: "ops"}}
	require.Equal(t, []*authv1.EffectiveResourcePermission{
		{ResourceType: "application", ResourceId: 17, ResourceName: "test.app", PermName: "restart_app", Effective: true, Sources: byRole},
	}, effective.GetResources())
	effective, err = a.permissions.GetEffectivePermissions(a.admin, &authv1.GetEffectivePermissionsRequest{Id: annID, MaxResources: 1, PageToken: effective.GetNextPageToken()})
	require.NoError(t, err)
	require.Equal(t, "view_app", effective.GetResources()[0].GetPermName())
	require.Empty(t, effective.GetNextPageToken())
	grant(off("restart_app"))
	within("revoked", false)
	grant(on("restart_app"))
	within("granted again", true)
	_, err = a.users.RemoveUserRoles(a.admin, &authv1.RemoveUserRolesRequest{Id: annID, Roles: refs(ops)})
	require.NoError(t, err)
	within("without the role", false)
	_, err = a.users.AddUserRoles(a.admin, &authv1.AddUserRolesRequest{Id: annID, Roles: refs(ops)})
	require.NoError(t, err)
	within("with the role", true)
	_, err = a.permissions.GrantUserModules(a.admin, &authv1.GrantUserModulesRequest{Id: annID, Modules: module("application", off("enable_app_mgmt"))})
	require.NoError(t, err)
	within("without the switch", false)
	_, err = a.users.DisableUser(a.admin, &authv1.DisableUserRequest{Id: annID})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := remote.Decide(ann, caller, []string{right})
		return fault.Is(err, "SESSION_ENDED")
	}, time.Minute, 10*time.Millisecond)
	effective, err = a.permissions.GetEffectivePermissions(a.admin, &authv1.GetEffectivePermissionsRequest{Id: annID})
	require.NoError(t, err)
	require.Empty(t, effective.GetResources(), "who is disabled may do nothing")

	_, err = a.permissions.GrantUserModules(a.admin, &authv1.GrantUserModulesRequest{Id: annID, Modules: module("dns", on("enable_dns_mgmt"))})
	require.NoError(t, err)
	_, err = a.apps.GrantUserApplications(a.admin, &authv1.GrantUserApplicationsRequest{Id: annID, Authorizations: appGrants(on("view_app"), 5)})
	require.NoError(t, err)
	require.NoError(t, a.deleteUser("far", "ann")(a.admin))
	require.Equal(t, []string{`["application:5.view_app", "dns.enable_dns_mgmt"]`}, a.texts(t, `
		SELECT (before->'granted')::text FROM auth.audit WHERE tenant = 'far' AND action = 'user.deleted'`), "written down")
}

// testGrantsAbove is about managers, who may make users and roles and are no administrators.
func (a *accounts) testGrantsAbove(t *testing.T) {
	a.role(t, "above", "manager", "all", manages)
	a.role(t, "above", "plain", "self", "[]")
	a.role(t, "above", "rich", "self", "[]")
	a.role(t, "above", "host", "self", "[]")
	a.role(t, "above", "level", "self", "[]")
	a.user(t, "above", "manager", "manager")
	a.user(t, "above", "ann", "plain")
	rich, host, level := a.roleID(t, "above", "rich"), a.roleID(t, "above", "host"), a.roleID(t, "above", "level")
	_, err := a.permissions.GrantRoleModules(a.admin, &authv1.GrantRoleModulesRequest{Id: rich, Modules: module("dns", on("enable_dns_mgmt"))})
	require.NoError(t, err)
	_, err = a.hosts.GrantRoleHosts(a.admin, &authv1.GrantRoleHostsRequest{Id: host, Authorizations: []*authv1.HostGrant{{Id: 1, Permission: on("view_host")}}})
	require.NoError(t, err)
	_, err = a.levels.SetTreeLevel(a.admin, &authv1.SetTreeLevelRequest{Level: &authv1.TreeLevel{Target: &authv1.TreeLevel_RoleId{RoleId: level}, NodeId: 4, Level: 1}})
	require.NoError(t, err)
	manager := a.as(t, "above", "manager", goodPassword)
	for _, role := range []string{"rich", "host", "level"} {
		requireReason(t, a.updateUser("above", "ann", role)(manager), "ABOVE_CALLER")
		requireReason(t, a.createUser("above", role)(manager), "ABOVE_CALLER")
		requireReason(t, a.updateRole("above", role, "self", "[]")(manager), "ABOVE_CALLER")
	}
	require.NoError(t, a.updateUser("above", "ann", "plain")(manager))
	managerID := a.userID(t, "above", "manager")
	_, err = a.users.AddUserRoles(a.admin, &authv1.AddUserRolesRequest{Id: managerID, Roles: refs(rich)})
	require.NoError(t, err)
	require.NoError(t, a.updateUser("above", "ann", "rich")(manager), "he has it himself now")
	_, err = a.users.AddUserRoles(a.admin, &authv1.AddUserRolesRequest{Id: a.userID(t, "above", "ann"), Roles: refs(host)})
	require.NoError(t, err)
	requireReason(t, a.resetPassword("above", "ann", goodPassword)(manager), "ABOVE_CALLER")
	requireReason(t, a.deleteUser("above", "ann")(manager), "ABOVE_CALLER")
}
