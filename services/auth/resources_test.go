package auth

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
)

func appGrants(permissions map[string]bool, ids ...int64) []*authv1.ApplicationGrant {
	var grants []*authv1.ApplicationGrant
	for _, id := range ids {
		grants = append(grants, &authv1.ApplicationGrant{Id: id, AppName: "test.app", Permission: permissions})
	}
	return grants
}

func (a *accounts) testResourceGrants(t *testing.T) {
	a.role(t, "resources", "ops", "self", "[]")
	a.user(t, "resources", "ann", "ops")
	a.user(t, "resources", "root", "admin")
	a.user(t, "resources2", "eve", "admin")
	root, ann, eve := a.as(t, "resources", "root", goodPassword), a.as(t, "resources", "ann", goodPassword), a.as(t, "resources2", "eve", goodPassword)
	annID, ops := a.userID(t, "resources", "ann"), a.roleID(t, "resources", "ops")
	toUser := func(ctx context.Context, grants []*authv1.ApplicationGrant) error {
		_, err := a.apps.GrantUserApplications(ctx, &authv1.GrantUserApplicationsRequest{Id: annID, Authorizations: grants})
		return err
	}
	_, err := a.permissions.GrantRoleModules(root, &authv1.GrantRoleModulesRequest{Id: ops, Modules: append(
		module("application", on("enable_app_mgmt")), module("resource", on("enable_host_mgmt"))...)})
	require.NoError(t, err)
	require.NoError(t, toUser(root, appGrants(on("view_app", "restart_app"), 1, 2)))
	_, err = a.apps.GrantRoleApplications(root, &authv1.GrantRoleApplicationsRequest{Id: ops, Authorizations: appGrants(on("view_app"), 2, 3)})
	require.NoError(t, err)
	_, err = a.hosts.GrantRoleHosts(root, &authv1.GrantRoleHostsRequest{Id: ops, Authorizations: []*authv1.HostGrant{
		{Id: 2, Hostname: "server-a", Permission: on("view_host", "login")},
	}})
	require.NoError(t, err)
	require.Equal(t, []bool{true, true, true, false, false, true, true, false}, a.holds(t, ann,
		"application:1.view_app", "application:2.view_app", "application:3.view_app", "application:4.view_app", "application:3.restart_app",
		"host:2.view_host", "host:2.login_host", "host:1.view_host"))
	require.NoError(t, toUser(root, appGrants(off("view_app"), 2, 4)))
	require.Equal(t, []bool{true, true}, a.holds(t, ann, "application:2.view_app", "application:2.restart_app"), "the role still gives it")

	allowed := func(ctx context.Context, kind, permission string, size int32, token string) *authv1.ListAllowedResponse {
		answer, err := a.access.ListAllowed(ctx, &authv1.ListAllowedRequest{Kind: kind, Permission: permission, PageSize: size, PageToken: token})
		require.NoError(t, err)
		return answer
	}
	first := allowed(ann, "application", "view_app", 2, "")
	require.Equal(t, []int64{1, 2}, first.GetIds())
	require.NotEmpty(t, first.GetNextPageToken())
	require.Equal(t, []int64{3}, allowed(ann, "application", "view_app", 2, first.GetNextPageToken()).GetIds())
	require.True(t, allowed(root, "application", "view_app", 0, "").GetAll())
	require.Empty(t, allowed(ann, "application", "deploy_app", 0, "").GetIds())
	require.False(t, allowed(ann, "business", "view", 0, "").GetAll())
	_, err = a.access.ListAllowed(ann, &authv1.ListAllowedRequest{Kind: "application", Permission: "fly"})
	requireReason(t, err, "PERMISSION_UNDEFINED")
	_, err = a.access.ListAllowed(ann, &authv1.ListAllowedRequest{Kind: "rocket", Permission: "fly"})
	requireReason(t, err, "INVALID_REQUEST")
	_, err = a.access.ListAllowed(ann, &authv1.ListAllowedRequest{Kind: "host", Permission: "view_host", PageToken: first.GetNextPageToken()})
	requireReason(t, err, "INVALID_REQUEST")
	_, err = a.permissions.GrantUserModules(root, &authv1.GrantUserModulesRequest{Id: annID, Modules: module("application", on("view_app"))})
	require.NoError(t, err)
	require.True(t, allowed(ann, "application", "view_app", 0, "").GetAll())

	list, err := a.apps.ListUserApplications(ann, &authv1.ListUserApplicationsRequest{Id: annID})
	require.NoError(t, err)
	require.Equal(t, int64(2), list.GetCount())
	require.Equal(t, "test.app", list.GetResults()[0].GetAppName())
	require.Equal(t, map[string]bool{
		"view_app": true, "edit_app": false, "delete_app": false, "deploy_app": false, "review_app_deploy_task": false, "restart_app": true,
		"view_app_log": false, "view_app_monitor": false,
	}, list.GetResults()[0].GetPermission())
	require.False(t, list.GetResults()[1].GetPermission()["view_app"], "her own grants only")
	hosts, err := a.hosts.ListRoleHosts(root, &authv1.ListRoleHostsRequest{Id: ops, Hostname: "SERVER"})
	require.NoError(t, err)
	require.Equal(t, "server-a", hosts.GetResults()[0].GetHostname())
	hosts, err = a.hosts.ListRoleHosts(root, &authv1.ListRoleHostsRequest{Id: ops, Hostname: "other"})
	require.NoError(t, err)
	require.Zero(t, hosts.GetCount())

	requireReason(t, toUser(root, appGrants(on("view_app", "login_host"), 1)), "PERMISSION_UNDEFINED")
	requireReason(t, toUser(root, appGrants(on("view_app"), 1, 1)), "INVALID_REQUEST")
	requireReason(t, toUser(eve, appGrants(on("view_app"), 1)), "USER_NOT_FOUND")
	requireReason(t, toUser(ann, appGrants(on("edit_app"), 1)), "FORBIDDEN")
	require.NoError(t, toUser(root, nil), "nothing to do")
	_, err = a.apps.ListUserApplications(eve, &authv1.ListUserApplicationsRequest{Id: annID})
	requireReason(t, err, "USER_NOT_FOUND")

	changes, err := a.audit.ListResourceGrantChanges(root, &authv1.ListResourceGrantChangesRequest{ResourceType: "host", PermName: "login"})
	require.NoError(t, err)
	require.Len(t, changes.GetResults(), 1)
	row := changes.GetResults()[0]
	require.Equal(t, "login_host", row.GetPermName())
	require.Equal(t, &authv1.NamedResource{Id: 2, Name: &authv1.NamedResource_Host{Host: "server-a"}}, row.GetResource())
	changes, err = a.audit.ListResourceGrantChanges(root, &authv1.ListResourceGrantChangesRequest{ResourceId: 2})
	require.NoError(t, err)
	require.Equal(t, int64(6), changes.GetCount())
	changes, err = a.audit.ListResourceGrantChanges(eve, &authv1.ListResourceGrantChangesRequest{})
	require.NoError(t, err)
	require.Zero(t, changes.GetCount(), "another tenant's")
}

func (a *accounts) testGrantsOnResource(t *testing.T) {
	a.role(t, "onapp", "ops", "self", "[]")
	a.role(t, "onapp", "dev", "self", "[]")
	for _, name := range []string{"ann", "bob", "editor"} {
		a.user(t, "onapp", name, "dev")
	}
	a.user(t, "onapp", "root", "admin")
	a.user(t, "onapp2", "eve", "admin")
	root := a.as(t, "onapp", "root", goodPassword)
	ann, bob, editor, eve := a.userID(t, "onapp", "ann"), a.userID(t, "onapp", "bob"), a.userID(t, "onapp", "editor"), a.userID(t, "onapp2", "eve")
	update := func(ctx context.Context, id int64, entries ...*authv1.UserPermissionsChange) error {
		_, err := a.apps.UpdateApplicationUsers(ctx, &authv1.UpdateApplicationUsersRequest{Id: id, Entries: entries})
		return err
	}
	change := func(id int64, action string, permissions map[string]bool) *authv1.UserPermissionsChange {
		return &authv1.UserPermissionsChange{User: &authv1.UserRef{Id: id}, Action: action, Permission: permissions}
	}
	require.NoError(t, update(root, 71, change(ann, "update", on("view_app", "edit_app")), change(bob, "", on("view_app", "view_app_log"))))
	list := func(ctx context.Context, id int64) ([]*authv1.UserPermissions, error) {
		answer, err := a.apps.ListApplicationUsers(ctx, &authv1.ListApplicationUsersRequest{Id: id})
		return answer.GetResults(), err
	}
	users, err := list(root, 71)
	require.NoError(t, err)
	require.Len(t, users, 2)
	require.Equal(t, &authv1.UserRef{Id: ann, Username: "ann"}, users[0].GetUser())
	require.True(t, users[1].GetPermission()["view_app_log"])
	require.NoError(t, update(root, 71, change(ann, "update", off("edit_app")), change(bob, "delete", nil)))
	users, err = list(root, 71)
	require.NoError(t, err)
	require.Len(t, users, 1)
	require.False(t, users[0].GetPermission()["edit_app"])

	_, err = a.permissions.GrantUserModules(root, &authv1.GrantUserModulesRequest{Id: editor, Modules: module("application", on("enable_app_mgmt"))})
	require.NoError(t, err)
	require.NoError(t, update(root, 71, change(editor, "", on("edit_app"))))
	editorCalls := a.as(t, "onapp", "editor", goodPassword)
	users, err = list(editorCalls, 71)
	require.NoError(t, err, "who may edit it sees who else may")
	require.Len(t, users, 2)
	_, err = list(editorCalls, 72)
	requireReason(t, err, "FORBIDDEN")
	requireReason(t, update(editorCalls, 71, change(editor, "", on("delete_app"))), "FORBIDDEN")
	requireReason(t, update(root, 71, change(ann, "", on("view_app")), change(eve, "", on("view_app"))), "USER_NOT_FOUND")
	requireReason(t, update(a.admin, 71, change(ann, "", on("view_app")), change(eve, "", on("view_app"))), "USER_NOT_FOUND")
	requireReason(t, update(root, 71, change(ann, "", on("view_app", "reboot"))), "PERMISSION_UNDEFINED")
	requireReason(t, update(root, 71, change(ann, "", on("view_app")), change(ann, "delete", nil)), "INVALID_REQUEST")
	requireReason(t, update(root, 71, &authv1.UserPermissionsChange{}), "INVALID_REQUEST")
	users, err = list(a.as(t, "onapp2", "eve", goodPassword), 71)
	require.NoError(t, err)
	require.Empty(t, users, "those of another tenant do not show")

	ops, dev := a.roleID(t, "onapp", "ops"), a.roleID(t, "onapp", "dev")
	_, err = a.hosts.UpdateHostRoles(root, &authv1.UpdateHostRolesRequest{Id: 9, Entries: []*authv1.RolePermissionsChange{
		{Role: &authv1.RoleRef{Id: ops}, Permission: on("edit_host")}, {Role: &authv1.RoleRef{Id: dev}, Permission: on("view_host")},
	}})
	require.NoError(t, err)
	roles, err := a.hosts.ListHostRoles(root, &authv1.ListHostRolesRequest{Id: 9, PageSize: 1, Page: 2})
	require.NoError(t, err)
	require.Equal(t, int64(2), roles.GetCount())
	require.Equal(t, "dev", roles.GetResults()[0].GetRole().GetName())
	_, err = a.hosts.UpdateHostRoles(root, &authv1.UpdateHostRolesRequest{Id: 9, Entries: []*authv1.RolePermissionsChange{
		{Role: &authv1.RoleRef{Id: a.roleID(t, "onapp", "admin")}, Permission: on("view_host")},
	}})
	requireReason(t, err, "ROLE_PROTECTED")
}

func (a *accounts) testTreeLevels(t *testing.T) {
	a.role(t, "tree", "dev", "self", "[]")
	a.user(t, "tree", "ann", "dev")
	a.user(t, "tree", "root", "admin")
	root, ann := a.as(t, "tree", "root", goodPassword), a.as(t, "tree", "ann", goodPassword)
	annID, dev := a.userID(t, "tree", "ann"), a.roleID(t, "tree", "dev")
	set := func(ctx context.Context, level *authv1.TreeLevel) error {
		_, err := a.levels.SetTreeLevel(ctx, &authv1.SetTreeLevelRequest{Level: level})
		return err
	}
	rights := []string{"point:openc3_job_read@12", "point:openc3_job_control@12", "point:openc3_job_write@12", "point:openc3_job_write@13", "point:openc3_job_root@0"}
	require.Equal(t, []bool{true, false, false, false, false}, a.holds(t, ann, rights...))
	require.NoError(t, set(root, &authv1.TreeLevel{Target: &authv1.TreeLevel_RoleId{RoleId: dev}, NodeId: 0, Level: 1}))
	require.Equal(t, []bool{true, true, false, false, false}, a.holds(t, ann, rights...))
	require.NoError(t, set(root, &authv1.TreeLevel{Target: &authv1.TreeLevel_UserId{UserId: annID}, NodeId: 12, Level: 2}))
	require.NoError(t, set(root, &authv1.TreeLevel{Target: &authv1.TreeLevel_UserId{UserId: annID}, NodeId: 12, Level: 2}), "again")
	require.Equal(t, []bool{true, true, true, false, false}, a.holds(t, ann, rights...))
	require.NoError(t, set(root, &authv1.TreeLevel{Target: &authv1.TreeLevel_UserId{UserId: annID}, NodeId: 0, Level: 3}))
	require.Equal(t, []bool{true, true, true, true, true}, a.holds(t, ann, rights...))
	list, err := a.levels.ListTreeLevels(root, &authv1.ListTreeLevelsRequest{PageSize: 2})
	require.NoError(t, err)
	require.Len(t, list.GetLevels(), 2)
	rest, err := a.levels.ListTreeLevels(root, &authv1.ListTreeLevelsRequest{PageSize: 2, PageToken: list.GetNextPageToken()})
	require.NoError(t, err)
	require.Equal(t, []*authv1.TreeLevel{{Target: &authv1.TreeLevel_UserId{UserId: annID}, NodeId: 12, Level: 2}}, rest.GetLevels())
	require.NoError(t, set(root, &authv1.TreeLevel{Target: &authv1.TreeLevel_UserId{UserId: annID}, NodeId: 0}))
	require.Equal(t, []bool{true, true, true, false, false}, a.holds(t, ann, rights...), "taken")
	requireReason(t, set(ann, &authv1.TreeLevel{Target: &authv1.TreeLevel_UserId{UserId: annID}, Level: 3}), "FORBIDDEN")
	requireReason(t, set(root, &authv1.TreeLevel{Target: &authv1.TreeLevel_UserId{UserId: a.userID(t, "platform", "admin")}, Level: 3}), "USER_NOT_FOUND")
	requireReason(t, set(root, &authv1.TreeLevel{Level: 3}), "INVALID_REQUEST")
	requireReason(t, set(root, &authv1.TreeLevel{Target: &authv1.TreeLevel_UserId{UserId: annID}, Level: 4}), "INVALID_REQUEST")
	require.Equal(t, []string{
		`role/tree:dev {"level": 0, "node_id": 0} {"level": 1, "node_id": 0}`, `user/tree:ann {"level": 0, "node_id": 12} {"level": 2, "node_id": 12}`,
		`user/tree:ann {"level": 0, "node_id": 0} {"level": 3, "node_id": 0}`, `user/tree:ann {"level": 3, "node_id": 0} {"level": 0, "node_id": 0}`,
	}, a.texts(t, `SELECT concat_ws(' ', subject, before, after) FROM auth.audit WHERE tenant = 'tree' AND action = 'grants.changed' ORDER BY id`))
}
