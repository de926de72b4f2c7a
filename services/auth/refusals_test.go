package auth

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/auth/internal/menu"
)

func (a *accounts) createUser(tenant, role string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.users.CreateUser(ctx, &authv1.CreateUserRequest{Tenant: tenant, Username: "new", Role: role, PassWord: goodPassword})
		return err
	}
}

func (a *accounts) updateUser(tenant, username, role string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.users.UpdateUser(ctx, &authv1.UpdateUserRequest{Tenant: tenant, Username: username, Role: role})
		return err
	}
}

func (a *accounts) deleteUser(tenant, username string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.users.DeleteUser(ctx, &authv1.DeleteUserRequest{Tenant: tenant, Username: username})
		return err
	}
}

func (a *accounts) resetPassword(tenant, username, own string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.users.ResetPassword(ctx, &authv1.ResetPasswordRequest{Tenant: tenant, Username: username, CurrentUserPassword: own, Password: otherPassword})
		return err
	}
}

func (a *accounts) createRole(tenant, name, objects, authority string, users ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.roles.CreateRole(ctx, &authv1.CreateRoleRequest{
			Tenant: tenant, Name: name, OperationObjectType: objects, OperationUsers: users, Authority: authority,
		})
		return err
	}
}

func (a *accounts) updateRole(tenant, name, objects, authority string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.roles.UpdateRole(ctx, &authv1.UpdateRoleRequest{Tenant: tenant, Name: name, OperationObjectType: objects, Authority: &authority})
		return err
	}
}

func (a *accounts) deleteRole(tenant, name string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.roles.DeleteRole(ctx, &authv1.DeleteRoleRequest{Tenant: tenant, Name: name})
		return err
	}
}

func (a *accounts) testRefusals(t *testing.T) {
	a.role(t, "refused", "manager", "all", manages)
	a.role(t, "refused", "reader", "self", reads)
	a.user(t, "refused", "root", "admin")
	a.user(t, "refused", "manager", "manager")
	a.user(t, "refused", "reader", "reader")
	a.user(t, "refused", "disabled", "admin")
	root, manager, reader := a.as(t, "refused", "root", goodPassword), a.as(t, "refused", "manager", goodPassword), a.as(t, "refused", "reader", goodPassword)
	disabled := a.as(t, "refused", "disabled", goodPassword)
	a.execute(t, `UPDATE auth.users SET status = 'disabled' WHERE username = 'disabled'`)
	before := a.texts(t, `SELECT count(*)::text FROM auth.audit`)

	every := []refusal{
		{"create user", "", a.createUser("refused", "reader")},
		{"update user", "", a.updateUser("refused", "reader", "reader")},
		{"delete user", "", a.deleteUser("refused", "reader")},
		{"reset password", "", a.resetPassword("refused", "reader", goodPassword)},
		{"create role", "", a.createRole("refused", "new", "self", "[]")},
		{"update role", "", a.updateRole("refused", "reader", "self", "[]")},
		{"delete role", "", a.deleteRole("refused", "reader")},
		{"list users", "", func(ctx context.Context) error {
			_, err := a.users.ListUsers(ctx, &authv1.ListUsersRequest{})
			return err
		}},
		{"list roles", "", func(ctx context.Context) error {
			_, err := a.roles.ListRoles(ctx, &authv1.ListRolesRequest{})
			return err
		}},
		{"list tenants", "", func(ctx context.Context) error {
			_, err := a.tenants.ListTenants(ctx, &authv1.ListTenantsRequest{})
			return err
		}},
		{"list actions", "", func(ctx context.Context) error {
			_, err := a.menu.ListActions(ctx, &authv1.ListActionsRequest{})
			return err
		}},
		{"check", "", func(ctx context.Context) error {
			_, err := authv1.NewAccessServiceClient(a.conn).Check(ctx, &authv1.CheckRequest{})
			return err
		}},
		{"batch check", "", func(ctx context.Context) error {
			_, err := authv1.NewAccessServiceClient(a.conn).BatchCheck(ctx, &authv1.BatchCheckRequest{Rights: []string{""}})
			return err
		}},
	}
	for _, r := range every {
		requireReasonOf(t, r.name+" by nobody", r.call(t.Context()), "UNAUTHENTICATED")
		requireReasonOf(t, r.name+" by a disabled user", r.call(disabled), "SESSION_ENDED")
	}
	for _, r := range append(every[:3:3], every[4:7]...) {
		requireReasonOf(t, r.name+" without the right", r.call(reader), "FORBIDDEN")
	}
	for _, r := range []refusal{
		{"create a user elsewhere", "OUT_OF_SCOPE", a.createUser("platform", "admin")},
		{"create a user in a tenant that is not", "OUT_OF_SCOPE", a.createUser("nowhere", "admin")},
		{"update platform's admin", "OUT_OF_SCOPE", a.updateUser("platform", "admin", "admin")},
		{"delete platform's admin", "OUT_OF_SCOPE", a.deleteUser("platform", "admin")},
		{"delete nobody elsewhere", "OUT_OF_SCOPE", a.deleteUser("platform", "nobody")},
		{"reset platform's admin", "OUT_OF_SCOPE", a.resetPassword("platform", "admin", goodPassword)},
		{"create a role elsewhere", "OUT_OF_SCOPE", a.createRole("platform", "new", "self", "[]")},
		{"update a role elsewhere", "OUT_OF_SCOPE", a.updateRole("platform", "admin", "self", "[]")},
		{"delete a role elsewhere", "OUT_OF_SCOPE", a.deleteRole("platform", "admin")},
		{"a role over platform's admin", "OUT_OF_SCOPE", a.createRole("refused", "new", "designate", "[]", "platform:admin")},
		{"a role over the same tenant in capitals", "OUT_OF_SCOPE", a.createRole("refused", "new", "designate", "[]", "Platform:admin")},
	} {
		requireReasonOf(t, r.name+" by a tenant's admin", r.call(root), r.reason)
	}
	for _, r := range []refusal{
		{"make an admin", "ABOVE_CALLER", a.createUser("refused", "admin")},
		{"promote himself", "ABOVE_CALLER", a.updateUser("refused", "manager", "admin")},
		{"demote an admin", "ABOVE_CALLER", a.updateUser("refused", "root", "reader")},
		{"delete an admin", "ABOVE_CALLER", a.deleteUser("refused", "root")},
		{"reset an admin", "ABOVE_CALLER", a.resetPassword("refused", "root", goodPassword)},
		{"make a role of more", "ABOVE_CALLER", a.createRole("refused", "more", "self", menu.Authority())},
		{"make his role more", "ABOVE_CALLER", a.updateRole("refused", "manager", "all", menu.Authority())},
		{"change the role admin", "ROLE_PROTECTED", a.updateRole("refused", "admin", "self", "[]")},
		{"make a role admin", "ROLE_PROTECTED", a.createRole("refused", "admin", "self", "[]")},
	} {
		requireReasonOf(t, r.name+" by a manager", r.call(manager), r.reason)
	}
	for _, r := range []refusal{
		{"delete platform's admin, himself", "USER_PROTECTED", a.deleteUser("platform", "ADMIN")},
		{"delete a role that comes with the tenant", "ROLE_PROTECTED", a.deleteRole("platform", "admin")},
		{"a role that is not", "ROLE_NOT_FOUND", a.createUser("refused", "none")},
		{"an action that is not", "ACTION_UNKNOWN", a.createRole("refused", "new", "self", `[{"name":"users","operations":[{"action":"user-fly","uri":"/fly"}]}]`)},
		{"an authority that is none", "INVALID_REQUEST", a.createRole("refused", "new", "self", `{`)},
		{"designate without users", "INVALID_REQUEST", a.createRole("refused", "new", "designate", `[]`)},
		{"designate with a user without a tenant", "INVALID_REQUEST", a.createRole("refused", "new", "designate", `[]`, "root")},
		{"designate with nobody", "USER_NOT_FOUND", a.createRole("refused", "new", "designate", `[]`, "refused:nobody")},
		{"a tenant's role over another tenant", "INVALID_REQUEST", a.createRole("refused", "new", "designate", `[]`, "platform:admin")},
	} {
		requireReasonOf(t, r.name+" by platform:admin", r.call(a.admin), r.reason)
	}
	require.Equal(t, before, a.texts(t, `SELECT count(*)::text FROM auth.audit`), "nothing changed")
	require.Empty(t, a.texts(t, `SELECT name FROM auth.tenants WHERE name = 'nowhere'`))
}

func requireReasonOf(t *testing.T, name string, err error, reason string) {
	t.Helper()
	require.True(t, fault.Is(err, reason), "%s: want %s, got %v", name, reason, err)
}
