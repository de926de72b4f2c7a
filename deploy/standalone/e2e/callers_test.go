package e2e

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

// Those who are nobody to opsdeck, whatever they were.
var strangers = []string{apitest.Nobody, "forger", "expired", "revoked", "disabled"}

// Those whom opsdeck knows and who have no business with platform's things.
const (
	powerless = "powerless" // of the tenant platform, with a role that opens nothing
	outsider  = "outsider"  // the administrator of another tenant
)

var cast struct {
	once   sync.Once
	tokens map[string]string
}

// callers returns the tokens of everybody whom the access of RPCs is tried with, the administrator's included.
func (o *opsdeck) callers(t testing.TB) map[string]string {
	t.Helper()
	cast.once.Do(func() {
		nothing := object{"name": "opens-nothing", "tenant": "platform", "operation_object_type": "self", "authority": "[]"}
		o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/role/create", JSON: nothing}, &object{})
		cast.tokens = map[string]string{
			"admin": o.token, "forger": forge(o.token), "expired": o.expired(t),
			powerless:  o.join(t, "platform", powerless, "opens-nothing"),
			outsider:   o.join(t, "elsewhere", outsider, "admin"),
			"revoked":  o.join(t, "platform", "revoked", "admin"),
			"disabled": o.join(t, "platform", "disabled", "admin"),
		}
		o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/reset_password", JSON: object{
			"username": "revoked", "tenant": "platform", "current_user_password": o.password, "password": "Secret-02",
		}}, &object{})
		o.disable(t, "disabled")
		for _, name := range []string{"expired", "revoked", "disabled"} {
			o.awaitStranger(t, cast.tokens[name])
		}
	})
	require.NotEmpty(t, cast.tokens, "the callers could not be made; the test that needed them first says why")
	return cast.tokens
}

// join makes a user and returns the token of a session.
func (o *opsdeck) join(t testing.TB, tenant, name, role string) string {
	t.Helper()
	o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/create", JSON: object{
		"username": name, "tenant": tenant, "role": role, "pass_word": "Secret-01",
	}}, &object{})
	return o.signIn(t, tenant, name, "Secret-01")
}

// expired returns a token that auth could have signed for the administrator a day ago.
func (o *opsdeck) expired(t testing.TB) string {
	t.Helper()
	url, err := os.ReadFile(filepath.Join(o.data, "secrets", "database.auth"))
	require.NoError(t, err)
	db, err := pgx.Connect(t.Context(), string(url))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.WithoutCancel(t.Context()))) }()
	var id string
	var sealed []byte
	require.NoError(t, db.QueryRow(t.Context(), `
		SELECT id, private_key FROM auth.signing_keys WHERE signs_from <= now() ORDER BY signs_from DESC LIMIT 1`).Scan(&id, &sealed))
	sealer, err := secret.Load(filepath.Join(o.data, "secrets", "seal.keys"))
	require.NoError(t, err)
	private, err := sealer.Open(sealed, "auth.signing_key/"+id)
	require.NoError(t, err)
	admin := authn.Principal{Tenant: "platform", User: "admin", Role: "admin", Session: claimsOf(t, o.token)["sid"].(string)}
	issued := time.Now().Add(-25 * time.Hour)
	token, err := authn.Sign(admin, id, ed25519.PrivateKey(private), issued, issued.Add(24*time.Hour))
	require.NoError(t, err)
	return token
}

// disable ends a user's access by the documented call.
func (o *opsdeck) disable(t testing.TB, name string) {
	t.Helper()
	if o.document.operation("POST", "/users/1/actions/disable") == nil {
		o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/user/delete", JSON: object{"username": name, "tenant": "platform"}}, &object{})
		return
	}
	var found struct {
		Results []struct {
			ID int64 `json:"id"`
		} `json:"results"`
	}
	o.ok(t, apitest.HTTP{Method: "GET", Path: "/users/?username=" + name}, &found)
	require.Len(t, found.Results, 1)
	o.ok(t, apitest.HTTP{Method: "POST", Path: fmt.Sprintf("/users/%d/actions/disable/", found.Results[0].ID)}, &object{})
}

// awaitStranger waits until nobody knows the owner of a token any more: services hear of it within a second.
func (o *opsdeck) awaitStranger(t testing.TB, token string) {
	t.Helper()
	for _, path := range []string{"/v2/user/current_user", "/v2/nodes"} {
		call := apitest.HTTP{Method: "GET", Path: path, Header: map[string]string{"Authorization": token}}
		await(t, patience, "a token to be refused", func(context.Context) error {
			if answer := o.do(t, call); answer.Status != http.StatusUnauthorized {
				return fmt.Errorf("%s: %d %s", path, answer.Status, answer.Body)
			}
			return nil
		})
	}
}
