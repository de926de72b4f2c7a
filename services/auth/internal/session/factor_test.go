package session

import (
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
)

const appSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

// enroll gives admin a second factor.
func (b *bundle) enroll(t *testing.T) {
	t.Helper()
	id := b.count(t, `SELECT id FROM auth.users WHERE username = 'admin'`)
	sealed, err := b.cfg.Factors.Sealer.Seal([]byte(appSecret), "auth.totp/1")
	require.NoError(t, err)
	require.Equal(t, 1, id)
	_, err = b.pool.Exec(t.Context(), `INSERT INTO auth.totp (user_id, secret, confirmed_at, last_step) VALUES ($1, $2, now(), 0)`, id, sealed)
	require.NoError(t, err)
}

func (b *bundle) code(t *testing.T) string {
	t.Helper()
	code, err := totp.GenerateCode(appSecret, b.now())
	require.NoError(t, err)
	return code
}

func TestLoginWithASecondFactor(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.enroll(t)
	_, err := b.login(t, right())
	requireRefusal(t, err, codes.Unauthenticated, "TOTP_REQUIRED")
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.login_attempts`), "being asked for a code is no failure")
	_, err = b.login(t, with(func(r *authv1.LoginRequest) { r.Password, r.Totp = "no", b.code(t) }))
	requireRefusal(t, err, codes.Unauthenticated, "LOGIN_FAILED")
	_, err = b.login(t, with(func(r *authv1.LoginRequest) { r.Totp = b.code(t) }))
	require.NoError(t, err, "a wrong password does not use the code up")
	_, err = b.login(t, with(func(r *authv1.LoginRequest) { r.Totp = b.code(t) }))
	requireRefusal(t, err, codes.Unauthenticated, "TOTP_WRONG")
	b.pass(30 * time.Second)
	_, err = b.login(t, with(func(r *authv1.LoginRequest) { r.Totp = b.code(t) }))
	require.NoError(t, err)
}

func TestWrongCodesLockTheAccount(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.enroll(t)
	for range maxFailures {
		_, err := b.login(t, with(func(r *authv1.LoginRequest) { r.Totp = "x" }))
		requireRefusal(t, err, codes.Unauthenticated, "TOTP_WRONG")
	}
	require.Equal(t, 1, b.events(t, "opsdeck.auth.account.locked"))
	_, err := b.login(t, with(func(r *authv1.LoginRequest) { r.Totp = b.code(t) }))
	requireRefusal(t, err, codes.ResourceExhausted, "ACCOUNT_LOCKED")
}

func TestConfirmBoth(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	server := NewServer(b.cfg)
	require.NoError(t, server.ConfirmBoth(admin(t), adminSecret, ""), "who has no second factor confirms with one")
	b.enroll(t)
	requireRefusal(t, server.ConfirmBoth(admin(t), adminSecret, ""), codes.Unauthenticated, "TOTP_REQUIRED")
	requireRefusal(t, server.ConfirmBoth(admin(t), "no", b.code(t)), codes.PermissionDenied, "PASSWORD_WRONG")
	require.NoError(t, server.ConfirmBoth(admin(t), adminSecret, b.code(t)))
	for range maxFailures - 1 {
		requireRefusal(t, server.ConfirmBoth(admin(t), adminSecret, b.code(t)), codes.Unauthenticated, "TOTP_WRONG")
	}
	requireRefusal(t, server.ConfirmBoth(admin(t), adminSecret, b.code(t)), codes.ResourceExhausted, "ACCOUNT_LOCKED")
}

func TestConfirmOriginal(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	server := NewServer(b.cfg)
	require.NoError(t, server.ConfirmOriginal(admin(t), adminSecret))
	for range maxFailures {
		requireRefusal(t, server.ConfirmOriginal(admin(t), "no"), codes.InvalidArgument, "PASSWORD_ORIGINAL_WRONG")
	}
	requireRefusal(t, server.ConfirmOriginal(admin(t), adminSecret), codes.ResourceExhausted, "ACCOUNT_LOCKED")
}
