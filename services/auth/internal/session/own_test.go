package session

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

// as returns a context in which the bearer of a token calls.
func (b *bundle) as(t *testing.T, token string) (context.Context, authn.Principal) {
	t.Helper()
	caller, err := authn.NewVerifier(b.cfg.Keys).Verify(t.Context(), token)
	require.NoError(t, err)
	return rpc.WithCall(t.Context(), rpc.Call{}.WithToken(token)), caller
}

func TestOwnSessions(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var contexts []context.Context
	var callers []authn.Principal
	for _, agent := range []string{"first", "second\x00\n" + strings.Repeat("é", 300), "third"} {
		b.pass(time.Minute)
		r := right()
		r.CaptchaId = b.captcha(t)
		answer, err := b.client.Login(rpc.WithCall(t.Context(), rpc.Call{Agent: agent}), r)
		require.NoError(t, err)
		ctx, caller := b.as(t, answer.GetToken())
		contexts, callers = append(contexts, ctx), append(callers, caller)
	}
	list, err := b.client.ListMySessions(contexts[0], &authv1.ListMySessionsRequest{})
	require.NoError(t, err)
	require.Len(t, list.GetSessions(), 3)
	newest, oldest := list.GetSessions()[0], list.GetSessions()[2]
	require.Equal(t, callers[2].Session, newest.GetId())
	require.Equal(t, "third", newest.GetUserAgent())
	require.True(t, oldest.GetCurrent() && !newest.GetCurrent())
	require.Equal(t, oldest.GetCreateTime().AsTime(), oldest.GetLastSeenTime().AsTime(), "nothing noted a use")
	require.Regexp(t, `^secondé{100,128}$`, list.GetSessions()[1].GetUserAgent())

	_, err = b.client.RevokeMySession(contexts[0], &authv1.RevokeMySessionRequest{SessionId: "unknown"})
	requireRefusal(t, err, codes.NotFound, "SESSION_NOT_FOUND")
	_, err = b.client.RevokeMySession(contexts[0], &authv1.RevokeMySessionRequest{SessionId: callers[1].Session})
	require.NoError(t, err)
	require.Equal(t, 1, b.events(t, "opsdeck.auth.session.ended"))
	ended, err := b.client.RevokeMyOtherSessions(contexts[0], &authv1.RevokeMyOtherSessionsRequest{})
	require.NoError(t, err)
	require.EqualValues(t, 1, ended.GetEnded())
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.sessions WHERE id = $1`, callers[0].Session))
	_, err = b.client.Logout(contexts[0], &authv1.LogoutRequest{})
	require.NoError(t, err)
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.sessions`))
	require.Equal(t, 3, b.events(t, "opsdeck.auth.session.ended"))
}

func TestNobodyEndsSomebodyElsesSession(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, err := b.pool.Exec(t.Context(), `
		WITH u AS (INSERT INTO auth.users (tenant_id, role_id, username, password_hash, password_set_at, created_at)
		           SELECT tenant_id, role_id, 'bob', '', now(), now() FROM auth.users RETURNING id)
		INSERT INTO auth.sessions (id, user_id, address, created_at, expires_at)
		SELECT 'bobs', id, '', now(), now() + interval '1 day' FROM u`)
	require.NoError(t, err)
	answer, err := b.login(t, right())
	require.NoError(t, err)
	ctx, _ := b.as(t, answer.GetToken())
	_, err = b.client.RevokeMySession(ctx, &authv1.RevokeMySessionRequest{SessionId: "bobs"})
	requireRefusal(t, err, codes.NotFound, "SESSION_NOT_FOUND")
	list, err := b.client.ListMySessions(ctx, &authv1.ListMySessionsRequest{})
	require.NoError(t, err)
	require.Len(t, list.GetSessions(), 1)
	_, err = b.client.RevokeMyOtherSessions(ctx, &authv1.RevokeMyOtherSessionsRequest{})
	require.NoError(t, err)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.sessions WHERE id = 'bobs'`))
}

// yes is a decider that lets everybody do everything.
type yes struct{}

func (yes) Decide(_ context.Context, _ authn.Principal, rights []string) (access.Decision, error) {
	return access.Decision{Held: rights}, nil
}

func TestLastUsesAreWrittenDown(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	answer, err := b.login(t, right())
	require.NoError(t, err)
	ctx, caller := b.as(t, answer.GetToken())
	server := NewServer(b.cfg)
	watched := server.Watch(yes{})
	b.pass(time.Hour)
	for range 3 {
		_, err := watched.Decide(t.Context(), caller, nil)
		require.NoError(t, err)
	}
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.sessions WHERE seen_at IS NOT NULL`), "no write per use")
	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, server.WriteSeen(zap.NewNop())(stopped), "it writes once more when it is told to stop")
	list, err := b.client.ListMySessions(ctx, &authv1.ListMySessionsRequest{})
	require.NoError(t, err)
	require.WithinDuration(t, b.now(), list.GetSessions()[0].GetLastSeenTime().AsTime(), time.Millisecond)

	replica := NewServer(b.cfg) // whose clock is behind
	replica.seen.uses[caller.Session] = b.now().Add(-time.Minute)
	require.NoError(t, replica.writeSeen(t.Context()))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.sessions WHERE seen_at > $1`, b.now().Add(-time.Second)))
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for range maxFailures {
		_, err := b.login(t, with(func(r *authv1.LoginRequest) { r.Password = "no" }))
		require.Error(t, err)
	}
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	had, err := Unlock(t.Context(), tx, "platform", "ADMIN")
	require.NoError(t, err)
	require.True(t, had)
	require.NoError(t, tx.Commit(t.Context()))
	_, err = b.login(t, right())
	require.NoError(t, err)
}
