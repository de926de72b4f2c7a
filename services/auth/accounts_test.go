package auth

import (
	"context"
	"net/netip"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/services/auth/internal/menu"
)

const (
	goodPassword  = "Secret-01"
	otherPassword = "Secret-02"
	// manages opens what an operator needs to manage users.
	manages = `[{"name":"users","operations":[{"action":"user-list","uri":"/v2/user/list"},{"action":"user-create","uri":"/v2/user/create"},` +
		`{"action":"user-update","uri":"/v2/user/update"},{"action":"user-delete","uri":"/v2/user/delete"}]},` +
		`{"name":"auth","operations":[{"action":"auth-create","uri":"/v2/role/create"},{"action":"auth-update","uri":"/v2/role/update"},` +
		`{"action":"auth-list","uri":"/v2/role/list"}]}]`
	reads = `[{"name":"users","operations":[{"action":"user-list","uri":"/v2/user/list"}]}]`
)

// accounts are the clients of a running service and the callers of its tests.
type accounts struct {
	*running

	root    *testing.T // under which all others run
	users   authv1.UserServiceClient
	roles   authv1.RoleServiceClient
	tenants authv1.TenantServiceClient
	menu    authv1.MenuServiceClient
	access  authv1.AccessServiceClient

	permissions authv1.PermissionServiceClient
	apps        authv1.ApplicationGrantServiceClient
	hosts       authv1.HostGrantServiceClient
	levels      authv1.TreeLevelServiceClient
	audit       authv1.GrantAuditServiceClient

	admin context.Context // platform:admin
}

func newAccounts(t *testing.T) *accounts {
	t.Helper()
	t.Setenv("OPSDECK_AUTH_LOGINS_PER_MINUTE", "100000")
	t.Setenv("OPSDECK_AUTH_CAPTCHAS_PER_MINUTE", "100000")
	a := &accounts{running: start(t), root: t}
	a.users, a.roles = authv1.NewUserServiceClient(a.conn), authv1.NewRoleServiceClient(a.conn)
	a.tenants, a.menu = authv1.NewTenantServiceClient(a.conn), authv1.NewMenuServiceClient(a.conn)
	a.access, a.permissions = authv1.NewAccessServiceClient(a.conn), authv1.NewPermissionServiceClient(a.conn)
	a.apps, a.hosts = authv1.NewApplicationGrantServiceClient(a.conn), authv1.NewHostGrantServiceClient(a.conn)
	a.levels, a.audit = authv1.NewTreeLevelServiceClient(a.conn), authv1.NewGrantAuditServiceClient(a.conn)
	a.admin = a.as(t, "platform", "admin", adminPassword)
	return a
}

func (a *accounts) tryLogin(t *testing.T, tenant, username, password string) (string, error) {
	t.Helper()
	sessions := authv1.NewSessionServiceClient(a.conn)
	c, err := sessions.CreateCaptcha(t.Context(), &authv1.CreateCaptchaRequest{})
	require.NoError(t, err)
	answer, err := sessions.Login(t.Context(), &authv1.LoginRequest{
		Tenant: tenant, Username: username, Password: password, CaptchaId: c.GetId(), Captcha: demoCaptcha,
	})
	return answer.GetToken(), err
}

// as signs somebody in and returns the context of his calls.
func (a *accounts) as(t *testing.T, tenant, username, password string) context.Context {
	t.Helper()
	token, err := a.tryLogin(t, tenant, username, password)
	require.NoError(t, err)
	call := rpc.Call{RequestID: "request-of-" + username, Address: netip.MustParseAddr("192.0.2.7")}
	return rpc.WithCall(t.Context(), call.WithToken(token))
}

func (a *accounts) role(t *testing.T, tenant, name, objects, authority string, users ...string) {
	t.Helper()
	_, err := a.roles.CreateRole(a.admin, &authv1.CreateRoleRequest{
		Tenant: tenant, Name: name, OperationObjectType: objects, OperationUsers: users, Authority: authority,
	})
	require.NoError(t, err)
}

func (a *accounts) user(t *testing.T, tenant, username, role string) {
	t.Helper()
	_, err := a.users.CreateUser(a.admin, &authv1.CreateUserRequest{Tenant: tenant, Username: username, Role: role, PassWord: goodPassword})
	require.NoError(t, err)
}

// listed returns the names of the users that a caller sees.
func (a *accounts) listed(t *testing.T, ctx context.Context, tenant, prefix string) []string {
	t.Helper()
	answer, err := a.users.ListUsers(ctx, &authv1.ListUsersRequest{FilterTenant: tenant, FilterUsername: prefix})
	require.NoError(t, err)
	names := []string{}
	for _, u := range answer.GetUserList() {
		names = append(names, u.GetTenant()+":"+u.GetUsername())
	}
	return names
}

func (a *accounts) texts(t *testing.T, sql string, args ...any) []string {
	t.Helper()
	rows, err := a.pool(t).Query(t.Context(), sql, args...)
	require.NoError(t, err)
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return texts
}

func requireReason(t *testing.T, err error, reason string) {
	t.Helper()
	require.True(t, fault.Is(err, reason), "want %s, got %v", reason, err)
}

func TestAccounts(t *testing.T) {
	a := newAccounts(t)
	t.Run("life of a user", a.testUserLife)
	t.Run("life of a role", a.testRoleLife)
	t.Run("menus", a.testMenus)
	t.Run("scopes", a.testScopes)
	t.Run("refusals", a.testRefusals)
	t.Run("passwords", a.testPasswords)
	t.Run("decisions elsewhere", a.testDecisions)
	t.Run("users by id", a.testUsersByID)
	t.Run("roles by id", a.testRolesByID)
	t.Run("many roles", a.testManyRoles)
	t.Run("module grants", a.testModuleGrants)
	t.Run("resource grants", a.testResourceGrants)
	t.Run("grants seen from the resource", a.testGrantsOnResource)
	t.Run("tree levels", a.testTreeLevels)
	t.Run("grants elsewhere", a.testGrantsElsewhere)
	t.Run("nobody above himself", a.testGrantsAbove)
	t.Run("last admin", a.testLastAdmin)
	t.Run("admins who delete each other", a.testMutualDeletion)
	t.Run("creations at once", a.testConcurrentCreation)
}

func (a *accounts) testUserLife(t *testing.T) {
	_, err := a.users.CreateUser(a.admin, &authv1.CreateUserRequest{Tenant: "life", Username: "Ann", Role: "admin", PassWord: goodPassword, Remark: "first"})
	require.NoError(t, err)
	_, err = a.users.CreateUser(a.admin, &authv1.CreateUserRequest{Tenant: "life", Username: "ann", Role: "admin", PassWord: goodPassword})
	requireReason(t, err, "USER_EXISTS")
	require.Equal(t, codes.AlreadyExists, fault.From(err).Code)
	ann := a.as(t, "life", "ANN", goodPassword)
	require.Equal(t, []string{"life:Ann"}, a.listed(t, ann, "", ""))
	require.Equal(t, []string{"life:Ann"}, a.listed(t, a.admin, "life", "aN"))
	require.Empty(t, a.listed(t, ann, "platform", ""))
	tenants, err := a.tenants.ListTenants(ann, &authv1.ListTenantsRequest{})
	require.NoError(t, err)
	require.Equal(t, []string{"life"}, tenants.GetTenantList())
	tenants, err = a.tenants.ListTenants(a.admin, &authv1.ListTenantsRequest{})
	require.NoError(t, err)
	require.Equal(t, []string{"life", "platform"}, tenants.GetTenantList())

	_, err = a.users.UpdateUser(ann, &authv1.UpdateUserRequest{Tenant: "life", Username: "ann", Role: "admin", Remark: "second"})
	require.NoError(t, err)
	_, err = a.users.ResetPassword(a.admin, &authv1.ResetPasswordRequest{
		Tenant: "life", Username: "ann", CurrentUserPassword: adminPassword, Password: otherPassword,
	})
	require.NoError(t, err)
	_, err = a.users.ListUsers(ann, &authv1.ListUsersRequest{})
	requireReason(t, err, "SESSION_ENDED")
	_, err = a.tryLogin(t, "life", "ann", goodPassword)
	requireReason(t, err, "LOGIN_FAILED")
	ann = a.as(t, "life", "ann", otherPassword)
	_, err = a.users.DeleteUser(a.admin, &authv1.DeleteUserRequest{Tenant: "life", Username: "ann"})
	require.NoError(t, err)
	_, err = a.users.GetCurrentUser(ann, &authv1.GetCurrentUserRequest{})
	requireReason(t, err, "SESSION_ENDED")
	_, err = a.users.DeleteUser(a.admin, &authv1.DeleteUserRequest{Tenant: "life", Username: "ann"})
	requireReason(t, err, "USER_NOT_FOUND")

	const contact = `{"email": "", "phone": "", "roles": ["admin"], `
	const first = contact + `"remark": "first", "status": "enabled", "tenant": "life", "username": "Ann"}`
	const second = contact + `"remark": "second", "status": "enabled", "tenant": "life", "username": "Ann"}`
	const reset = contact + `"remark": "second", "status": "enabled", "tenant": "life", "password": "changed", "username": "Ann"}`
	const by = " platform:admin request-of-admin 192.0.2.7"
	require.Equal(t, []string{
		"role.created life:admin null " + `{"name": "admin", "object_type": "all"}` + by,
		"user.created life:Ann null " + first + by,
		"user.updated life:Ann " + first + " " + second + " life:Ann request-of-ANN 192.0.2.7",
		"user.updated life:Ann " + second + " " + reset + by,
		"user.deleted life:Ann " + second + " null" + by,
	}, a.texts(t, `
		SELECT concat_ws(' ', action, subject, coalesce(before::text, 'null'), coalesce(after::text, 'null'), actor, request_id, address)
		  FROM auth.audit WHERE tenant = 'life' ORDER BY id`))
	require.Equal(t, []string{
		"opsdeck.auth.role.created", "opsdeck.auth.user.created", "opsdeck.auth.user.updated", "opsdeck.auth.user.updated", "opsdeck.auth.user.deleted",
	}, a.texts(t, `SELECT args->'event'->>'type' FROM auth.river_job
		WHERE args->'event'->>'tenant' = 'life' AND args->'event'->>'type' NOT LIKE '%session%' ORDER BY id`))
	require.Empty(t, a.texts(t, `SELECT args::text FROM auth.river_job WHERE args::text LIKE '%Secret-0%' OR args::text LIKE '%argon2%'`))
	require.Empty(t, a.texts(t, `SELECT action FROM auth.audit WHERE concat(before, after) ~ 'Secret-0|argon2'`))
}

func (a *accounts) testRoleLife(t *testing.T) {
	a.role(t, "roles", "ops", "self", reads)
	a.user(t, "roles", "bob", "ops")
	_, err := a.roles.CreateRole(a.admin, &authv1.CreateRoleRequest{Tenant: "roles", Name: "ops", OperationObjectType: "self", Authority: "[]"})
	requireReason(t, err, "ROLE_EXISTS")
	_, err = a.roles.UpdateRole(a.admin, &authv1.UpdateRoleRequest{
		Tenant: "roles", Name: "ops", OperationObjectType: "designate", OperationUsers: []string{"roles:BOB"},
	})
	require.NoError(t, err)
	answer, err := a.roles.ListRoles(a.admin, &authv1.ListRolesRequest{FilterTenant: "roles"})
	require.NoError(t, err)
	require.Len(t, answer.GetRoleList(), 1)
	require.Equal(t, []string{"roles:bob"}, answer.GetRoleList()[0].GetObjectUsers())
	require.Equal(t, "designate", answer.GetRoleList()[0].GetObjectType())
	require.Equal(t, reads, answer.GetRoleList()[0].GetAuthority(), "the text as received, kept when left out")
	_, err = a.roles.DeleteRole(a.admin, &authv1.DeleteRoleRequest{Tenant: "roles", Name: "ops"})
	requireReason(t, err, "ROLE_IN_USE")
	_, err = a.users.DeleteUser(a.admin, &authv1.DeleteUserRequest{Tenant: "roles", Username: "bob"})
	require.NoError(t, err)
	_, err = a.roles.DeleteRole(a.admin, &authv1.DeleteRoleRequest{Tenant: "roles", Name: "ops"})
	require.NoError(t, err)
	_, err = a.roles.DeleteRole(a.admin, &authv1.DeleteRoleRequest{Tenant: "roles", Name: "ops"})
	requireReason(t, err, "ROLE_NOT_FOUND")
	require.Equal(t, []string{"role.created", "user.created", "role.updated", "user.deleted", "role.deleted"},
		a.texts(t, `SELECT action FROM auth.audit WHERE tenant = 'roles' ORDER BY id`))

	answer, err = a.roles.ListRoles(a.admin, &authv1.ListRolesRequest{FilterTenant: "platform"})
	require.NoError(t, err)
	require.Equal(t, "all", answer.GetRoleList()[0].GetObjectType())
	require.Equal(t, menu.Authority(), answer.GetRoleList()[0].GetAuthority())
}

func (a *accounts) testMenus(t *testing.T) {
	all, err := a.menu.ListActions(a.admin, &authv1.ListActionsRequest{})
	require.NoError(t, err)
	require.Len(t, all.GetAuthority(), len(menu.All()))
	a.role(t, "menus", "reader", "self", reads)
	a.user(t, "menus", "bob", "reader")
	mine, err := a.menu.ListActions(a.as(t, "menus", "bob", goodPassword), &authv1.ListActionsRequest{})
	require.NoError(t, err)
	require.Len(t, mine.GetAuthority(), 1)
	require.JSONEq(t, `{"name":"users","textCn":"用户管理","textEn":"user manage","menuLevel":2,"menuUrl":"/users","id":7,"parentId":5,"adminOnly":true,
		"operations":[{"action":"user-list","uri":"/v2/user/list","textCn":"查看用户列表","textEn":"user list"}]}`, protojson.Format(mine.GetAuthority()[0]))
}

func (a *accounts) testScopes(t *testing.T) {
	a.role(t, "scopes", "self", "self", manages)
	for _, name := range []string{"ann", "bob", "eve"} {
		a.user(t, "scopes", name, "self")
	}
	a.role(t, "scopes", "all", "all", manages)
	a.role(t, "scopes", "some", "designate", manages, "scopes:ann")
	a.user(t, "scopes", "boss", "all")
	a.user(t, "scopes", "lead", "some")
	ann, boss, lead := a.as(t, "scopes", "ann", goodPassword), a.as(t, "scopes", "boss", goodPassword), a.as(t, "scopes", "lead", goodPassword)
	require.Equal(t, []string{"scopes:ann"}, a.listed(t, ann, "", ""))
	require.Equal(t, []string{"scopes:ann", "scopes:bob", "scopes:boss", "scopes:eve", "scopes:lead"}, a.listed(t, boss, "", ""))
	require.Equal(t, []string{"scopes:ann", "scopes:lead"}, a.listed(t, lead, "", ""))
	rename := func(ctx context.Context, who string) error {
		_, err := a.users.UpdateUser(ctx, &authv1.UpdateUserRequest{Tenant: "scopes", Username: who, Role: "self", Remark: "by another"})
		return err
	}
	require.NoError(t, rename(lead, "ann"))
	requireReason(t, rename(lead, "bob"), "OUT_OF_SCOPE")
	require.NoError(t, rename(boss, "bob"))
	requireReason(t, rename(lead, "nobody"), "OUT_OF_SCOPE")
	requireReason(t, rename(boss, "nobody"), "USER_NOT_FOUND")
}

// refusal is a call that a caller must not make.
type refusal struct {
	name   string
	reason string
	call   func(ctx context.Context) error
}

func (a *accounts) testPasswords(t *testing.T) {
	a.role(t, "passwords", "reader", "self", reads)
	a.user(t, "passwords", "bob", "reader")
	_, err := a.users.CreateUser(a.admin, &authv1.CreateUserRequest{Tenant: "passwords", Username: "eve", Role: "reader", PassWord: "short1A"})
	requireReason(t, err, "PASSWORD_WEAK")
	require.Equal(t, "min_length", fault.From(err).Meta["rule"])
	require.ErrorContains(t, err, "pass_word: must have at least 8 characters, has 7")

	bob := a.as(t, "passwords", "bob", goodPassword)
	reset := a.resetPassword("passwords", "bob", goodPassword)
	require.NoError(t, reset(bob), "everybody may change his own")
	requireReason(t, reset(bob), "SESSION_ENDED")
	bob = a.as(t, "passwords", "bob", otherPassword)
	for range 2 {
		requireReason(t, reset(bob), "PASSWORD_WRONG")
	}
	requireReason(t, reset(bob), "PASSWORD_WRONG")
	requireReason(t, a.resetPassword("passwords", "bob", otherPassword)(bob), "ACCOUNT_LOCKED")
	_, err = a.tryLogin(t, "passwords", "bob", otherPassword)
	requireReason(t, err, "ACCOUNT_LOCKED")
}
