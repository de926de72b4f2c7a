package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
)

// exampleAccounts answers the calls about users, roles and tenants with what the documents print.
func exampleAccounts(t *testing.T, r *rig) {
	t.Helper()
	r.always("ListUsers", &authv1.ListUsersResponse{UserList: []*authv1.User{{
		Username: "admin", Tenant: "platform", Role: "admin", CreateTime: at(t, "2021-09-06T07:02:37Z"),
	}}})
	r.always("CreateUser", &authv1.CreateUserResponse{})
	r.always("UpdateUser", &authv1.UpdateUserResponse{})
	r.always("ResetPassword", &authv1.ResetPasswordResponse{})
	r.always("DeleteUser", &authv1.DeleteUserResponse{})
	r.always("ListTenants", &authv1.ListTenantsResponse{TenantList: []string{"platform"}})
	var menus authv1.ListActionsResponse
	var documented map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(readExample(t, "auth.user.list_action").Response, &documented))
	require.NoError(t, protojson.Unmarshal([]byte(`{"authority":`+string(documented["authority"])+`}`), &menus))
	r.always("ListActions", &menus)
	var roles struct {
		List []struct{ Authority string } `json:"role_list"`
	}
	require.NoError(t, json.Unmarshal(readExample(t, "auth.role.list").Response, &roles))
	r.always("ListRoles", &authv1.ListRolesResponse{RoleList: []*authv1.Role{{
		Tenant: "platform", Name: "admin", ObjectType: "all", Authority: roles.List[0].Authority,
	}}})
	r.always("CreateRole", &authv1.CreateRoleResponse{})
	r.always("UpdateRole", &authv1.UpdateRoleResponse{})
	r.always("DeleteRole", &authv1.DeleteRoleResponse{})
}

func TestAccountsHaveManySpellings(t *testing.T) {
	t.Parallel()
	create := &authv1.CreateUserRequest{Username: "u", Tenant: "t", Role: "r", PassWord: "p"}
	update := &authv1.UpdateUserRequest{Username: "u", Tenant: "t", Role: "r"}
	reset := &authv1.ResetPasswordRequest{Username: "u", Tenant: "t", CurrentUserPassword: "c", Password: "p"}
	gone := &authv1.DeleteUserRequest{Username: "u", Tenant: "t"}
	role := &authv1.CreateRoleRequest{Name: "r", Tenant: "t", OperationObjectType: "designate", OperationUsers: []string{"t:u"}, Authority: "[]"}
	changed := &authv1.UpdateRoleRequest{Name: "r", Tenant: "t", OperationObjectType: "self"}
	dropped := &authv1.DeleteRoleRequest{Name: "r", Tenant: "t"}
	const roleBody = `{"name":"r","tenant":"t","operation_object_type":"designate","operation_users":["t:u"],"authority":"[]"}`
	for _, test := range []struct {
		name, method string
		reply        proto.Message
		path         string
		body         string // a form unless it begins with a brace
		want         proto.Message
	}{
		{"create user", "CreateUser", &authv1.CreateUserResponse{}, "/v2/user/create", `{"username":"u","tenant":"t","role":"r","pass_word":"p"}`, create},
		{"create user by the other names", "CreateUser", &authv1.CreateUserResponse{}, "/v2/user/create/", `{"user_name":"u","tenant":"t","role":"r","password":"p"}`, create},
		{"update user", "UpdateUser", &authv1.UpdateUserResponse{}, "/v2/user/update", `{"user_name":"u","tenant":"t","role":"r"}`, update},
		{"reset", "ResetPassword", &authv1.ResetPasswordResponse{}, "/v2/user/reset_password", `{"username":"u","tenant":"t","current_user_password":"c","password":"p"}`, reset},
		{"reset by the other names", "ResetPassword", &authv1.ResetPasswordResponse{}, "/v2/user/reset_password", `{"user_name":"u","tenant":"t","current_user_password":"c","pass_word":"p"}`, reset},
		{"delete user by form", "DeleteUser", &authv1.DeleteUserResponse{}, "/v2/user/delete", `user_name=u&tenant=t`, gone},
		{"delete user by JSON", "DeleteUser", &authv1.DeleteUserResponse{}, "/v2/user/delete", `{"username":"u","tenant":"t"}`, gone},
		{"delete user by query", "DeleteUser", &authv1.DeleteUserResponse{}, "/v2/user/delete?username=u&tenant=t", ``, gone},
		{"create role", "CreateRole", &authv1.CreateRoleResponse{}, "/v2/role/create", roleBody, role},
		{
			"create role by the other names", "CreateRole", &authv1.CreateRoleResponse{}, "/v2/role/create",
			`{"name":"r","tenant":"t","object_type":"designate","object_users":"t:u","authority":"[]"}`, role,
		},
		{"create role where the document has it", "CreateRole", &authv1.CreateRoleResponse{}, "/v2/user/create", roleBody, role},
		{"create role there with a slash", "CreateRole", &authv1.CreateRoleResponse{}, "/v2/user/create/", roleBody, role},
		{"update role", "UpdateRole", &authv1.UpdateRoleResponse{}, "/v2/role/update", `{"name":"r","tenant":"t","object_type":"self"}`, changed},
		{"update role where the document has it", "UpdateRole", &authv1.UpdateRoleResponse{}, "/v2/user/update", `{"name":"r","tenant":"t","operation_object_type":"self"}`, changed},
		{"delete role by form", "DeleteRole", &authv1.DeleteRoleResponse{}, "/v2/role/delete", `name=r&tenant=t`, dropped},
		{"delete role by the example's name", "DeleteRole", &authv1.DeleteRoleResponse{}, "/v2/role/delete", `{"username":"r","tenant":"t"}`, dropped},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			requests := seen(r, test.method, test.reply)
			c := call{method: "POST", path: test.path, body: test.body}
			if test.body != "" {
				c.contentType = formHdr
			}
			if strings.HasPrefix(test.body, "{") {
				c.contentType = jsonHdr
			}
			got := r.do(t, c)
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.JSONEq(t, `{"message":"ok"}`, got.body)
			require.True(t, got.documented)
			request := <-requests
			require.True(t, proto.Equal(test.want, request), "%v", request)
		})
	}
}

func TestAccountsAreRefusedWithTheField(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	exampleAccounts(t, r)
	for _, test := range []struct {
		name, path, body string
		status           int
		message          string
	}{
		{"both names", "/v2/user/create", `{"username":"u","user_name":"u"}`, 400, "user_name: is given twice: it is another name of username"},
		{"both names in a form", "/v2/user/delete", `tenant=t&user_name=u&username=u`, 400, "username: is given twice"},
		{"a name of another call", "/v2/user/update", `{"username":"u","tenant":"t","role":"r","password":"p"}`, 400, "password: there is no such field"},
		{"neither user nor role", "/v2/user/create", `{"tenant":"t"}`, 400, "username"},
		{"a user's field in a role", "/v2/user/create", `{"name":"r","role":"x"}`, 400, "role: there is no such field"},
		{"both user and role", "/v2/user/create", `{"name":"r","username":"u"}`, 400, "name: there is no such field"},
		{"no object", "/v2/user/create", `[]`, 400, "must be a JSON object"},
		{"nothing", "/v2/user/update", ``, 400, "empty"},
		{"a list of users that is none", "/v2/role/create", `{"name":"r","operation_users":7}`, 400, "operation_users: must be an array"},
		{"an object type that is none", "/v2/role/create", `{"name":"r","tenant":"t","authority":"[]","object_type":"some"}`, 400, "operation_object_type"},
		{"a name with a colon", "/v2/user/create", `{"username":"a:b","tenant":"t","role":"r","pass_word":"p"}`, 400, "username"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := call{method: "POST", path: test.path, body: test.body, contentType: jsonHdr}
			if test.body != "" && test.body[0] != '{' && test.body[0] != '[' {
				c.contentType = formHdr
			}
			got := r.do(t, c)
			require.Equal(t, test.status, got.status, got.body)
			require.Contains(t, got.body, test.message)
			require.True(t, got.documented)
		})
	}
	t.Run("a body that is too large", func(t *testing.T) {
		t.Parallel()
		got := r.do(t, call{method: "POST", path: "/v2/user/create", contentType: jsonHdr, body: `{"name":"` + strings.Repeat("x", 2<<20) + `"}`})
		require.Equal(t, http.StatusRequestEntityTooLarge, got.status, got.body)
	})
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/v2/user/create", "/v2/user/update", "/v2/role/create", "/v2/user/reset_password", "/v2/role/delete"} {
			got := r.do(t, call{method: "POST", path: path, contentType: jsonHdr, body: `{"name":"r"}`, token: "none"})
			require.Equal(t, http.StatusUnauthorized, got.status, path)
		}
	})
}
