package auth

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/rpc"
)

// credentials are the clients of a running service that credentials need.
type credentials struct {
	*accounts
	tokens   authv1.TokenServiceClient
	appKeys  authv1.AppKeyServiceClient
	exchange authv1.ExchangeServiceClient
	refresh  authv1.RefreshServiceClient
	cookies  authv1.CookieServiceClient
}

func newCredentials(t *testing.T, settings ...string) *credentials {
	t.Helper()
	t.Setenv("OPSDECK_AUTH_DEFAULT_TENANT", "home")
	t.Setenv("OPSDECK_AUTH_SIGNUPS_PER_MINUTE", "1000")
	for i := 0; i < len(settings); i += 2 {
		t.Setenv(settings[i], settings[i+1])
	}
	return credentialsOf(newAccounts(t))
}

func credentialsOf(a *accounts) *credentials {
	c := &credentials{accounts: a}
	c.tokens, c.appKeys = authv1.NewTokenServiceClient(c.conn), authv1.NewAppKeyServiceClient(c.conn)
	c.exchange, c.refresh = authv1.NewExchangeServiceClient(c.conn), authv1.NewRefreshServiceClient(c.conn)
	c.cookies = authv1.NewCookieServiceClient(c.conn)
	return c
}

// from returns the context of a caller without a token at an address.
func from(ctx context.Context, address string) context.Context {
	return rpc.WithCall(ctx, rpc.Call{Address: netip.MustParseAddr(address)})
}

// show exchanges a credential and returns the context of its bearer's calls.
func (c *credentials) show(ctx context.Context, r *authv1.ExchangeRequest) (context.Context, error) {
	answer, err := c.exchange.Exchange(ctx, r)
	return rpc.WithCall(ctx, rpc.FromContext(ctx).WithToken(answer.GetToken())), err
}

func apiToken(value string) *authv1.ExchangeRequest {
	return &authv1.ExchangeRequest{Credential: &authv1.ExchangeRequest_ApiToken{ApiToken: value}}
}

func appKey(name, key string) *authv1.ExchangeRequest {
	return &authv1.ExchangeRequest{Credential: &authv1.ExchangeRequest_AppKey{AppKey: &authv1.AppCredential{Appname: name, Appkey: key}}}
}

func sid(value string) *authv1.ExchangeRequest {
	return &authv1.ExchangeRequest{Credential: &authv1.ExchangeRequest_Cookie{Cookie: value}}
}

// whoIs returns the name of the user whose calls a context makes.
func (c *credentials) whoIs(ctx context.Context) (string, error) {
	answer, err := c.users.GetCurrentUser(ctx, &authv1.GetCurrentUserRequest{})
	return answer.GetCurrentUser().GetTenant() + ":" + answer.GetCurrentUser().GetUsername(), err
}

func (c *credentials) make(t *testing.T, ctx context.Context, r *authv1.CreateTokenRequest) *authv1.Token {
	t.Helper()
	if r.Name == "" {
		r.Name = "token a"
	}
	answer, err := c.tokens.CreateToken(ctx, r)
	require.NoError(t, err)
	return answer.GetToken()
}

func TestCredentials(t *testing.T) {
	c := newCredentials(t)
	t.Run("life of a token", c.testTokenLife)
	t.Run("whose tokens", c.testWhoseTokens)
	t.Run("limits", c.testLimits)
	t.Run("tokens make no more than they are", c.testAboveToken)
	t.Run("tokens and their user", c.testTokensAndUser)
	t.Run("operations", c.testOperations)
	t.Run("app keys", c.testAppKeys)
	t.Run("cookies", c.testCookies)
	t.Run("refresh", c.testRefresh)
	t.Run("theft", c.testTheft)
	t.Run("refreshes at once", c.testRefreshesAtOnce)
	t.Run("sign out", c.testSignOut)
	t.Run("sign up", c.testSignUp)
	t.Run("no secret is stored", c.testNothingStored)
}

func (c *credentials) testTokenLife(t *testing.T) {
	c.user(t, "life", "ann", "admin")
	ann := c.as(t, "life", "ann", goodPassword)
	made := c.make(t, ann, &authv1.CreateTokenRequest{Description: "description of token"})
	require.Regexp(t, "^opd_[0-9a-f]{40}$", made.GetValue())
	require.Equal(t, "ann", made.GetCreator())

	bearer, err := c.show(from(t.Context(), "192.0.2.1"), apiToken(made.GetValue()))
	require.NoError(t, err)
	who, err := c.whoIs(bearer)
	require.NoError(t, err)
	require.Equal(t, "life:ann", who)

	masked := "opd_" + strings.Repeat("*", 36) + made.GetValue()[40:]
	got, err := c.tokens.GetToken(ann, &authv1.GetTokenRequest{Id: made.GetId()})
	require.NoError(t, err)
	require.Equal(t, masked, got.GetToken().GetValue())
	require.Nil(t, got.GetToken().GetExpireTime())
	name, description := "token b", ""
	changed, err := c.tokens.UpdateToken(ann, &authv1.UpdateTokenRequest{Id: made.GetId(), Name: &name})
	require.NoError(t, err)
	require.Equal(t, []string{"token b", "description of token", masked},
		[]string{changed.GetToken().GetName(), changed.GetToken().GetDescription(), changed.GetToken().GetValue()})
	changed, err = c.tokens.UpdateToken(ann, &authv1.UpdateTokenRequest{Name: &name, Description: &description})
	require.NoError(t, err, "by name")
	require.Equal(t, made.GetId(), changed.GetToken().GetId())
	require.Empty(t, changed.GetToken().GetDescription())
	c.make(t, ann, &authv1.CreateTokenRequest{Name: name})
	_, err = c.tokens.UpdateToken(ann, &authv1.UpdateTokenRequest{Name: &name, Description: &description})
	requireReason(t, err, "TOKEN_AMBIGUOUS")
	none := "no such"
	_, err = c.tokens.UpdateToken(ann, &authv1.UpdateTokenRequest{Name: &none})
	requireReason(t, err, "TOKEN_AMBIGUOUS")
	_, err = c.tokens.UpdateToken(ann, &authv1.UpdateTokenRequest{Description: &description})
	requireReason(t, err, "INVALID_REQUEST")

	_, err = c.tokens.DeleteToken(bearer, &authv1.DeleteTokenRequest{Id: made.GetId()})
	require.NoError(t, err, "a token can remove itself")
	_, err = c.whoIs(bearer)
	requireReason(t, err, "SESSION_ENDED")
	_, err = c.show(t.Context(), apiToken(made.GetValue()))
	requireReason(t, err, "TOKEN_INVALID")
	_, err = c.tokens.GetToken(ann, &authv1.GetTokenRequest{Id: made.GetId()})
	requireReason(t, err, "TOKEN_NOT_FOUND")
}

func (c *credentials) testWhoseTokens(t *testing.T) {
	c.user(t, "whose", "boss", "admin")
	c.role(t, "whose", "reader", "self", reads)
	c.user(t, "whose", "ann", "reader")
	c.user(t, "other", "eve", "admin")
	boss, ann, eve := c.as(t, "whose", "boss", goodPassword), c.as(t, "whose", "ann", goodPassword), c.as(t, "other", "eve", goodPassword)
	anns := c.make(t, ann, &authv1.CreateTokenRequest{Name: "Ann's token", Description: "for CI"})
	bosses := c.make(t, boss, &authv1.CreateTokenRequest{Name: "boss"})
	listed := func(ctx context.Context, r *authv1.ListTokensRequest) (ids []int64) {
		answer, err := c.tokens.ListTokens(ctx, r)
		require.NoError(t, err)
		require.Len(t, answer.GetResults(), int(answer.GetCount()))
		for _, token := range answer.GetResults() {
			ids = append(ids, token.GetId())
		}
		return ids
	}
	require.Equal(t, []int64{anns.GetId()}, listed(ann, &authv1.ListTokensRequest{}))
	require.Equal(t, []int64{anns.GetId(), bosses.GetId()}, listed(boss, &authv1.ListTokensRequest{}))
	require.Empty(t, listed(eve, &authv1.ListTokensRequest{}))
	require.Equal(t, []int64{anns.GetId()}, listed(boss, &authv1.ListTokensRequest{Name: "ann'S", Description: "ci"}))
	require.Equal(t, []int64{bosses.GetId()}, listed(boss, &authv1.ListTokensRequest{Value: bosses.GetValue()}))
	require.Empty(t, listed(boss, &authv1.ListTokensRequest{Value: bosses.GetValue()[:43]}))
	require.Empty(t, listed(ann, &authv1.ListTokensRequest{Value: bosses.GetValue()}))
	page, err := c.tokens.ListTokens(boss, &authv1.ListTokensRequest{Page: 2, PageSize: 1})
	require.NoError(t, err)
	require.EqualValues(t, 2, page.GetCount())
	require.Equal(t, bosses.GetId(), page.GetResults()[0].GetId())

	name := "x"
	for _, stranger := range []context.Context{ann, eve} {
		_, err := c.tokens.GetToken(stranger, &authv1.GetTokenRequest{Id: bosses.GetId()})
		requireReason(t, err, "TOKEN_NOT_FOUND")
		_, err = c.tokens.UpdateToken(stranger, &authv1.UpdateTokenRequest{Id: bosses.GetId(), Name: &name})
		requireReason(t, err, "TOKEN_NOT_FOUND")
		_, err = c.tokens.DeleteToken(stranger, &authv1.DeleteTokenRequest{Id: bosses.GetId()})
		requireReason(t, err, "TOKEN_NOT_FOUND")
	}
	_, err = c.tokens.DeleteToken(boss, &authv1.DeleteTokenRequest{Id: anns.GetId()})
	require.NoError(t, err)
	_, err = c.tokens.DeleteToken(c.admin, &authv1.DeleteTokenRequest{Id: bosses.GetId()})
	require.NoError(t, err, "the platform reaches every tenant")
}

func (c *credentials) testLimits(t *testing.T) {
	network := c.make(t, c.admin, &authv1.CreateTokenRequest{AllowedNetworks: []string{"198.51.100.0/24", "2001:db8::/32"}})
	for address, reason := range map[string]string{
		"198.51.100.7": "", "::ffff:198.51.100.7": "", "2001:db8::1": "", "198.51.101.1": "ADDRESS_NOT_ALLOWED", "2001:db9::1": "ADDRESS_NOT_ALLOWED",
	} {
		_, err := c.show(from(t.Context(), address), apiToken(network.GetValue()))
		if reason == "" {
			require.NoError(t, err, address)
			continue
		}
		requireReason(t, err, reason)
	}
	_, err := c.show(t.Context(), apiToken(network.GetValue()))
	requireReason(t, err, "ADDRESS_NOT_ALLOWED") // nobody said where it came from

	reader := c.make(t, c.admin, &authv1.CreateTokenRequest{ReadOnly: true})
	bearer, err := c.show(t.Context(), apiToken(reader.GetValue()))
	require.NoError(t, err)
	_, err = c.whoIs(bearer)
	require.NoError(t, err)
	_, err = c.tokens.CreateToken(bearer, &authv1.CreateTokenRequest{Name: "n"})
	requireReason(t, err, "READ_ONLY_TOKEN")

	scoped := c.make(t, c.admin, &authv1.CreateTokenRequest{Scopes: []string{"replication", "dns"}})
	require.Equal(t, []string{"dns", "replication"}, scoped.GetScopes())
	bearer, err = c.show(t.Context(), apiToken(scoped.GetValue()))
	require.NoError(t, err)
	_, err = c.whoIs(bearer)
	requireReason(t, err, "OUT_OF_TOKEN_SCOPE")
	_, err = authv1.NewAccessServiceClient(c.conn).BatchCheck(bearer, &authv1.BatchCheckRequest{})
	require.NoError(t, err, "services ask about every token")

	short := c.make(t, c.admin, &authv1.CreateTokenRequest{ExpireTime: timestamppb.New(time.Now().Add(20 * time.Second))})
	answer, err := c.exchange.Exchange(t.Context(), apiToken(short.GetValue()))
	require.NoError(t, err)
	require.Equal(t, short.GetExpireTime().AsTime(), answer.GetExpireTime().AsTime(), "a JWT is good for no longer than its token")
	c.execute(t, `UPDATE auth.sessions SET expires_at = now() WHERE id = (SELECT session_id FROM auth.tokens WHERE id = $1)`, short.GetId())
	_, err = c.show(t.Context(), apiToken(short.GetValue()))
	requireReason(t, err, "TOKEN_EXPIRED")
	got, err := c.tokens.GetToken(c.admin, &authv1.GetTokenRequest{Id: short.GetId()})
	require.NoError(t, err, "it is shown until it is removed")
	require.NotNil(t, got.GetToken().GetExpireTime())
}

func (c *credentials) testAboveToken(t *testing.T) {
	limited := c.make(t, c.admin, &authv1.CreateTokenRequest{Scopes: []string{"auth"}, ExpireTime: timestamppb.New(time.Now().Add(time.Hour))})
	bearer, err := c.show(t.Context(), apiToken(limited.GetValue()))
	require.NoError(t, err)
	_, err = c.tokens.CreateToken(bearer, &authv1.CreateTokenRequest{Name: "n"})
	requireReason(t, err, "ABOVE_TOKEN")
	_, err = c.appKeys.CreateAppKey(bearer, &authv1.CreateAppKeyRequest{Appname: "above"})
	requireReason(t, err, "ABOVE_TOKEN")
	child := c.make(t, bearer, &authv1.CreateTokenRequest{Scopes: []string{"auth"}, ReadOnly: true, ExpireTime: limited.GetExpireTime()})
	_, err = c.show(t.Context(), apiToken(child.GetValue()))
	require.NoError(t, err)
}

// Contract, auth.users.enable: a user who was disabled finds his tokens as before. A new password ends what he signed in to.
func (c *credentials) testTokensAndUser(t *testing.T) {
	c.user(t, "kept", "ann", "admin")
	ann := c.as(t, "kept", "ann", goodPassword)
	token := c.make(t, ann, &authv1.CreateTokenRequest{})
	bearer, err := c.show(t.Context(), apiToken(token.GetValue()))
	require.NoError(t, err)

	c.execute(t, `UPDATE auth.users SET status = 'disabled' WHERE username = 'ann' AND tenant_id = (SELECT id FROM auth.tenants WHERE name = 'kept')`)
	_, err = c.show(t.Context(), apiToken(token.GetValue()))
	requireReason(t, err, "TOKEN_INVALID")
	_, err = c.whoIs(bearer)
	requireReason(t, err, "SESSION_ENDED")
	c.execute(t, `UPDATE auth.users SET status = 'enabled' WHERE username = 'ann'`)
	_, err = c.whoIs(bearer)
	require.NoError(t, err)

	_, err = c.users.ResetPassword(c.admin, &authv1.ResetPasswordRequest{Tenant: "kept", Username: "ann", CurrentUserPassword: adminPassword, Password: otherPassword})
	require.NoError(t, err)
	_, err = c.whoIs(ann)
	requireReason(t, err, "SESSION_ENDED")
	_, err = c.whoIs(bearer)
	require.NoError(t, err, "tokens are not sign-ins")

	_, err = c.users.DeleteUser(c.admin, &authv1.DeleteUserRequest{Tenant: "kept", Username: "ann"})
	require.NoError(t, err)
	_, err = c.whoIs(bearer)
	requireReason(t, err, "SESSION_ENDED")
	require.Equal(t, []string{"0"}, c.texts(t, `SELECT count(*)::text FROM auth.tokens WHERE id = $1`, token.GetId()))
}

func (c *credentials) testOperations(t *testing.T) {
	c.user(t, "ops", "ann", "admin")
	ann := c.as(t, "ops", "ann", goodPassword)
	token := c.make(t, ann, &authv1.CreateTokenRequest{Name: "Deploy", Scopes: []string{"dns"}})
	name := "deployment"
	_, err := c.tokens.UpdateToken(c.admin, &authv1.UpdateTokenRequest{Id: token.GetId(), Name: &name})
	require.NoError(t, err)
	_, err = c.tokens.DeleteToken(ann, &authv1.DeleteTokenRequest{Id: token.GetId()})
	require.NoError(t, err)
	told := func(ctx context.Context, r *authv1.ListTokenOperationsRequest) (texts []string) {
		answer, err := c.tokens.ListTokenOperations(ctx, r)
		require.NoError(t, err)
		for _, o := range answer.GetResults() {
			texts = append(texts, strings.Join([]string{o.GetOperator(), o.GetOpType(), o.GetTokenName(), o.GetOpDetail()}, "|"))
		}
		return texts
	}
	added, renamed, gone := "ann|add|Deploy|API token made for ops:ann, modules dns",
		"admin|update|deployment|API token of ops:ann renamed from Deploy to deployment", "ann|delete|deployment|API token of ops:ann removed"
	require.Equal(t, []string{gone, renamed, added}, told(ann, &authv1.ListTokenOperationsRequest{}))
	require.Equal(t, []string{renamed}, told(ann, &authv1.ListTokenOperationsRequest{OpType: "update"}))
	require.Equal(t, []string{renamed}, told(ann, &authv1.ListTokenOperationsRequest{Operator: "admin"}))
	require.Equal(t, []string{added}, told(ann, &authv1.ListTokenOperationsRequest{OpDetail: "MADE FOR", TokenName: "dep"}))
	require.Empty(t, told(ann, &authv1.ListTokenOperationsRequest{OpTimeLt: timestamppb.New(time.Now().Add(-time.Hour))}))
	require.Len(t, told(ann, &authv1.ListTokenOperationsRequest{OpTimeGt: timestamppb.New(time.Now().Add(-time.Hour))}), 3)
	c.user(t, "other", "mallory", "admin")
	require.NotContains(t, told(c.as(t, "other", "mallory", goodPassword), &authv1.ListTokenOperationsRequest{PageSize: 100}), added)
	require.Contains(t, told(c.admin, &authv1.ListTokenOperationsRequest{PageSize: 100}), added)
	require.Equal(t, []string{"request-of-ann 192.0.2.7"}, c.texts(t,
		`SELECT request_id || ' ' || address FROM auth.audit WHERE action = 'token.created' AND tenant = 'ops' AND before IS NULL AND after ->> 'user' = 'ops:ann'`))
}

func (c *credentials) testAppKeys(t *testing.T) {
	c.user(t, "apps", "robot", "admin")
	answer, err := c.appKeys.CreateAppKey(c.admin, &authv1.CreateAppKeyRequest{Appname: "jobx", User: "apps:ROBOT", Description: "the scheduler"})
	require.NoError(t, err)
	made := answer.GetAppKey()
	require.Regexp(t, "^opk_[0-9a-f]{40}$", made.GetAppkey())
	require.Equal(t, "apps:robot", made.GetUser())
	bearer, err := c.show(t.Context(), appKey("JobX", made.GetAppkey()))
	require.NoError(t, err)
	who, err := c.whoIs(bearer)
	require.NoError(t, err)
	require.Equal(t, "apps:robot", who)
	for _, wrong := range []*authv1.ExchangeRequest{appKey("agent", made.GetAppkey()), appKey("", made.GetAppkey()), apiToken(made.GetAppkey()), sid(made.GetAppkey())} {
		_, err = c.show(t.Context(), wrong)
		requireReason(t, err, "TOKEN_INVALID")
	}
	_, err = c.appKeys.CreateAppKey(c.admin, &authv1.CreateAppKeyRequest{Appname: "JOBX"})
	requireReason(t, err, "APP_KEY_EXISTS")
	_, err = c.appKeys.CreateAppKey(c.admin, &authv1.CreateAppKeyRequest{Appname: "x", User: "apps:nobody"})
	requireReason(t, err, "USER_NOT_FOUND")
	robot := c.as(t, "apps", "robot", goodPassword)
	_, err = c.appKeys.CreateAppKey(robot, &authv1.CreateAppKeyRequest{Appname: "x", User: "platform:admin"})
	requireReason(t, err, "OUT_OF_SCOPE")
	list, err := c.appKeys.ListAppKeys(robot, &authv1.ListAppKeysRequest{Appname: "job"})
	require.NoError(t, err)
	require.Len(t, list.GetResults(), 1)
	require.Contains(t, list.GetResults()[0].GetAppkey(), "****")
	tokens, err := c.tokens.ListTokens(robot, &authv1.ListTokensRequest{})
	require.NoError(t, err)
	require.Empty(t, tokens.GetResults(), "an app key is no API token")
	_, err = c.tokens.GetToken(robot, &authv1.GetTokenRequest{Id: made.GetId()})
	requireReason(t, err, "TOKEN_NOT_FOUND")
	_, err = c.appKeys.DeleteAppKey(robot, &authv1.DeleteAppKeyRequest{Id: made.GetId()})
	require.NoError(t, err)
	_, err = c.whoIs(bearer)
	requireReason(t, err, "SESSION_ENDED")
}

func (c *credentials) testCookies(t *testing.T) {
	c.user(t, "home", "ann", "admin")
	open := func(r *authv1.OpenSessionRequest) *authv1.OpenSessionResponse {
		answer, err := c.cookies.OpenSession(t.Context(), r)
		require.NoError(t, err)
		return answer
	}
	for _, r := range []*authv1.OpenSessionRequest{
		{User: "Ann", Pass: goodPassword}, {User: "home:ann", Pass: goodPassword, Domain: "elsewhere"}, {User: "ann", Pass: goodPassword, Domain: "home"},
	} {
		answer := open(r)
		require.Regexp(t, "^ops_[0-9a-f]{40}$", answer.GetCookie())
		require.EqualValues(t, 8*60*60, answer.GetMaxAge())
		bearer, err := c.show(t.Context(), sid(answer.GetCookie()))
		require.NoError(t, err)
		who, err := c.whoIs(bearer)
		require.NoError(t, err)
		require.Equal(t, "home:ann", who)
		_, err = c.cookies.CloseSession(bearer, &authv1.CloseSessionRequest{})
		require.NoError(t, err)
		_, err = c.whoIs(bearer)
		requireReason(t, err, "SESSION_ENDED")
		_, err = c.show(t.Context(), sid(answer.GetCookie()))
		requireReason(t, err, "TOKEN_INVALID")
	}
	_, err := c.cookies.OpenSession(t.Context(), &authv1.OpenSessionRequest{User: "ann", Pass: "wrong"})
	requireReason(t, err, "LOGIN_FAILED")
	_, err = c.cookies.OpenSession(t.Context(), &authv1.OpenSessionRequest{User: "ann", Pass: goodPassword, Domain: "platform"})
	requireReason(t, err, "LOGIN_FAILED")
}

func (c *credentials) testNothingStored(t *testing.T) {
	token := c.make(t, c.admin, &authv1.CreateTokenRequest{Name: "kept nowhere"})
	signed, err := c.refresh.SignIn(t.Context(), &authv1.SignInRequest{Name: "platform:admin", Password: adminPassword})
	require.NoError(t, err)
	for _, table := range []string{"sessions", "tokens", "audit", "river_job"} {
		for _, row := range c.texts(t, `SELECT row_to_json(x)::text FROM auth.`+table+` x`) {
			for _, secret := range []string{token.GetValue(), signed.GetRefreshToken(), signed.GetRefreshToken()[:44], signed.GetRefreshToken()[45:], signed.GetAccessToken()} {
				require.NotContains(t, row, secret)
			}
		}
	}
}
