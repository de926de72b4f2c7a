package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// endsWithin is how long a credential may go on to work after it was taken away.
const endsWithin = time.Second

// sends makes one call with headers of its own, and returns the status and the cookies of the answer.
func (o *opsdeck) sends(ctx context.Context, t testing.TB, method, path, body string, header map[string]string) (int, string, []*http.Cookie) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+o.address+path, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := httpClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	var answer json.RawMessage
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	return response.StatusCode, string(answer), response.Cookies()
}

// awaitRefused requires that a credential stops working within a second at a service that is not auth.
func (o *opsdeck) awaitRefused(t testing.TB, header map[string]string) {
	t.Helper()
	deadline := time.Now().Add(endsWithin)
	for {
		status, body, _ := o.sends(t.Context(), t, http.MethodGet, "/v2/nodes", "", header)
		if status == http.StatusUnauthorized {
			return
		}
		require.Equal(t, http.StatusOK, status, body)
		require.True(t, time.Now().Before(deadline), "it still works after %v", endsWithin)
	}
}

func (o *opsdeck) makeToken(t testing.TB, request object) (id int64, value string) {
	t.Helper()
	var made struct {
		ID    int64
		Value string
	}
	o.ok(t, apitest.HTTP{Method: http.MethodPost, Path: "/auth-tokens/", JSON: request}, &made)
	return made.ID, made.Value
}

func TestTokensEndWithinASecond(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	for range 3 {
		id, value := o.makeToken(t, object{"name": "ends"})
		header := map[string]string{"Authorization": value}
		status, body, _ := o.sends(t.Context(), t, http.MethodGet, "/v2/nodes", "", header)
		require.Equal(t, http.StatusOK, status, body)
		o.ok(t, apitest.HTTP{Method: http.MethodDelete, Path: fmt.Sprintf("/auth-tokens/%d/", id)}, &struct{}{})
		o.awaitRefused(t, header)
	}
}

// Nobody but a proxy that is trusted says where a call comes from.
func TestTokensOfOneNetwork(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	_, here := o.makeToken(t, object{"name": "here", "allowed_networks": []string{"127.0.0.0/8"}})
	_, elsewhere := o.makeToken(t, object{"name": "elsewhere", "allowed_networks": []string{"198.51.100.0/24"}})
	for _, forwarded := range []string{"", "198.51.100.7"} {
		status, body, _ := o.sends(t.Context(), t, http.MethodGet, "/v2/nodes", "", map[string]string{"Authorization": here, "X-Forwarded-For": forwarded})
		require.Equal(t, http.StatusOK, status, body)
		status, body, _ = o.sends(t.Context(), t, http.MethodGet, "/v2/nodes", "", map[string]string{"Authorization": elsewhere, "X-Forwarded-For": forwarded})
		require.Equal(t, http.StatusForbidden, status, body)
	}
}

// The session of a browser: a cookie that scripts cannot read, that other sites cannot use, and that ends.
func TestSessionsOfBrowsers(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	const login, logout = "/api/connector/default/user/login", "/api/connector/default/user/logout"
	status, body, _ := o.sends(t.Context(), t, http.MethodPost, login, `{"user":"nobody","pass":"wrong"}`, nil)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"stat":false,"code":10000}`, body)

	status, body, cookies := o.sends(t.Context(), t, http.MethodPost, login, fmt.Sprintf(`{"user":"admin","pass":%q,"domain":"platform"}`, o.password), nil)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"stat":true,"info":"ok","pwperiod":9999}`, body)
	require.Len(t, cookies, 1)
	sid := cookies[0]
	require.Equal(t, "sid", sid.Name)
	require.True(t, sid.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, sid.SameSite)
	require.Equal(t, 8*60*60, sid.MaxAge)

	header := map[string]string{"Cookie": "sid=" + sid.Value, "Sec-Fetch-Site": "cross-site"}
	_, body, _ = o.sends(t.Context(), t, http.MethodPost, logout, `{}`, header)
	require.Contains(t, body, `"stat":false`, "a page of another site")
	header["Sec-Fetch-Site"] = "same-origin"
	_, body, cookies = o.sends(t.Context(), t, http.MethodPost, logout, `{}`, header)
	require.JSONEq(t, `{"stat":true,"info":"ok"}`, body)
	require.Equal(t, -1, cookies[0].MaxAge)
	_, body, _ = o.sends(t.Context(), t, http.MethodPost, logout, `{}`, header)
	require.JSONEq(t, `{"stat":false,"code":10000}`, body)

	// An app, by its headers.
	var app struct{ Appkey string }
	o.ok(t, apitest.HTTP{Method: http.MethodPost, Path: "/app-keys/", JSON: object{"appname": "browser-test"}}, &app)
	_, body, _ = o.sends(t.Context(), t, http.MethodPost, logout, `{}`, map[string]string{"Appname": "browser-test", "Appkey": app.Appkey})
	require.JSONEq(t, `{"stat":true,"info":"ok"}`, body)
}
