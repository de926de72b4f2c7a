package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestPasswordsOfTheCallers(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	forgotten := seen(r, "ForgetPassword", &authv1.ForgetPasswordResponse{})
	for _, id := range []string{"7", "ann", "dev:ann", "7/"} {
		path := "/users/" + strings.TrimSuffix(id, "/") + "/actions/forget-password/"
		got := r.do(t, call{method: "POST", path: path, contentType: jsonHdr, body: `{"email":"ann@example.org"}`, token: "none"})
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.JSONEq(t, `{"message":"success"}`, got.body)
		want := &authv1.ForgetPasswordRequest{Id: strings.TrimSuffix(id, "/"), Email: "ann@example.org"}
		require.True(t, proto.Equal(want, <-forgotten))
	}
	change := call{method: "POST", path: "/users/7/actions/change-password/", contentType: jsonHdr, body: `{"original_password":"a","new_password":"b"}`}
	changed := seen(r, "ChangePassword", &authv1.ChangePasswordResponse{})
	got := r.do(t, change)
	require.JSONEq(t, `{"message":"success"}`, got.body)
	require.True(t, proto.Equal(&authv1.ChangePasswordRequest{Id: 7, OriginalPassword: "a", NewPassword: "b"}, <-changed))
	r.on("ChangePassword", func(context.Context, proto.Message) (proto.Message, error) {
		return nil, &fault.Fault{Code: codes.InvalidArgument, Reason: "PASSWORD_ORIGINAL_WRONG", Message: "original password is wrong"}
	})
	got = r.do(t, change)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.JSONEq(t, `{"error_code":300001,"message":"original password is wrong"}`, got.body)
}

func TestLoginTakesACodeByTwoNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	logins := seen(r, "Login", &authv1.LoginResponse{Token: "t"})
	for _, name := range []string{"totp", "otp_code"} {
		body := `{"tenant":"t","username":"u","password":"p","captcha_id":"c","captcha":"1","` + name + `":"123456"}`
		got := r.do(t, call{method: "POST", path: "/v2/login", contentType: jsonHdr, body: body, token: "none"})
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, "123456", (<-logins).(*authv1.LoginRequest).GetTotp())
	}
}

func TestSignInByAProvider(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	starts := seen(r, "StartOidcLogin", &authv1.StartOidcLoginResponse{Url: "https://idp.example.org/auth?state=s", BrowserSecret: "browser"})
	finishes := seen(r, "FinishOidcLogin", &authv1.FinishOidcLoginResponse{Token: "token"})
	got := r.do(t, call{method: "GET", path: "/v2/login/oidc/dev/corp", token: "none"})
	require.Equal(t, http.StatusFound, got.status, got.body)
	require.Equal(t, "https://idp.example.org/auth?state=s", got.header.Get("Location"))
	require.True(t, proto.Equal(&authv1.StartOidcLoginRequest{Tenant: "dev", Provider: "corp"}, <-starts))
	require.Equal(t, "opsdeck_oidc=browser; Path=/v2/login/oidc; Max-Age=600; HttpOnly; SameSite=Lax", got.header.Get("Set-Cookie"))
	proxied := r.do(t, call{method: "GET", path: "/v2/login/oidc/dev/corp", token: "none", header: http.Header{"X-Forwarded-Proto": {"https"}}})
	require.Contains(t, proxied.header.Get("Set-Cookie"), "; Secure")
	<-starts

	cookie := http.Header{"Cookie": {"opsdeck_oidc=browser"}}
	got = r.do(t, call{method: "GET", path: "/v2/login/oidc/callback?state=s&code=c&iss=i", token: "none", header: cookie})
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.JSONEq(t, `{"message":"ok","data":{"token":"token"}}`, got.body)
	require.Contains(t, got.header.Get("Set-Cookie"), "Max-Age=0")
	require.True(t, proto.Equal(&authv1.FinishOidcLoginRequest{State: "s", Code: "c", Issuer: "i", BrowserSecret: "browser"}, <-finishes))

	for _, c := range []struct {
		path   string
		header http.Header
		method string
		status int
	}{
		{"/v2/login/oidc/callback?state=s&code=c", nil, "GET", 401},
		{"/v2/login/oidc/callback?code=c", cookie, "GET", 401},
		{"/v2/login/oidc/dev/corp", nil, "POST", 405},
		{"/v2/login/oidc/dev/corp/more", nil, "GET", 404},
		{"/v2/login/oidc/dev", nil, "GET", 404},
	} {
		got := r.do(t, call{method: c.method, path: c.path, header: c.header, token: "none"})
		require.Equal(t, c.status, got.status, "%s %s: %s", c.method, c.path, got.body)
		require.Contains(t, got.body, `"message":`)
	}
	r.on("StartOidcLogin", func(context.Context, proto.Message) (proto.Message, error) {
		return nil, errors.New("an address of ours")
	})
	got = r.do(t, call{method: "GET", path: "/v2/login/oidc/dev/corp", token: "none"})
	require.Equal(t, http.StatusInternalServerError, got.status, got.body)
	require.NotContains(t, got.body, "address of ours")
}

func TestThePageOfALink(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	page := r.do(t, call{method: "GET", path: "/reset-password", token: "none"})
	require.Equal(t, http.StatusOK, page.status)
	require.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
	require.Contains(t, page.header.Get("Content-Security-Policy"), "script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'")
	require.Equal(t, "no-referrer", page.header.Get("Referrer-Policy"))
	require.Equal(t, "no-store", page.header.Get("Cache-Control"))
	require.NotContains(t, page.body, "<script>", "nothing runs that stands in the page")
	for _, part := range []string{"/reset-password/reset.js", "/reset-password/reset.css"} {
		require.Contains(t, page.body, part)
		require.Equal(t, http.StatusOK, r.do(t, call{method: "GET", path: part, token: "none"}).status)
	}
	require.Equal(t, http.StatusMethodNotAllowed, r.do(t, call{method: "POST", path: "/reset-password", token: "none"}).status)
	require.Equal(t, http.StatusNotFound, r.do(t, call{method: "GET", path: "/reset-password/other", token: "none"}).status)
}
