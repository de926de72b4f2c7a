package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// What auth takes away, the other services refuse within a second.
func TestRevocationReachesOtherServices(t *testing.T) {
	t.Parallel()
	o, done := sharedOpsdeck(t), object{}
	o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/create", JSON: object{
		"username": "leaver", "tenant": "leaving", "role": "admin", "pass_word": "Secret-01",
	}}, &done)
	as := map[string]string{"Authorization": o.signIn(t, "leaving", "leaver", "Secret-01")}
	nodes := apitest.HTTP{Method: "GET", Path: "/v2/nodes", Header: as}
	jobs := apitest.HTTP{Method: "GET", Path: "/v2/jobs/migration", Header: as}
	require.Equal(t, http.StatusOK, o.do(t, nodes).Status)
	require.Equal(t, http.StatusOK, o.do(t, jobs).Status)

	o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/role/create", JSON: object{
		"name": "nothing", "tenant": "leaving", "operation_object_type": "self", "authority": "[]",
	}}, &done)
	o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/update", JSON: object{"username": "leaver", "tenant": "leaving", "role": "nothing"}}, &done)
	refused := func(call apitest.HTTP, status int) {
		t.Helper()
		await(t, patience, "a refusal", func(context.Context) error {
			if got := o.do(t, call); got.Status != status {
				return fmt.Errorf("%d %s", got.Status, got.Body)
			}
			return nil
		})
	}
	refused(jobs, http.StatusForbidden)
	require.Equal(t, http.StatusOK, o.do(t, nodes).Status)
	o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/delete", Form: map[string]string{"username": "leaver", "tenant": "leaving"}}, &done)
	refused(nodes, http.StatusUnauthorized)
}
