package gateway_test

import (
	"context"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/gateway"
)

func (b *backend) Exchange(ctx context.Context, r *authv1.ExchangeRequest) (*authv1.ExchangeResponse, error) {
	b.mu.Lock()
	h := b.handle["Exchange"]
	b.mu.Unlock()
	if h == nil {
		return nil, fault.Unauthenticated("TOKEN_INVALID", "the token is not valid: please log in")
	}
	return answer[*authv1.ExchangeResponse](ctx, b, "Exchange", r)
}

func (b *backend) ListTokens(ctx context.Context, r *authv1.ListTokensRequest) (*authv1.ListTokensResponse, error) {
	return answer[*authv1.ListTokensResponse](ctx, b, "ListTokens", r)
}

func (b *backend) CreateToken(ctx context.Context, r *authv1.CreateTokenRequest) (*authv1.CreateTokenResponse, error) {
	return answer[*authv1.CreateTokenResponse](ctx, b, "CreateToken", r)
}

func (b *backend) UpdateToken(ctx context.Context, r *authv1.UpdateTokenRequest) (*authv1.UpdateTokenResponse, error) {
	return answer[*authv1.UpdateTokenResponse](ctx, b, "UpdateToken", r)
}

func (b *backend) ListTokenOperations(ctx context.Context, r *authv1.ListTokenOperationsRequest) (*authv1.ListTokenOperationsResponse, error) {
	return answer[*authv1.ListTokenOperationsResponse](ctx, b, "ListTokenOperations", r)
}

func (b *backend) SignIn(ctx context.Context, r *authv1.SignInRequest) (*authv1.SignInResponse, error) {
	return answer[*authv1.SignInResponse](ctx, b, "SignIn", r)
}

func (b *backend) SignUp(ctx context.Context, r *authv1.SignUpRequest) (*authv1.SignUpResponse, error) {
	return answer[*authv1.SignUpResponse](ctx, b, "SignUp", r)
}

func (b *backend) SignOut(ctx context.Context, r *authv1.SignOutRequest) (*authv1.SignOutResponse, error) {
	return answer[*authv1.SignOutResponse](ctx, b, "SignOut", r)
}

func (b *backend) OpenSession(ctx context.Context, r *authv1.OpenSessionRequest) (*authv1.OpenSessionResponse, error) {
	return answer[*authv1.OpenSessionResponse](ctx, b, "OpenSession", r)
}

func (b *backend) CloseSession(ctx context.Context, r *authv1.CloseSessionRequest) (*authv1.CloseSessionResponse, error) {
	return answer[*authv1.CloseSessionResponse](ctx, b, "CloseSession", r)
}

// knows makes auth give the admin's JWT for credentials that the test calls right, and counts how often it is asked.
func (b *backend) knows(right func(*authv1.ExchangeRequest, netip.Addr) bool) *atomic.Int64 {
	var asked atomic.Int64
	b.on("Exchange", func(ctx context.Context, r proto.Message) (proto.Message, error) {
		asked.Add(1)
		if !right(r.(*authv1.ExchangeRequest), rpc.FromContext(ctx).Address) {
			return nil, fault.Unauthenticated("TOKEN_INVALID", "the token is not valid: please log in")
		}
		return &authv1.ExchangeResponse{Token: b.token, ExpireTime: timestamppb.New(time.Now().Add(time.Minute))}, nil
	})
	return &asked
}

func TestAPITokensComeInManyForms(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	asked := r.knows(func(e *authv1.ExchangeRequest, _ netip.Addr) bool { return e.GetApiToken() == "opd_1" })
	r.always("ListNodes", &replicationv1.ListNodesResponse{})
	r.always("ListTokens", &authv1.ListTokensResponse{})
	for _, test := range []struct{ path, value string }{
		{"/v2/nodes", "opd_1"},
		{"/v2/nodes", "Bearer opd_1"},
		{"/auth-tokens/", "Token opd_1"},
		{"/auth-tokens", "token opd_1"},
		{"/auth-tokens/", "Bearer opd_1"},
		{"/auth-tokens/", "opd_1"},
	} {
		got := r.do(t, call{method: "GET", path: test.path, token: test.value})
		require.Equal(t, http.StatusOK, got.status, "%+v: %s", test, got.body)
	}
	require.EqualValues(t, 1, asked.Load(), "the answer is remembered")
	got := r.do(t, call{method: "GET", path: "/auth-tokens/", token: "Token opd_2"})
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.JSONEq(t, `{"error_code":10002,"message":"the token is not valid: please log in"}`, got.body)
}

// The answer for one address must not let another in, and who is no proxy cannot choose his address.
func TestCredentialsAreExchangedPerAddress(t *testing.T) {
	t.Parallel()
	good := netip.MustParseAddr("198.51.100.7")
	for name, test := range map[string]struct {
		trusted []netip.Prefix
		status  int
	}{
		"behind a proxy": {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, http.StatusOK},
		"made up":        {nil, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *gateway.Config) { c.TrustedProxies = test.trusted })
			r.knows(func(_ *authv1.ExchangeRequest, from netip.Addr) bool { return from == good })
			r.always("ListNodes", &replicationv1.ListNodesResponse{})
			from := func(address string) int {
				return r.do(t, call{method: "GET", path: "/v2/nodes", token: "opd_1", header: http.Header{"X-Forwarded-For": {address}}}).status
			}
			require.Equal(t, test.status, from(good.String()))
			require.Equal(t, http.StatusUnauthorized, from("198.51.100.8"))
		})
	}
}

func TestAppKeysAndCookies(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.knows(func(e *authv1.ExchangeRequest, _ netip.Addr) bool {
		return e.GetAppKey().GetAppname() == "jobx" && e.GetAppKey().GetAppkey() == "opk_1" || e.GetCookie() == "ops_1"
	})
	r.always("CloseSession", &authv1.CloseSessionResponse{Info: "ok"})
	const path = "/api/connector/default/user/logout"
	for name, test := range map[string]struct {
		header http.Header
		want   string
	}{
		"app":           {http.Header{"Appname": {"jobx"}, "Appkey": {"opk_1"}}, `{"stat":true,"info":"ok"}`},
		"wrong app":     {http.Header{"Appname": {"agent"}, "Appkey": {"opk_1"}}, `{"stat":false,"code":10000}`},
		"cookie":        {http.Header{"Cookie": {"sid=ops_1"}}, `{"stat":true,"info":"ok"}`},
		"wrong cookie":  {http.Header{"Cookie": {"sid=ops_2"}}, `{"stat":false,"code":10000}`},
		"own page":      {http.Header{"Cookie": {"sid=ops_1"}, "Sec-Fetch-Site": {"same-origin"}}, `{"stat":true,"info":"ok"}`},
		"another site":  {http.Header{"Cookie": {"sid=ops_1"}, "Sec-Fetch-Site": {"cross-site"}}, `{"stat":false,"info":"the call came from a page of another site"}`},
		"sister site":   {http.Header{"Cookie": {"sid=ops_1"}, "Sec-Fetch-Site": {"same-site"}}, `{"stat":false,"info":"the call came from a page of another site"}`},
		"old browser":   {http.Header{"Cookie": {"sid=ops_1"}, "Origin": {"https://evil.example"}}, `{"stat":false,"info":"the call came from a page of another site"}`},
		"app elsewhere": {http.Header{"Appname": {"jobx"}, "Appkey": {"opk_1"}, "Origin": {"https://evil.example"}}, `{"stat":true,"info":"ok"}`},
	} {
		got := r.do(t, call{method: "POST", path: path, token: "none", body: `{}`, header: test.header})
		require.Equal(t, http.StatusOK, got.status, name)
		require.JSONEq(t, test.want, got.body, name)
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.knows(func(e *authv1.ExchangeRequest, _ netip.Addr) bool { return e.GetCookie() == "ops_1" })
	r.always("OpenSession", &authv1.OpenSessionResponse{Info: "ok", Pwperiod: 9999, Cookie: "ops_1", MaxAge: 28800})
	r.always("CloseSession", &authv1.CloseSessionResponse{Info: "ok"})
	got := r.do(t, call{method: "POST", path: "/api/connector/default/user/login", token: "none", body: `{"user":"ann","pass":"x"}`})
	require.JSONEq(t, `{"stat":true,"info":"ok","pwperiod":9999}`, got.body)
	require.Equal(t, []string{"sid=ops_1; Path=/; Max-Age=28800; HttpOnly; SameSite=Lax"}, got.header.Values("Set-Cookie"))
	got = r.do(t, call{method: "POST", path: "/api/connector/default/user/logout", token: "none", body: `{}`, header: http.Header{"Cookie": {"sid=ops_1"}}})
	require.JSONEq(t, `{"stat":true,"info":"ok"}`, got.body)
	require.Equal(t, []string{"sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"}, got.header.Values("Set-Cookie"))
}

func TestOptimusSignsIn(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.always("SignIn", &authv1.SignInResponse{AccessToken: "token", ExpiresIn: 900, RefreshToken: "refresh_token", Time: 1209600})
	r.always("SignUp", &authv1.SignUpResponse{})
	r.always("SignOut", &authv1.SignOutResponse{})
	for _, test := range []struct {
		path, body, want string
		status           int
	}{
		{
			"/api/v1/login", `{"name":"name","password":"password"}`,
			`{"status":true,"code":200,"data":{"access_token":"token","expires_in":900,"refresh_token":"refresh_token","time":1209600}}`, http.StatusOK,
		},
		{"/api/v1/sign", `{"name":"name","password":"password"}`, `{"status":true,"code":201,"data":[]}`, http.StatusCreated},
		{"/api/v1/logout/", `{"refresh_token":"refresh_token"}`, `{"status":true,"code":200}`, http.StatusOK},
		{"/api/v1/refresh", `{}`, `{"status":false,"code":400,"message":"refresh_token: must be at least 1 characters"}`, http.StatusBadRequest},
	} {
		got := r.do(t, call{method: "POST", path: test.path, token: "none", body: test.body})
		require.Equal(t, test.status, got.status, got.body)
		require.JSONEq(t, test.want, got.body)
	}
}

func TestTokenCallsAsDocumented(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	made := &authv1.Token{Id: 1, Name: "token a", Value: "opd_1", Description: "description of token", Creator: "admin", CreatedTime: at(t, "2021-09-06T07:02:37Z")}
	r.always("CreateToken", &authv1.CreateTokenResponse{Token: made})
	got := r.do(t, call{method: "POST", path: "/auth-tokens/", body: `{"name":"token a","description":"description of token"}`})
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, `"id":1,"name":"token a","value":"opd_1","description":"description of token","creator":"admin"`)
	require.Contains(t, got.body, `"expire_time":null`)

	asked := make(chan *authv1.UpdateTokenRequest, 1)
	r.on("UpdateToken", func(_ context.Context, m proto.Message) (proto.Message, error) {
		asked <- m.(*authv1.UpdateTokenRequest)
		return &authv1.UpdateTokenResponse{Token: made}, nil
	})
	for _, test := range []struct {
		path, body string
		id         int64
	}{
		{"/auth-tokens/7/", `{"name":"n"}`, 7}, {"/auth-tokens/", `{"id":7,"name":"n"}`, 7}, {"/auth-tokens/", `{"name":"n","description":"d"}`, 0},
	} {
		got := r.do(t, call{method: "PATCH", path: test.path, body: test.body})
		require.Equal(t, http.StatusOK, got.status, got.body)
		r := <-asked
		require.Equal(t, test.id, r.GetId())
		require.Equal(t, "n", r.GetName())
		require.Equal(t, test.id == 0, r.Description != nil)
	}

	listed := make(chan *authv1.ListTokenOperationsRequest, 1)
	r.on("ListTokenOperations", func(_ context.Context, m proto.Message) (proto.Message, error) {
		listed <- m.(*authv1.ListTokenOperationsRequest)
		return &authv1.ListTokenOperationsResponse{Count: 11}, nil
	})
	got = r.do(t, call{method: "GET", path: "/audit/auth-token-operations/?op_time__gt=2018-04-18T15:38:40%2B08:00&page_number=1"})
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, `"count":11`)
	require.Contains(t, got.body, `"next":"/audit/auth-token-operations/?op_time__gt=2018-04-18T15`)
	require.Equal(t, "2018-04-18T07:38:40Z", (<-listed).GetOpTimeGt().AsTime().Format(time.RFC3339))
	got = r.do(t, call{method: "GET", path: "/audit/api-token-operations?op_time__lt=yesterday"})
	require.Equal(t, http.StatusBadRequest, got.status)
}

// A limited token is refused by the service behind a call, whatever its user may do.
func TestLimitedTokensAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	sign := func(limited authn.Principal) string {
		limited.Tenant, limited.User, limited.Role, limited.Session = authn.PlatformTenant, "admin", authn.AdminRole, "1"
		jwt, err := authn.Sign(limited, "k1", r.private, time.Now(), time.Now().Add(time.Minute))
		require.NoError(t, err)
		return jwt
	}
	jwts := map[string]string{"opd_reader": sign(authn.Principal{ReadOnly: true}), "opd_auth": sign(authn.Principal{Scope: "auth"})}
	r.on("Exchange", func(_ context.Context, m proto.Message) (proto.Message, error) {
		return &authv1.ExchangeResponse{Token: jwts[m.(*authv1.ExchangeRequest).GetApiToken()], ExpireTime: timestamppb.New(time.Now().Add(time.Minute))}, nil
	})
	r.always("ListNodes", &replicationv1.ListNodesResponse{})
	r.always("CreateToken", &authv1.CreateTokenResponse{Token: &authv1.Token{}})
	get, create := call{method: "GET", path: "/v2/nodes"}, call{method: "POST", path: "/auth-tokens/", body: `{"name":"n"}`}
	for _, test := range []struct {
		token  string
		call   call
		status int
	}{
		{"opd_reader", get, http.StatusOK},
		{"opd_reader", create, http.StatusForbidden},
		{"opd_auth", get, http.StatusForbidden},
		{"opd_auth", create, http.StatusOK},
	} {
		test.call.token = test.token
		got := r.do(t, test.call)
		require.Equal(t, test.status, got.status, "%s at %s: %s", test.token, test.call.path, got.body)
	}
}
