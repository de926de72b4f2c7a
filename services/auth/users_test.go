package auth

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// number returns what a query finds, for instance an id.
func (a *accounts) number(t *testing.T, sql string, args ...any) int64 {
	t.Helper()
	texts := a.texts(t, sql, args...)
	require.Len(t, texts, 1)
	n, err := strconv.ParseInt(texts[0], 10, 64)
	require.NoError(t, err)
	return n
}

func (a *accounts) userID(t *testing.T, tenant, username string) int64 {
	t.Helper()
	return a.number(t, `SELECT u.id::text FROM auth.users u JOIN auth.tenants t ON t.id = u.tenant_id WHERE t.name = $1 AND u.username = $2`, tenant, username)
}

func (a *accounts) roleID(t *testing.T, tenant, name string) int64 {
	t.Helper()
	return a.number(t, `SELECT r.id::text FROM auth.roles r JOIN auth.tenants t ON t.id = r.tenant_id WHERE t.name = $1 AND r.name = $2`, tenant, name)
}

// rolesOf returns the names of a user's roles, the first one first.
func (a *accounts) rolesOf(t *testing.T, user int64) []string {
	t.Helper()
	return a.texts(t, `
		SELECT r.name FROM auth.held_roles h JOIN auth.roles r ON r.id = h.role_id JOIN auth.users u ON u.id = h.user_id
		 WHERE h.user_id = $1 ORDER BY r.id <> u.role_id, r.id`, user)
}

func refs(ids ...int64) []*authv1.IdRef {
	all := make([]*authv1.IdRef, 0, len(ids))
	for _, id := range ids {
		all = append(all, &authv1.IdRef{Id: id})
	}
	return all
}

func found(t *testing.T, answer *authv1.FindUsersResponse, err error) []string {
	t.Helper()
	require.NoError(t, err)
	names := []string{}
	for _, u := range answer.GetResults() {
		names = append(names, u.GetUsername())
	}
	return names
}

func (a *accounts) testUsersByID(t *testing.T) {
	a.role(t, "byid", "reader", "self", "[]")
	for _, name := range []string{"ann", "bob", "Anna"} {
		a.user(t, "byid", name, "reader")
	}
	a.user(t, "byid", "root", "admin")
	a.user(t, "other", "ann", "admin")
	root, ann := a.as(t, "byid", "root", goodPassword), a.as(t, "byid", "ann", goodPassword)
	annID, bobID, stranger := a.userID(t, "byid", "ann"), a.userID(t, "byid", "bob"), a.userID(t, "other", "ann")

	edit := func(ctx context.Context, id int64, email, phone string) (*authv1.EditUserResponse, error) {
		return a.users.EditUser(ctx, &authv1.EditUserRequest{Id: id, Email: &email, Phone: &phone})
	}
	answer, err := edit(ann, annID, "ann@example.com", "+44 1")
	require.NoError(t, err, "her own")
	require.Equal(t, "ann@example.com", answer.GetUser().GetEmail())
	_, err = edit(ann, bobID, "ann@example.com", "")
	requireReason(t, err, "FORBIDDEN")
	_, err = edit(root, stranger, "x@example.com", "")
	requireReason(t, err, "USER_NOT_FOUND")
	_, err = edit(root, bobID, "no address", "")
	requireReason(t, err, "INVALID_REQUEST")
	_, err = edit(a.admin, bobID, "bob@example.com", "2")
	require.NoError(t, err)
	_, err = a.users.EditUser(root, &authv1.EditUserRequest{Id: bobID})
	require.NoError(t, err, "nothing said, nothing changed")
	require.Equal(t, []string{"2"}, a.texts(t, `SELECT phone FROM auth.users WHERE id = $1`, bobID))
	require.Equal(t, []string{"2"}, a.texts(t, `SELECT count(*)::text FROM auth.audit WHERE tenant = 'byid' AND action = 'user.updated'`))

	list := func(ctx context.Context, r *authv1.FindUsersRequest) []string {
		answer, err := a.users.FindUsers(ctx, r)
		return found(t, answer, err)
	}
	require.Equal(t, []string{"ann", "bob", "Anna", "root"}, list(root, &authv1.FindUsersRequest{}))
	require.Equal(t, []string{"ann", "Anna"}, list(ann, &authv1.FindUsersRequest{Username: "aN"}))
	require.Equal(t, []string{"bob"}, list(root, &authv1.FindUsersRequest{Email: "BOB@"}))
	require.Equal(t, []string{"ann"}, list(root, &authv1.FindUsersRequest{Phone: "44"}))
	require.Empty(t, list(root, &authv1.FindUsersRequest{Username: "%"}), "no pattern")
	other, err := a.users.GetUser(a.admin, &authv1.GetUserRequest{Id: bobID})
	require.NoError(t, err)
	require.Equal(t, "byid", other.GetUser().GetTenant(), "not the caller's own")
	require.GreaterOrEqual(t, len(list(a.admin, &authv1.FindUsersRequest{Username: "ann", PageSize: 100})), 3, "every tenant")
	page, err := a.users.FindUsers(root, &authv1.FindUsersRequest{Page: 2, PageSize: 3})
	require.NoError(t, err)
	require.Equal(t, int64(4), page.GetCount())
	require.Len(t, page.GetResults(), 1)
	page, err = a.users.FindUsers(root, &authv1.FindUsersRequest{Page: 9})
	require.NoError(t, err)
	require.Equal(t, int64(4), page.GetCount(), "past the end")
	page, err = a.users.FindUsers(ann, &authv1.FindUsersRequest{Username: "bob"})
	require.NoError(t, err)
	require.Equal(t, &authv1.Account{Id: bobID, Username: "bob", Status: "enabled"}, page.GetResults()[0], "to pick from, no more")
	_, err = a.users.FindUsers(ann, &authv1.FindUsersRequest{Email: "b"})
	requireReason(t, err, "FORBIDDEN")

	for _, test := range []struct {
		by     context.Context
		id     int64
		reason string
	}{{ann, annID, ""}, {ann, bobID, "FORBIDDEN"}, {root, bobID, ""}, {root, stranger, "USER_NOT_FOUND"}, {a.admin, stranger, ""}, {root, 1 << 60, "USER_NOT_FOUND"}} {
		_, err := a.users.GetUser(test.by, &authv1.GetUserRequest{Id: test.id})
		require.True(t, test.reason == "" && err == nil || fault.Is(err, test.reason), "%d: %v", test.id, err)
	}

	_, err = a.users.DisableUser(root, &authv1.DisableUserRequest{Id: annID})
	require.NoError(t, err)
	require.Equal(t, []string{"ann"}, list(root, &authv1.FindUsersRequest{Status: "disabled"}))
	_, err = a.users.GetCurrentUser(ann, &authv1.GetCurrentUserRequest{})
	requireReason(t, err, "SESSION_ENDED")
	_, err = a.tryLogin(t, "byid", "ann", goodPassword)
	requireReason(t, err, "LOGIN_FAILED")
	_, err = a.users.EnableUser(root, &authv1.EnableUserRequest{Id: annID})
	require.NoError(t, err)
	_, err = a.users.GetCurrentUser(ann, &authv1.GetCurrentUserRequest{})
	requireReason(t, err, "SESSION_ENDED")
	a.as(t, "byid", "ann", goodPassword)
	_, err = a.users.DisableUser(root, &authv1.DisableUserRequest{Id: stranger})
	requireReason(t, err, "USER_NOT_FOUND")
	_, err = a.users.DisableUser(root, &authv1.DisableUserRequest{Id: a.userID(t, "byid", "root")})
	requireReason(t, err, "USER_PROTECTED")
	_, err = a.users.DisableUser(ann, &authv1.DisableUserRequest{Id: bobID})
	require.Error(t, err)
}

func (a *accounts) testRolesByID(t *testing.T) {
	for _, name := range []string{"one", "two", "three"} {
		a.role(t, "rolesbyid", name, "self", "[]")
	}
	a.user(t, "rolesbyid", "root", "admin")
	a.user(t, "rolesbyid", "ann", "one")
	a.role(t, "rolesbyother", "one", "self", "[]")
	root := a.as(t, "rolesbyid", "root", goodPassword)
	one, two, admin, strange := a.roleID(t, "rolesbyid", "one"), a.roleID(t, "rolesbyid", "two"), a.roleID(t, "rolesbyid", "admin"), a.roleID(t, "rolesbyother", "one")

	list, err := a.roles.FindRoles(root, &authv1.FindRolesRequest{Name: "O"})
	require.NoError(t, err)
	require.Equal(t, int64(2), list.GetCount())
	require.Equal(t, &authv1.RoleEntry{Id: one, Name: "one", Creator: "admin"}, list.GetResults()[0])

	rename := func(id int64, name string) error {
		_, err := a.roles.RenameRole(root, &authv1.RenameRoleRequest{Id: id, Name: &name})
		return err
	}
	require.NoError(t, rename(one, "role a"))
	require.Equal(t, []string{"role a"}, a.rolesOf(t, a.userID(t, "rolesbyid", "ann")))
	requireReason(t, rename(two, "role a"), "ROLE_EXISTS")
	requireReason(t, rename(two, "admin"), "ROLE_PROTECTED")
	requireReason(t, rename(admin, "x"), "ROLE_PROTECTED")
	requireReason(t, rename(strange, "x"), "ROLE_NOT_FOUND")
	requireReason(t, rename(two, "a:b"), "INVALID_REQUEST")

	remove := func(id int64) error {
		_, err := a.roles.RemoveRole(root, &authv1.RemoveRoleRequest{Id: id})
		return err
	}
	requireReason(t, remove(admin), "ROLE_PROTECTED")
	requireReason(t, remove(strange), "ROLE_NOT_FOUND")
	_, err = a.permissions.GrantRoleModules(root, &authv1.GrantRoleModulesRequest{Id: one, Modules: []*authv1.ModuleGrant{
		{ModuleName: "dns", Permissions: map[string]bool{"enable_dns_mgmt": true}},
	}})
	require.NoError(t, err)
	require.NoError(t, remove(one))
	requireReason(t, remove(one), "ROLE_NOT_FOUND")
	require.Empty(t, a.rolesOf(t, a.userID(t, "rolesbyid", "ann")), "taken from its users")
	require.Empty(t, a.texts(t, `SELECT permission FROM auth.module_grants WHERE role_id = $1`, one))
	require.Equal(t, []string{`["dns.enable_dns_mgmt"]`}, a.texts(t, `
		SELECT (before->'granted')::text FROM auth.audit WHERE tenant = 'rolesbyid' AND action = 'role.deleted'`), "written down")
	ann := a.as(t, "rolesbyid", "ann", goodPassword)
	current, err := a.users.GetCurrentUser(ann, &authv1.GetCurrentUserRequest{})
	require.NoError(t, err)
	require.Empty(t, current.GetCurrentUser().GetRole(), "who has no role can still sign in")
	_, err = a.roles.ListRoleUsers(root, &authv1.ListRoleUsersRequest{Id: strange})
	requireReason(t, err, "ROLE_NOT_FOUND")
	require.Equal(t, []string{"role.updated rolesbyid:role a", "user.updated rolesbyid:ann", "role.deleted rolesbyid:role a"},
		a.texts(t, `SELECT action || ' ' || subject FROM auth.audit WHERE tenant = 'rolesbyid' AND action NOT LIKE '%created' ORDER BY id`))
}

func (a *accounts) testManyRoles(t *testing.T) {
	a.role(t, "many", "reader", "self", reads)
	a.role(t, "many", "boss", "all", "[]")
	a.user(t, "many", "ann", "reader")
	a.user(t, "many", "bob", "reader")
	a.user(t, "many", "root", "admin")
	a.user(t, "elsewhere", "eve", "admin")
	root := a.as(t, "many", "root", goodPassword)
	ann, bob, eve := a.userID(t, "many", "ann"), a.userID(t, "many", "bob"), a.userID(t, "elsewhere", "eve")
	reader, boss, admin := a.roleID(t, "many", "reader"), a.roleID(t, "many", "boss"), a.roleID(t, "many", "admin")
	annCalls := a.as(t, "many", "ann", goodPassword)
	require.Equal(t, []string{"many:ann"}, a.listed(t, annCalls, "", ""))

	add := func(user int64, roles ...int64) error {
		_, err := a.users.AddUserRoles(root, &authv1.AddUserRolesRequest{Id: user, Roles: refs(roles...)})
		return err
	}
	take := func(user int64, roles ...int64) error {
		_, err := a.users.RemoveUserRoles(root, &authv1.RemoveUserRolesRequest{Id: user, Roles: refs(roles...)})
		return err
	}
	require.NoError(t, add(ann, reader, boss, boss), "one that she has is no error")
	require.Equal(t, []string{"reader", "boss"}, a.rolesOf(t, ann))
	require.Equal(t, []string{"many:ann", "many:bob", "many:root"}, a.listed(t, annCalls, "", ""), "both roles count at once")
	requireReason(t, add(ann, a.roleID(t, "elsewhere", "admin")), "ROLE_NOT_FOUND")
	requireReason(t, add(eve, boss), "USER_NOT_FOUND")
	requireReason(t, add(ann, admin, 1<<60), "ROLE_NOT_FOUND")
	require.Equal(t, []string{"reader", "boss"}, a.rolesOf(t, ann), "all or nothing")
	require.NoError(t, take(ann, reader))
	require.Equal(t, []string{"boss"}, a.rolesOf(t, ann), "the other one is the first now")
	require.NoError(t, take(ann, boss, reader))
	require.Empty(t, a.rolesOf(t, ann))
	_, err := a.users.ListUsers(annCalls, &authv1.ListUsersRequest{})
	requireReason(t, err, "FORBIDDEN")
	require.NoError(t, add(ann, boss, admin))
	require.Equal(t, []string{"boss", "admin"}, a.rolesOf(t, ann))
	require.Equal(t, []string{"many:ann", "many:bob", "many:root"}, a.listed(t, annCalls, "", ""), "an administrator by her second role")
	require.NoError(t, a.updateUser("many", "ann", "admin")(a.admin))
	require.Equal(t, []string{"admin"}, a.rolesOf(t, ann), "dtle replaces the first role, which was boss")

	_, err = a.roles.AddRoleUsers(root, &authv1.AddRoleUsersRequest{Id: boss, Users: refs(ann, bob)})
	require.NoError(t, err)
	users, err := a.roles.ListRoleUsers(root, &authv1.ListRoleUsersRequest{Id: boss})
	require.NoError(t, err)
	require.Len(t, users.GetUsers(), 2)
	require.Equal(t, "ann", users.GetUsers()[0].GetUsername())
	_, err = a.roles.AddRoleUsers(root, &authv1.AddRoleUsersRequest{Id: boss, Users: refs(ann, eve)})
	requireReason(t, err, "USER_NOT_FOUND")
	_, err = a.roles.RemoveRoleUsers(root, &authv1.RemoveRoleUsersRequest{Id: boss, Users: refs(ann, bob)})
	require.NoError(t, err)
	require.Equal(t, []string{"reader"}, a.rolesOf(t, bob))
	require.Equal(t, []string{`["reader"] ["boss", "reader"]`, `["boss", "reader"] ["reader"]`}, a.texts(t, `
		SELECT concat_ws(' ', before->'roles', after->'roles') FROM auth.audit WHERE subject = 'many:bob' AND action = 'user.updated' ORDER BY id`))

	platform := a.roleID(t, "platform", "admin")
	_, err = a.roles.RemoveRoleUsers(a.admin, &authv1.RemoveRoleUsersRequest{Id: platform, Users: refs(a.userID(t, "platform", "admin"))})
	requireReason(t, err, "LAST_ADMIN")
	a.user(t, "platform", "deputy", "admin")
	deputy := a.as(t, "platform", "deputy", goodPassword)
	_, err = a.users.DisableUser(deputy, &authv1.DisableUserRequest{Id: a.userID(t, "platform", "admin")})
	require.NoError(t, err)
	_, err = a.users.RemoveUserRoles(deputy, &authv1.RemoveUserRolesRequest{Id: a.userID(t, "platform", "deputy"), Roles: refs(platform)})
	requireReason(t, err, "LAST_ADMIN")
	_, err = a.users.EnableUser(deputy, &authv1.EnableUserRequest{Id: a.userID(t, "platform", "admin")})
	require.NoError(t, err)
	a.admin = a.as(a.root, "platform", "admin", adminPassword) // his session was ended
	require.NoError(t, a.deleteUser("platform", "deputy")(a.admin))
	require.Eventually(t, func() bool {
		_, err := a.users.GetCurrentUser(deputy, &authv1.GetCurrentUserRequest{})
		return fault.Is(err, "SESSION_ENDED")
	}, time.Minute, 20*time.Millisecond)
}
