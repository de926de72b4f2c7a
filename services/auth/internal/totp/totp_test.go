package totp

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/mail"
	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// rightPassword is what the callers of these tests confirm themselves with.
const rightPassword = "right"

// bundle is a SecondFactorService for ann, who is signed in, with a clock that the test turns.
type bundle struct {
	*Server
	pool  *pgxpool.Pool
	ctx   context.Context
	annID int64

	mu    sync.Mutex
	clock time.Time
}

func (b *bundle) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock
}

func (b *bundle) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock = b.clock.Add(d)
}

// confirmer stands in for the session service, whose own tests show that it counts.
type confirmer struct{ b *bundle }

func (c confirmer) Confirm(_ context.Context, text string) error {
	if text != rightPassword {
		return fault.Denied("PASSWORD_WRONG", "wrong")
	}
	return nil
}

func (c confirmer) ConfirmBoth(ctx context.Context, text, code string) error {
	if err := c.Confirm(ctx, text); err != nil {
		return err
	}
	return c.b.factors.Verify(ctx, c.b.annID, code)
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, secret.Generate(path))
	sealer, err := secret.Load(path)
	require.NoError(t, err)
	b := &bundle{pool: pgtest.New(t, "auth", migrations.FS), clock: time.Now()}
	queue, err := jobs.New(b.pool, "auth", nil, zap.NewNop(), jobs.Options{})
	require.NoError(t, err)
	factors := &Factors{Pool: b.pool, Sealer: sealer, Mails: mail.Outbox{Queue: queue, Sealer: sealer, Enabled: true}, Now: b.now}
	b.Server = NewServer(factors, change.Changer{Pool: b.pool, Queue: queue, Now: b.now}, confirmer{b})
	require.NoError(t, b.pool.QueryRow(t.Context(), `
		WITH t AS (INSERT INTO auth.tenants (name, created_at) VALUES ('dev', now()) RETURNING id),
		     r AS (INSERT INTO auth.roles (tenant_id, name, created_at) SELECT id, 'dev', now() FROM t RETURNING id, tenant_id)
		INSERT INTO auth.users (tenant_id, role_id, username, email, password_hash, password_set_at, created_at)
		SELECT tenant_id, id, 'ann', 'ann@example.org', '', now(), now() FROM r RETURNING id`).Scan(&b.annID))
	_, err = b.pool.Exec(t.Context(), `
		INSERT INTO auth.sessions (id, user_id, address, created_at, expires_at) VALUES ('s', $1, '', $2, $3)`, b.annID, b.now(), b.now().Add(24*time.Hour))
	require.NoError(t, err)
	b.ctx = authn.WithPrincipal(t.Context(), authn.Principal{Tenant: "dev", User: "ann", Session: "s"})
	return b
}

func (b *bundle) count(t *testing.T, sql string) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

// code is what the app shows.
func (b *bundle) code(t *testing.T, secret string) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, b.now())
	require.NoError(t, err)
	return code
}

// enabled turns the second factor on, as a user does.
func (b *bundle) enabled(t *testing.T) (secret string, recovery []string) {
	t.Helper()
	enrolled, err := b.EnrollTotp(b.ctx, &authv1.EnrollTotpRequest{Password: rightPassword})
	require.NoError(t, err)
	confirmed, err := b.ConfirmTotp(b.ctx, &authv1.ConfirmTotpRequest{Totp: b.code(t, enrolled.GetSecret())})
	require.NoError(t, err)
	return enrolled.GetSecret(), confirmed.GetRecoveryCodes()
}

func requireReason(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	f := fault.From(err)
	require.NotNil(t, f, "want %s, got %v", reason, err)
	require.Equal(t, reason, f.Reason)
	require.Equal(t, code, f.Code)
}

func TestEnrollment(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	require.NoError(t, b.factors.Verify(t.Context(), b.annID, ""), "nobody needs a code whom nobody gave a secret")
	_, err := b.ConfirmTotp(b.ctx, &authv1.ConfirmTotpRequest{Totp: "123456"})
	requireReason(t, err, codes.FailedPrecondition, "TOTP_NOT_ENROLLED")
	_, err = b.EnrollTotp(b.ctx, &authv1.EnrollTotpRequest{Password: "wrong"})
	requireReason(t, err, codes.PermissionDenied, "PASSWORD_WRONG")

	first, err := b.EnrollTotp(b.ctx, &authv1.EnrollTotpRequest{Password: rightPassword})
	require.NoError(t, err)
	require.NoError(t, b.factors.Verify(t.Context(), b.annID, ""), "a secret that was not confirmed counts for nothing")
	second, err := b.EnrollTotp(b.ctx, &authv1.EnrollTotpRequest{Password: rightPassword})
	require.NoError(t, err)
	require.NotEqual(t, first.GetSecret(), second.GetSecret())
	require.Regexp(t, `^otpauth://totp/opsdeck:dev:ann\?.*secret=`+second.GetSecret(), second.GetUri())
	require.Regexp(t, `^data:image/png;base64,iVBORw0KGgo`, second.GetQrCode())
	_, err = b.ConfirmTotp(b.ctx, &authv1.ConfirmTotpRequest{Totp: b.code(t, first.GetSecret())})
	requireReason(t, err, codes.InvalidArgument, Wrong)
	confirmed, err := b.ConfirmTotp(b.ctx, &authv1.ConfirmTotpRequest{Totp: b.code(t, second.GetSecret())})
	require.NoError(t, err)
	require.Len(t, confirmed.GetRecoveryCodes(), 10)

	_, err = b.EnrollTotp(b.ctx, &authv1.EnrollTotpRequest{Password: rightPassword})
	requireReason(t, err, codes.FailedPrecondition, "TOTP_ENABLED")
	_, err = b.ConfirmTotp(b.ctx, &authv1.ConfirmTotpRequest{Totp: "123456"})
	requireReason(t, err, codes.FailedPrecondition, "TOTP_ENABLED")
	state, err := b.GetSecondFactor(b.ctx, &authv1.GetSecondFactorRequest{})
	require.NoError(t, err)
	require.True(t, state.GetEnabled())
	require.EqualValues(t, 10, state.GetRecoveryCodesLeft())
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.audit WHERE subject = 'dev:ann' AND after->>'second_factor' = 'enabled'`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.river_job WHERE kind = 'auth.mail'`))
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.totp WHERE encode(secret, 'escape') LIKE '%`+second.GetSecret()+`%'`), "sealed")
}

func TestCodes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	secret, _ := b.enabled(t)
	verify := func(code string) error { return b.factors.Verify(t.Context(), b.annID, code) }
	requireReason(t, verify(""), codes.Unauthenticated, Required)
	requireReason(t, verify(b.code(t, secret)), codes.Unauthenticated, Wrong) // it has confirmed the secret
	for _, garbage := range []string{"0", "1234567", "abcdef", "-----", "12345６"} {
		requireReason(t, verify(garbage), codes.Unauthenticated, Wrong)
	}
	b.pass(10 * period)
	late := b.code(t, secret)
	b.pass(period)
	current := b.code(t, secret)
	b.pass(period)
	early, err := totp.GenerateCode(secret, b.now().Add(period))
	require.NoError(t, err)
	far, err := totp.GenerateCode(secret, b.now().Add(2*period))
	require.NoError(t, err)
	requireReason(t, verify(late), codes.Unauthenticated, Wrong)
	requireReason(t, verify(far), codes.Unauthenticated, Wrong)
	require.NoError(t, verify(current), "one step late")
	requireReason(t, verify(current), codes.Unauthenticated, Wrong)
	require.NoError(t, verify(early), "one step early")
	requireReason(t, verify(b.code(t, secret)), codes.Unauthenticated, Wrong) // older than one that was used
}

func TestOneCodeAdmitsOne(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	secret, recovery := b.enabled(t)
	b.pass(period)
	for _, code := range []string{b.code(t, secret), recovery[0]} {
		var admitted sync.Map
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if b.factors.Verify(t.Context(), b.annID, code) == nil {
					admitted.Store(i, true)
				}
			})
		}
		all.Wait()
		n := 0
		admitted.Range(func(any, any) bool { n++; return true })
		require.Equal(t, 1, n)
	}
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	secret, old := b.enabled(t)
	verify := func(code string) error { return b.factors.Verify(t.Context(), b.annID, code) }
	require.Regexp(t, `^[a-z2-7]{5}-[a-z2-7]{5}$`, old[0])
	require.NoError(t, verify(old[0]))
	requireReason(t, verify(old[0]), codes.Unauthenticated, Wrong)
	require.NoError(t, verify(fmt.Sprintf(" %s%s ", "", old[1])), "spaces do not matter")
	require.Equal(t, 3, b.count(t, `SELECT count(*) FROM auth.river_job WHERE kind = 'auth.mail'`), "the user hears of each")
	b.pass(period)
	renewed, err := b.RenewRecoveryCodes(b.ctx, &authv1.RenewRecoveryCodesRequest{Password: rightPassword, Totp: b.code(t, secret)})
	require.NoError(t, err)
	requireReason(t, verify(old[2]), codes.Unauthenticated, Wrong)
	require.NoError(t, verify(renewed.GetRecoveryCodes()[0]))
}

func TestDisable(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	disable := func(password, code string) error {
		_, err := b.DisableTotp(b.ctx, &authv1.DisableTotpRequest{Password: password, Totp: code})
		return err
	}
	requireReason(t, disable(rightPassword, "123456"), codes.FailedPrecondition, "TOTP_NOT_ENROLLED")
	secret, recovery := b.enabled(t)
	b.pass(period)
	requireReason(t, disable("wrong", b.code(t, secret)), codes.PermissionDenied, "PASSWORD_WRONG")
	requireReason(t, disable(rightPassword, "000000"), codes.Unauthenticated, Wrong)
	require.NoError(t, disable(rightPassword, recovery[3]))
	require.NoError(t, b.factors.Verify(t.Context(), b.annID, ""))
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.recovery_codes`))
	state, err := b.GetSecondFactor(b.ctx, &authv1.GetSecondFactorRequest{})
	require.NoError(t, err)
	require.False(t, state.GetEnabled())
}
