package session

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/password"
)

func requireRefusal(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	f := fault.From(err)
	require.NotNil(t, f, "want %s", reason)
	require.Equal(t, reason, f.Reason, f.Message)
	require.Equal(t, code, f.Code)
}

func (b *bundle) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// events counts what waits in the outbox.
func (b *bundle) events(t *testing.T, kind string) int {
	t.Helper()
	return b.count(t, `SELECT count(*) FROM auth.river_job WHERE kind = 'bus.publish' AND args->'event'->>'type' = $1`, kind)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	answer, err := b.login(t, with(func(r *authv1.LoginRequest) { r.Username = "ADMIN" }))
	require.NoError(t, err)
	require.WithinDuration(t, b.now().Add(24*time.Hour), answer.GetExpireTime().AsTime(), time.Millisecond)
	caller, err := authn.NewVerifier(b.cfg.Keys).Verify(t.Context(), answer.GetToken())
	require.NoError(t, err)
	require.Equal(t, authn.Principal{Tenant: "platform", User: "admin", Role: "admin", Session: caller.Session}, caller)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.sessions WHERE id = $1`, caller.Session))
	require.Equal(t, 1, b.events(t, "opsdeck.auth.session.opened"))
}

func TestLoginRefuses(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for name, c := range map[string]struct {
		request *authv1.LoginRequest
		code    codes.Code
		reason  string
	}{
		"wrong captcha":   {with(func(r *authv1.LoginRequest) { r.Captcha = wrongAnswer }), codes.InvalidArgument, "CAPTCHA_WRONG"},
		"wrong password":  {with(func(r *authv1.LoginRequest) { r.Password = "no" }), codes.Unauthenticated, "LOGIN_FAILED"},
		"unknown user":    {with(func(r *authv1.LoginRequest) { r.Username = "eve" }), codes.Unauthenticated, "LOGIN_FAILED"},
		"unknown tenant":  {with(func(r *authv1.LoginRequest) { r.Tenant = "nowhere" }), codes.Unauthenticated, "LOGIN_FAILED"},
		"no password":     {with(func(r *authv1.LoginRequest) { r.Password = "" }), codes.InvalidArgument, "INVALID_REQUEST"},
		"a zero byte":     {with(func(r *authv1.LoginRequest) { r.Username = "a\x00" }), codes.InvalidArgument, "INVALID_REQUEST"},
		"a long username": {with(func(r *authv1.LoginRequest) { r.Username = fmt.Sprintf("%0129d", 0) }), codes.InvalidArgument, "INVALID_REQUEST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := b.login(t, c.request)
			requireRefusal(t, err, c.code, c.reason)
		})
	}
}

func TestUnknownUserAndWrongPasswordGetOneAnswer(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, wrong := b.login(t, with(func(r *authv1.LoginRequest) { r.Password = "no" }))
	_, unknown := b.login(t, with(func(r *authv1.LoginRequest) { r.Username = "eve" }))
	_, err := b.pool.Exec(t.Context(), `UPDATE auth.users SET status = 'disabled'`)
	require.NoError(t, err)
	_, disabled := b.login(t, right())
	requireRefusal(t, wrong, codes.Unauthenticated, "LOGIN_FAILED")
	require.Equal(t, wrong.Error(), unknown.Error())
	require.Equal(t, wrong.Error(), disabled.Error())
}

func TestOneCaptchaAdmitsOne(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := right()
	r.CaptchaId = b.captcha(t)
	failures := make([]error, 2)
	var all sync.WaitGroup
	for i := range failures {
		all.Go(func() { _, failures[i] = b.client.Login(t.Context(), r) })
	}
	all.Wait()
	if failures[0] != nil {
		failures[0], failures[1] = failures[1], failures[0]
	}
	require.NoError(t, failures[0])
	requireRefusal(t, failures[1], codes.InvalidArgument, "CAPTCHA_WRONG")
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.sessions`))
}

func TestLockout(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, wrong := range []*authv1.LoginRequest{
		with(func(r *authv1.LoginRequest) { r.Captcha = wrongAnswer }),
		with(func(r *authv1.LoginRequest) { r.Password = "no" }),
		with(func(r *authv1.LoginRequest) { r.Password, r.Username = "no", "Admin" }),
	} {
		require.Zero(t, b.events(t, "opsdeck.auth.account.locked"))
		_, err := b.login(t, wrong)
		require.False(t, fault.Is(err, "ACCOUNT_LOCKED"), "%v", err)
	}
	require.Equal(t, 1, b.events(t, "opsdeck.auth.account.locked"))
	kept := b.count(t, `SELECT count(*) FROM auth.captchas`)
	_, err := b.login(t, right())
	requireRefusal(t, err, codes.ResourceExhausted, "ACCOUNT_LOCKED")
	require.Contains(t, err.Error(), "try again in 30 min")
	require.Equal(t, kept+1, b.count(t, `SELECT count(*) FROM auth.captchas`), "the lock comes before the captcha")

	b.pass(lockDuration - time.Second)
	_, err = authv1.NewSessionServiceClient(b.serve(t)).Login(t.Context(), with(func(r *authv1.LoginRequest) { r.CaptchaId = b.captcha(t) }))
	requireRefusal(t, err, codes.ResourceExhausted, "ACCOUNT_LOCKED")
	require.Contains(t, err.Error(), "try again in 1 min")

	b.pass(time.Second)
	_, err = b.login(t, right())
	require.NoError(t, err)
}

func TestAnAccountThatDoesNotExistIsLockedToo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	eve := func() *authv1.LoginRequest { return with(func(r *authv1.LoginRequest) { r.Username = "eve" }) }
	for range maxFailures {
		_, err := b.login(t, eve())
		requireRefusal(t, err, codes.Unauthenticated, "LOGIN_FAILED")
	}
	_, err := b.login(t, eve())
	requireRefusal(t, err, codes.ResourceExhausted, "ACCOUNT_LOCKED")
	_, err = b.login(t, right())
	require.NoError(t, err, "other accounts are free")
}

// A burst of guesses must not learn more than three guesses one after the other.
func TestABurstOfGuessesLearnsOfThree(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	requests := make([]*authv1.LoginRequest, 12)
	for i := range requests {
		requests[i] = with(func(r *authv1.LoginRequest) { r.Password, r.CaptchaId = "no", b.captcha(t) })
	}
	failures := make([]error, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() { _, failures[i] = b.client.Login(t.Context(), r) })
	}
	all.Wait()
	answers := map[string]int{}
	for _, err := range failures {
		answers[fault.From(err).Reason]++
	}
	require.Equal(t, map[string]int{"LOGIN_FAILED": maxFailures, "ACCOUNT_LOCKED": len(requests) - maxFailures}, answers)
	require.Equal(t, 1, b.events(t, "opsdeck.auth.account.locked"))
}

// The lock may close while the right password is being checked.
func TestARightPasswordBehindTheThirdFailureIsRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	server, who := NewServer(b.cfg), account{"platform", "admin"}
	p, err := server.store.person(t.Context(), who)
	require.NoError(t, err)
	for range maxFailures {
		requireRefusal(t, server.count(t.Context(), who, loginFailed()), codes.Unauthenticated, "LOGIN_FAILED")
	}
	_, _, err = server.Open(t.Context(), Known{person: p})
	requireRefusal(t, err, codes.ResourceExhausted, "ACCOUNT_LOCKED")
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.sessions`))
}

func TestAFailureCountsWhenTheCallerHangsUp(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	requireRefusal(t, NewServer(b.cfg).count(ctx, account{"platform", "admin"}, loginFailed()), codes.Unauthenticated, "LOGIN_FAILED")
	require.Equal(t, 1, b.count(t, `SELECT cardinality(failures) FROM auth.login_attempts`))
}

func TestAUserDisabledInBetweenIsRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	server := NewServer(b.cfg)
	p, err := server.store.person(t.Context(), account{"platform", "admin"})
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `UPDATE auth.users SET status = 'disabled'`)
	require.NoError(t, err)
	_, _, err = server.Open(t.Context(), Known{person: p})
	requireRefusal(t, err, codes.Unauthenticated, "LOGIN_FAILED")
	require.Zero(t, b.events(t, "opsdeck.auth.session.opened"))
}

func TestAPasswordChangedInBetweenIsRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	server := NewServer(b.cfg)
	p, err := server.store.person(t.Context(), account{"platform", "admin"})
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `UPDATE auth.users SET password_set_at = password_set_at + interval '1 second'`)
	require.NoError(t, err)
	_, _, err = server.Open(t.Context(), Known{person: p})
	requireRefusal(t, err, codes.Unauthenticated, "LOGIN_FAILED")
}

func TestLimitsPerAddress(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(c *Config) { c.LoginsPerMinute, c.CaptchasPerMinute = 2, 3 })
	from := func(address string) context.Context {
		return rpc.WithCall(t.Context(), rpc.Call{Address: netip.MustParseAddr(address)})
	}
	captchaFor := func(address string) (string, error) {
		answer, err := b.client.CreateCaptcha(from(address), &authv1.CreateCaptchaRequest{})
		return answer.GetId(), err
	}
	login := func(address string) error {
		_, err := b.client.Login(from(address), with(func(r *authv1.LoginRequest) { r.CaptchaId = b.captcha(t) }))
		return err
	}
	for range 3 {
		_, err := captchaFor("192.0.2.1")
		require.NoError(t, err)
	}
	_, err := captchaFor("192.0.2.1")
	requireRefusal(t, err, codes.ResourceExhausted, "RATE_LIMITED")

	require.NoError(t, login("192.0.2.1"))
	require.NoError(t, login("192.0.2.1"))
	requireRefusal(t, login("192.0.2.1"), codes.ResourceExhausted, "RATE_LIMITED")
	b.pass(time.Minute)
	require.NoError(t, login("192.0.2.1"))
	require.NoError(t, login("192.0.2.2"))
}

func TestStaleHashesAreReplaced(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(c *Config) {
		var err error
		c.Passwords, err = password.New(password.Params{Memory: 128, Passes: 1, Threads: 1}, 1, 10*time.Second)
		require.NoError(t, err)
	})
	hash := func() (text string) {
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT password_hash FROM auth.users`).Scan(&text))
		return text
	}
	require.Contains(t, hash(), "$m=64,")
	_, err := b.login(t, with(func(r *authv1.LoginRequest) { r.Password = "no" }))
	requireRefusal(t, err, codes.Unauthenticated, "LOGIN_FAILED")
	require.Contains(t, hash(), "$m=64,")
	for range 2 {
		_, err = b.login(t, right())
		require.NoError(t, err)
		require.Contains(t, hash(), "$m=128,")
	}
}

func TestLoginsAtOnceWithAStaleHash(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(c *Config) {
		var err error
		c.Passwords, err = password.New(password.Params{Memory: 128, Passes: 1, Threads: 1}, 4, 10*time.Second)
		require.NoError(t, err)
	})
	failures := make([]error, 8)
	var all sync.WaitGroup
	for i := range failures {
		r := with(func(r *authv1.LoginRequest) { r.CaptchaId = b.captcha(t) })
		all.Go(func() { _, failures[i] = b.client.Login(t.Context(), r) })
	}
	all.Wait()
	for _, err := range failures {
		require.NoError(t, err)
	}
}

func TestEncryptedPasswords(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 1024) // the size in the documents' examples
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rsa.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	require.NoError(t, os.WriteFile(path, text, 0o600))
	loaded, err := secret.LoadRSA(path)
	require.NoError(t, err)
	b := newBundle(t, func(c *Config) { c.RSA = loaded })
	//nolint:staticcheck // the documents prescribe PKCS#1 v1.5
	ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte(adminSecret))
	require.NoError(t, err)
	send := func(password string) error {
		_, err := b.login(t, with(func(r *authv1.LoginRequest) { r.Password = password }))
		return err
	}
	require.NoError(t, send(base64.StdEncoding.EncodeToString(ciphertext)))
	requireRefusal(t, send(adminSecret), codes.InvalidArgument, "PASSWORD_UNREADABLE")
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.login_attempts`))
	ciphertext[100] ^= 1
	requireRefusal(t, send(base64.StdEncoding.EncodeToString(ciphertext)), codes.Unauthenticated, "LOGIN_FAILED")
	require.Equal(t, 1, b.count(t, `SELECT cardinality(failures) FROM auth.login_attempts`))
}

func TestDeleteExpired(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	server := NewServer(b.cfg)
	left := func() [2]int {
		require.NoError(t, server.DeleteExpired(t.Context()))
		return [2]int{b.count(t, `SELECT count(*) FROM auth.sessions`), b.count(t, `SELECT count(*) FROM auth.login_attempts`)}
	}
	_, err := b.login(t, right())
	require.NoError(t, err)
	_, err = b.login(t, with(func(r *authv1.LoginRequest) { r.Username = "eve" }))
	require.Error(t, err)
	for range maxFailures {
		_, err = b.login(t, with(func(r *authv1.LoginRequest) { r.Password = "no" }))
		require.Error(t, err)
	}
	require.Equal(t, [2]int{1, 2}, left())
	b.pass(failureWindow)
	require.Equal(t, [2]int{1, 1}, left(), "a lock is kept")
	b.pass(lockDuration)
	require.Equal(t, [2]int{1, 0}, left())
	b.pass(24 * time.Hour)
	require.Equal(t, [2]int{0, 0}, left())
}

func TestEventsCarryNoSecrets(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, err := b.login(t, right())
	require.NoError(t, err)
	for range maxFailures {
		_, err = b.login(t, with(func(r *authv1.LoginRequest) { r.Password = "a wrong guess" }))
		require.Error(t, err)
	}
	rows, err := b.pool.Query(t.Context(), `SELECT args::text FROM auth.river_job`)
	require.NoError(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Len(t, events, 2)
	for _, event := range events {
		require.NotContains(t, event, adminSecret)
		require.NotContains(t, event, "a wrong guess")
		require.NotContains(t, event, "eyJ")
	}
}
