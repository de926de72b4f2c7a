package auth

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/rpc"
)

func (c *credentials) signIn(t *testing.T, name, password string) *authv1.SignInResponse {
	t.Helper()
	answer, err := c.refresh.SignIn(t.Context(), &authv1.SignInRequest{Name: name, Password: password})
	require.NoError(t, err)
	return answer
}

func (c *credentials) renew(t *testing.T, token string) (*authv1.RefreshResponse, error) {
	t.Helper()
	return c.refresh.Refresh(t.Context(), &authv1.RefreshRequest{RefreshToken: token})
}

// with returns the context of calls with an access token.
func with(t *testing.T, access string) context.Context {
	t.Helper()
	return rpc.WithCall(t.Context(), rpc.Call{}.WithToken(access))
}

func (c *credentials) testRefresh(t *testing.T) {
	c.user(t, "home", "rita", "admin")
	signed := c.signIn(t, "RITA", goodPassword)
	require.EqualValues(t, 15*60, signed.GetExpiresIn())
	require.EqualValues(t, 14*24*60*60, signed.GetTime())
	who, err := c.whoIs(with(t, signed.GetAccessToken()))
	require.NoError(t, err)
	require.Equal(t, "home:rita", who)
	token := signed.GetRefreshToken()
	for range 3 {
		next, err := c.renew(t, token)
		require.NoError(t, err)
		require.NotEqual(t, token, next.GetRefreshToken())
		require.LessOrEqual(t, next.GetTime(), signed.GetTime(), "a session does not grow")
		_, err = c.whoIs(with(t, next.GetAccessToken()))
		require.NoError(t, err)
		token = next.GetRefreshToken()
	}
	_, err = c.whoIs(with(t, signed.GetAccessToken()))
	require.NoError(t, err, "an access token is good until it expires")
	require.Equal(t, []string{"1"}, c.texts(t, `SELECT count(*)::text FROM auth.sessions s JOIN auth.users u ON u.id = s.user_id WHERE u.username = 'rita'`))

	c.execute(t, `UPDATE auth.users SET status = 'disabled' WHERE username = 'rita'`)
	_, err = c.renew(t, token)
	requireReason(t, err, "REFRESH_TOKEN_INVALID")
	c.execute(t, `UPDATE auth.users SET status = 'enabled' WHERE username = 'rita'`)
	next, err := c.renew(t, token)
	require.NoError(t, err)
	c.execute(t, `UPDATE auth.sessions SET expires_at = now() WHERE kind = 'refresh'`)
	_, err = c.renew(t, next.GetRefreshToken())
	requireReason(t, err, "REFRESH_TOKEN_INVALID")
	for _, wrong := range []string{"x", "opr_", token[:44], "opd_" + token[4:]} {
		_, err = c.renew(t, wrong)
		requireReason(t, err, "REFRESH_TOKEN_INVALID")
	}
	_, err = c.refresh.SignIn(t.Context(), &authv1.SignInRequest{Name: "rita", Password: "wrong"})
	requireReason(t, err, "LOGIN_FAILED")
}

// Whoever uses a refresh token a second time shows that two have it.
func (c *credentials) testTheft(t *testing.T) {
	c.user(t, "home", "tom", "admin")
	other := c.signIn(t, "tom", goodPassword)
	signed := c.signIn(t, "tom", goodPassword)
	next, err := c.renew(t, signed.GetRefreshToken())
	require.NoError(t, err)
	_, err = c.refresh.Refresh(from(t.Context(), "198.51.100.66"), &authv1.RefreshRequest{RefreshToken: signed.GetRefreshToken()})
	requireReason(t, err, "REFRESH_TOKEN_INVALID")
	_, err = c.renew(t, next.GetRefreshToken())
	requireReason(t, err, "REFRESH_TOKEN_INVALID")
	for _, access := range []string{signed.GetAccessToken(), next.GetAccessToken()} {
		_, err = c.whoIs(with(t, access))
		requireReason(t, err, "SESSION_ENDED")
	}
	_, err = c.renew(t, other.GetRefreshToken())
	require.NoError(t, err, "other sessions go on")
	require.Equal(t, []string{"1"}, c.texts(t, `SELECT count(*)::text FROM auth.river_job WHERE args::text LIKE '%opsdeck.auth.session.stolen%' AND args::text LIKE '%198.51.100.66%'`))
}

func (c *credentials) testRefreshesAtOnce(t *testing.T) {
	c.user(t, "home", "two", "admin")
	signed := c.signIn(t, "two", goodPassword)
	var all sync.WaitGroup
	answers, failures := make([]*authv1.RefreshResponse, 2), make([]error, 2)
	for i := range answers {
		all.Go(func() { answers[i], failures[i] = c.renew(t, signed.GetRefreshToken()) })
	}
	all.Wait()
	won := 0
	if failures[0] != nil {
		won = 1
	}
	require.NoError(t, failures[won], "one was the first")
	requireReason(t, failures[1-won], "REFRESH_TOKEN_INVALID")
	_, err := c.renew(t, answers[won].GetRefreshToken())
	requireReason(t, err, "REFRESH_TOKEN_INVALID")
}

func (c *credentials) testSignOut(t *testing.T) {
	c.user(t, "home", "sid", "admin")
	for name, how := range map[string]func(*authv1.SignInResponse) (context.Context, string){
		"refresh token": func(s *authv1.SignInResponse) (context.Context, string) { return t.Context(), s.GetRefreshToken() },
		"access token":  func(s *authv1.SignInResponse) (context.Context, string) { return with(t, s.GetAccessToken()), "" },
		"both": func(s *authv1.SignInResponse) (context.Context, string) {
			return with(t, s.GetAccessToken()), s.GetRefreshToken()
		},
	} {
		signed, other := c.signIn(t, "sid", goodPassword), c.signIn(t, "sid", goodPassword)
		ctx, token := how(signed)
		_, err := c.refresh.SignOut(ctx, &authv1.SignOutRequest{RefreshToken: token})
		require.NoError(t, err, name)
		_, err = c.whoIs(with(t, signed.GetAccessToken()))
		requireReason(t, err, "SESSION_ENDED")
		_, err = c.renew(t, signed.GetRefreshToken())
		requireReason(t, err, "REFRESH_TOKEN_INVALID")
		_, err = c.whoIs(with(t, other.GetAccessToken()))
		require.NoError(t, err, name)
		_, err = c.refresh.SignOut(t.Context(), &authv1.SignOutRequest{RefreshToken: signed.GetRefreshToken()})
		require.NoError(t, err, "again")
	}
	_, err := c.refresh.SignOut(t.Context(), &authv1.SignOutRequest{})
	requireReason(t, err, "INVALID_REQUEST")
	_, err = c.refresh.SignOut(t.Context(), &authv1.SignOutRequest{RefreshToken: "refresh_token"})
	require.NoError(t, err)
}

func (c *credentials) testSignUp(t *testing.T) {
	up := func(name, password string) error {
		_, err := c.refresh.SignUp(from(t.Context(), "192.0.2.44"), &authv1.SignUpRequest{Name: name, Password: password})
		return err
	}
	require.NoError(t, up("Newcomer", goodPassword))
	requireReason(t, up("newcomer", goodPassword), "USER_EXISTS")
	requireReason(t, up("weak", "short"), "PASSWORD_WEAK")
	requireReason(t, up("platform:admin", goodPassword), "INVALID_REQUEST")
	signed := c.signIn(t, "NEWCOMER", goodPassword)
	ctx := with(t, signed.GetAccessToken())
	who, err := c.whoIs(ctx)
	require.NoError(t, err)
	require.Equal(t, "home:Newcomer", who)
	_, err = c.users.ListUsers(ctx, &authv1.ListUsersRequest{})
	requireReason(t, err, "FORBIDDEN")
	require.Equal(t, []string{"home:Newcomer 192.0.2.44"}, c.texts(t, `SELECT actor || ' ' || address FROM auth.audit WHERE subject = 'home:Newcomer'`))

	var all sync.WaitGroup
	failures := make([]error, 4)
	for i := range failures {
		all.Go(func() { failures[i] = up("twin", goodPassword) })
	}
	all.Wait()
	made := 0
	for _, err := range failures {
		if err == nil {
			made++
			continue
		}
		requireReason(t, err, "USER_EXISTS")
	}
	require.Equal(t, 1, made)
}

func TestRegistrationCanBeClosed(t *testing.T) {
	c := newCredentials(t, "OPSDECK_AUTH_REGISTRATION", "false", "OPSDECK_AUTH_ROTATE_REFRESH_TOKENS", "false", "OPSDECK_AUTH_WRONG_TOKENS_PER_MINUTE", "2")
	_, err := c.refresh.SignUp(t.Context(), &authv1.SignUpRequest{Name: "ann", Password: goodPassword})
	requireReason(t, err, "REGISTRATION_CLOSED")

	// Without rotation one refresh token goes on and on.
	signed := c.signIn(t, "platform:admin", adminPassword)
	for range 3 {
		next, err := c.renew(t, signed.GetRefreshToken())
		require.NoError(t, err)
		require.Equal(t, signed.GetRefreshToken(), next.GetRefreshToken())
	}
	for range 2 {
		_, err = c.renew(t, "wrong")
		requireReason(t, err, "REFRESH_TOKEN_INVALID")
	}
	_, err = c.renew(t, signed.GetRefreshToken())
	requireReason(t, err, "RATE_LIMITED")
}

func TestSignUpsAreLimited(t *testing.T) {
	c := newCredentials(t, "OPSDECK_AUTH_SIGNUPS_PER_MINUTE", "1")
	_, err := c.refresh.SignUp(from(t.Context(), "192.0.2.5"), &authv1.SignUpRequest{Name: "ann", Password: goodPassword})
	require.NoError(t, err)
	_, err = c.refresh.SignUp(from(t.Context(), "192.0.2.5"), &authv1.SignUpRequest{Name: "bob", Password: goodPassword})
	requireReason(t, err, "RATE_LIMITED")
	_, err = c.refresh.SignUp(from(t.Context(), "192.0.2.6"), &authv1.SignUpRequest{Name: "bob", Password: goodPassword})
	require.NoError(t, err)
}
