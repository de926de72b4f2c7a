package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// gateway starts another gateway in a process of its own beside a standalone, and returns the address it serves.
func (o *opsdeck) gateway(t testing.TB) string {
	t.Helper()
	address, out := fmt.Sprintf("127.0.0.1:%d", freePort(t)), &output{}
	socket := func(name string) string { return "unix://" + filepath.Join(o.data, "run", name) }
	second := launch(t, out, gatewayProgram, []string{
		"OPSDECK_ADMIN_ADDR=127.0.0.1:0",
		"OPSDECK_GATEWAY_ADDR=" + address,
		"OPSDECK_GATEWAY_AUTH=" + socket("auth"),
		"OPSDECK_GATEWAY_DNS=" + socket("dns"),
		"OPSDECK_GATEWAY_REPLICATION_JOBS=" + socket("replication"),
	}, "serve")
	t.Cleanup(func() {
		out.showOnFailure(t, "the second gateway")
		require.NoError(t, second.end())
	})
	await(t, startPatience, "the second gateway to be ready", (&operator{address: address}).ready)
	return address
}

// idOf finds the id of the only thing in a list that has a name.
func (c *operator) idOf(t testing.TB, list, filter, name string) int64 {
	t.Helper()
	var page struct {
		Results []struct {
			ID int64 `json:"id"`
		} `json:"results"`
	}
	c.ok(t, apitest.HTTP{Method: "GET", Path: list, Query: map[string]string{filter: name}}, &page)
	require.Len(t, page.Results, 1)
	return page.Results[0].ID
}

// What a role is granted at one gateway holds at another within a second, and so does that it is taken away.
func TestGrantsReachASecondGateway(t *testing.T) {
	t.Parallel()
	o, done := sharedOpsdeck(t), object{}
	second := o.gateway(t)
	o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/role/create", JSON: object{
		"name": "editors", "tenant": "platform", "operation_object_type": "self", "authority": "[]",
	}}, &done)
	o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/create", JSON: object{
		"username": "editor", "tenant": "platform", "role": "editors", "pass_word": "Secret-01",
	}}, &done)
	role, user := o.idOf(t, "/roles/", "name", "editors"), o.idOf(t, "/users/", "username", "editor")
	token := o.signIn(t, "platform", "editor", "Secret-01")
	elsewhere := operator{address: second, token: token, document: o.document}
	ask := func(path string) apitest.Answer { return elsewhere.do(t, apitest.HTTP{Method: "GET", Path: path}) }
	checks := authv1.NewAccessServiceClient(o.dial(t, "auth"))
	holds := func(ctx context.Context) bool {
		answer, err := checks.Check(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), &authv1.CheckRequest{Right: "application:7.edit_app"})
		require.NoError(t, err)
		return answer.GetAllowed()
	}
	within := func(status int, effective bool) {
		t.Helper()
		await(t, patience, "the change", func(ctx context.Context) error {
			grants := ask("/applications/7/authorization/users/")
			rights := ask(fmt.Sprintf("/users/%d/effective-perms/?resource_type=application&resource_id=7", user))
			if grants.Status != status || holds(ctx) != effective || rights.Status != http.StatusOK {
				return fmt.Errorf("%d %s; effective rights: %d %s", grants.Status, grants.Body, rights.Status, rights.Body)
			}
			var shown struct {
				Resources []struct {
					Name      string `json:"perm_name"`
					Effective bool   `json:"effective"`
				} `json:"resources"`
			}
			if err := json.Unmarshal(rights.Body, &shown); err != nil {
				return permanentError{err}
			}
			if got := len(shown.Resources) == 1 && shown.Resources[0].Effective; got != effective {
				return fmt.Errorf("effective rights: %s", rights.Body)
			}
			return nil
		})
	}
	grant := func(allowed bool) {
		t.Helper()
		o.ok(t, apitest.HTTP{Method: "POST", Path: fmt.Sprintf("/roles/%d/application/perms/", role), JSON: object{
			"authorizations": []any{object{"id": 7, "permission": object{"edit_app": allowed}}},
		}}, &done)
	}
	o.ok(t, apitest.HTTP{Method: "POST", Path: fmt.Sprintf("/roles/%d/system/perms/", role), JSON: []any{
		object{"module_name": "application", "permissions": object{"enable_app_mgmt": true}},
	}}, &done)
	within(http.StatusForbidden, false)
	grant(true)
	within(http.StatusOK, true)
	grant(false)
	within(http.StatusForbidden, false)
}
