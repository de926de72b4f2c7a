package recovery

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
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
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
	"github.com/opsdeck/opsdeck/services/auth/internal/session"
	"github.com/opsdeck/opsdeck/services/auth/internal/totp"
	"github.com/opsdeck/opsdeck/services/auth/internal/user"
	"github.com/opsdeck/opsdeck/services/auth/mailtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	oldPassword = "Old-password"
	newPassword = "New-password1"
	address     = "admin@example.org"
)

// bundle is a RecoveryService with a queue that works, an SMTP server, and a clock that the test turns.
type bundle struct {
	*Server
	pool   *pgxpool.Pool
	sealer *secret.Sealer
	hasher *password.Hasher
	smtp   *mailtest.Server
	queue  *jobs.Client // inserts

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

func newBundle(t *testing.T) *bundle {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, secret.Generate(path))
	b := &bundle{pool: pgtest.New(t, "auth", migrations.FS), smtp: mailtest.Start(t, false), clock: time.Now()}
	var err error
	b.sealer, err = secret.Load(path)
	require.NoError(t, err)
	b.queue, err = jobs.New(b.pool, "auth", nil, zap.NewNop(), jobs.Options{})
	require.NoError(t, err)
	b.hasher, err = password.New(password.Params{Memory: 64, Passes: 1, Threads: 1}, 2, 10*time.Second)
	require.NoError(t, err)
	require.NoError(t, user.Bootstrap(t.Context(), b.pool, b.hasher, oldPassword, &bytes.Buffer{}, b.now()))
	b.execute(t, `UPDATE auth.users SET email = 'Admin@Example.org'`)
	mails := mail.Outbox{Queue: b.queue, Sealer: b.sealer, Enabled: true}
	sessions := session.NewServer(session.Config{
		Pool: b.pool, Queue: b.queue, Passwords: b.hasher, Policy: password.Policy{MinLength: 8, MinClasses: 3},
		Factors: &totp.Factors{Pool: b.pool, Sealer: b.sealer, Mails: mails, Now: b.now}, LoginsPerMinute: 1000, CaptchasPerMinute: 1, Now: b.now,
	})
	b.Server = NewServer(Config{
		Changes: change.Changer{Pool: b.pool, Queue: b.queue, Now: b.now}, Sessions: sessions, Sealer: b.sealer, Mails: mails,
		PublicURL: "https://ops.example.org/", PerMinute: 1000, Log: zap.NewNop(),
	})
	return b
}

// work runs the queue, as a replica does, and returns what stops it.
func (b *bundle) work(t *testing.T) (stop func()) {
	t.Helper()
	sender, err := mail.NewSender(mail.Config{
		Addr: b.smtp.Addr, From: "opsdeck@example.org", User: mailtest.User, Password: mailtest.Password, TLS: "starttls", CAFile: b.smtp.CAFile,
	})
	require.NoError(t, err)
	workers := river.NewWorkers()
	b.AddWorker(workers)
	mail.AddWorker(workers, sender, b.sealer, b.now)
	queue, err := jobs.New(b.pool, "auth", workers, zap.NewNop(), jobs.Options{StopWait: time.Second})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- queue.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-ended)
		})
	}
	t.Cleanup(stop)
	return stop
}

func (b *bundle) execute(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (b *bundle) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func (b *bundle) forget(t *testing.T, id, email string) {
	t.Helper()
	_, err := b.ForgetPassword(t.Context(), &authv1.ForgetPasswordRequest{Id: id, Email: email})
	require.NoError(t, err)
}

// settled waits until no claim waits.
func (b *bundle) settled(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM auth.river_job WHERE kind = 'auth.password_claim' AND finalized_at IS NULL`) == 0
	}, time.Minute, 20*time.Millisecond)
}

func (b *bundle) redeem(t *testing.T, token, password string) error {
	t.Helper()
	_, err := b.ResetForgottenPassword(t.Context(), &authv1.ResetForgottenPasswordRequest{Token: token, NewPassword: password})
	return err
}

// isPassword reports what admin's password is.
func (b *bundle) isPassword(t *testing.T, text string) bool {
	t.Helper()
	var hash string
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT password_hash FROM auth.users WHERE username = 'admin'`).Scan(&hash))
	ok, _, err := b.hasher.Check(t.Context(), text, hash)
	require.NoError(t, err)
	return ok
}

var linkPattern = regexp.MustCompile(`https://ops\.example\.org/reset-password#([A-Za-z0-9_-]{43})\r\n`)

// token returns the token in a mail.
func token(t *testing.T, m mailtest.Mail) string {
	t.Helper()
	found := linkPattern.FindStringSubmatch(m.Text)
	require.NotNil(t, found, m.Text)
	return found[1]
}

func requireReason(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	f := fault.From(err)
	require.NotNil(t, f, "want %s, got %v", reason, err)
	require.Equal(t, reason, f.Reason)
	require.Equal(t, code, f.Code)
}

func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.work(t)
	b.execute(t, `INSERT INTO auth.sessions (id, user_id, address, created_at, expires_at) SELECT 's', id, '', now(), now() + interval '1 day' FROM auth.users`)
	b.execute(t, `INSERT INTO auth.login_attempts (tenant, username, failures, locked_until, expires_at)
		VALUES ('platform', 'admin', '{}', now() + interval '1 hour', now() + interval '1 hour')`)
	b.forget(t, "ADMIN", address)
	link := token(t, b.smtp.Await(t, "Admin@Example.org", 1)[0])
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.river_job WHERE args::text ILIKE '%' || $1 || '%' OR args::text ILIKE '%example.org%'`, link))

	requireReason(t, b.redeem(t, link[1:]+"x", newPassword), codes.InvalidArgument, "RESET_LINK_INVALID")
	requireReason(t, b.redeem(t, link, "weak"), codes.InvalidArgument, "PASSWORD_WEAK")
	require.NoError(t, b.redeem(t, link, newPassword), "a weak password does not use the link up")
	require.True(t, b.isPassword(t, newPassword))
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.sessions`))
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.login_attempts`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.audit WHERE action = 'user.updated' AND subject = 'platform:admin' AND actor = 'platform:admin'`))
	requireReason(t, b.redeem(t, link, newPassword), codes.InvalidArgument, "RESET_LINK_INVALID")
	mails := b.smtp.Await(t, "Admin@Example.org", 2)
	require.Contains(t, mails[1].Subject, "Password changed")
}

func TestOnlyTheOwnerOfTheMailboxGetsALink(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.work(t)
	b.execute(t, `
		WITH t AS (INSERT INTO auth.tenants (name, created_at) VALUES ('dev', now()) RETURNING id),
		     r AS (INSERT INTO auth.roles (tenant_id, name, created_at) SELECT id, 'dev', now() FROM t RETURNING id, tenant_id)
		INSERT INTO auth.users (tenant_id, role_id, username, email, status, password_hash, password_set_at, created_at)
		SELECT tenant_id, id, name, email, status, '', now(), now()
		  FROM r, (VALUES ('admin', 'admin@example.org', 'enabled'), ('gone', 'gone@example.org', 'disabled'), ('none', '', 'enabled')) AS u (name, email, status)`)
	for _, c := range [][2]string{
		{"admin", "eve@example.org"},
		{"nobody", address},
		{"none", "@"},
		{"gone", "gone@example.org"},
		{"99999999999999999999", address},
		{"dev:nobody", address},
		{"admin' OR '1'='1", address},
	} {
		b.forget(t, c[0], c[1])
	}
	b.settled(t)
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.password_resets`))
	b.forget(t, "dev:admin", address)
	require.Contains(t, b.smtp.Await(t, address, 1)[0].Text, "dev:admin")
	b.forget(t, "admin", address) // one in each tenant
	b.smtp.Await(t, address, 2)
	b.smtp.Await(t, "Admin@Example.org", 1)
	b.forget(t, fmt.Sprint(b.count(t, `SELECT id FROM auth.users WHERE email = 'Admin@Example.org'`)), address)
	b.smtp.Await(t, "Admin@Example.org", 2)
}

func TestLinksEnd(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.work(t)
	b.forget(t, "admin", address)
	first := token(t, b.smtp.Await(t, "Admin@Example.org", 1)[0])
	b.forget(t, "admin", address)
	b.settled(t)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.password_resets`), "the same claim is answered once a minute")
	b.forget(t, "platform:admin", address)
	second := token(t, b.smtp.Await(t, "Admin@Example.org", 2)[1])
	requireReason(t, b.redeem(t, first, newPassword), codes.InvalidArgument, "RESET_LINK_INVALID")
	b.forget(t, fmt.Sprint(b.count(t, `SELECT id FROM auth.users`)), address)
	third := token(t, b.smtp.Await(t, "Admin@Example.org", 3)[2])
	b.execute(t, `DELETE FROM auth.river_job WHERE kind = 'auth.password_claim'`)
	b.forget(t, "admin", address)
	b.settled(t)
	require.Equal(t, linksPerHour, b.count(t, `SELECT count(*) FROM auth.password_resets`))
	b.pass(linkLife)
	requireReason(t, b.redeem(t, second, newPassword), codes.InvalidArgument, "RESET_LINK_INVALID")
	requireReason(t, b.redeem(t, third, newPassword), codes.InvalidArgument, "RESET_LINK_INVALID")
	require.True(t, b.isPassword(t, oldPassword))
	b.pass(time.Hour)
	require.NoError(t, b.DeleteExpired(t.Context()))
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.password_resets`))
}

func TestALinkThatIsNewestStaysGoodWhenNoMoreAreSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.work(t)
	for i, id := range []string{"admin", "platform:admin", fmt.Sprint(b.count(t, `SELECT id FROM auth.users`))} {
		b.forget(t, id, address)
		b.smtp.Await(t, "Admin@Example.org", i+1)
	}
	last := token(t, b.smtp.Mails("Admin@Example.org")[2])
	b.execute(t, `DELETE FROM auth.river_job WHERE kind = 'auth.password_claim'`)
	b.forget(t, "admin", address)
	b.settled(t)
	require.NoError(t, b.redeem(t, last, newPassword))
}

func TestOneLinkSetsOnePassword(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.work(t)
	b.forget(t, "admin", address)
	link := token(t, b.smtp.Await(t, "Admin@Example.org", 1)[0])
	failures := make([]error, 6)
	var all sync.WaitGroup
	for i := range failures {
		all.Go(func() { failures[i] = b.redeem(t, link, fmt.Sprintf("New-password%d", i)) })
	}
	all.Wait()
	won := 0
	for i, err := range failures {
		if err == nil {
			won++
			require.True(t, b.isPassword(t, fmt.Sprintf("New-password%d", i)))
			continue
		}
		requireReason(t, err, codes.InvalidArgument, "RESET_LINK_INVALID")
	}
	require.Equal(t, 1, won)
}

func TestMailsSurviveARestartAndAServerThatSaysLater(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.smtp.Refuse(&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "later"})
	stop := b.work(t)
	b.forget(t, "admin", address)
	require.Eventually(t, func() bool { return b.smtp.Refused() > 0 }, time.Minute, 20*time.Millisecond)
	stop()
	b.smtp.Refuse(nil)
	b.execute(t, `UPDATE auth.river_job SET scheduled_at = now(), state = 'available' WHERE kind = 'auth.mail'`)
	b.work(t)
	token(t, b.smtp.Await(t, "Admin@Example.org", 1)[0])
}

func TestMailsThatAreRefusedOrTooLateAreDropped(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.smtp.Refuse(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody here"})
	b.forget(t, "admin", address)
	b.work(t)
	cancelled := func(n int) {
		require.Eventually(t, func() bool {
			return b.count(t, `SELECT count(*) FROM auth.river_job WHERE kind = 'auth.mail' AND state = 'cancelled'`) == n
		}, time.Minute, 20*time.Millisecond)
	}
	cancelled(1)
	b.smtp.Refuse(nil)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, b.cfg.Mails.Enqueue(t.Context(), tx, mail.Message{To: address}, b.now()))
	require.NoError(t, tx.Commit(t.Context()))
	cancelled(2)
	require.Empty(t, b.smtp.Mails(address))
}

func TestWithoutMailEverybodyGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.Mails.Enabled = false
	b.Server = NewServer(b.cfg)
	b.forget(t, "admin", address)
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.river_job`))
}

func TestRequestsPerAddressAreLimited(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.PerMinute = 1
	b.Server = NewServer(b.cfg)
	b.forget(t, "admin", address)
	_, err := b.ForgetPassword(t.Context(), &authv1.ForgetPasswordRequest{Id: "admin", Email: address})
	requireReason(t, err, codes.ResourceExhausted, "RATE_LIMITED")
	requireReason(t, b.redeem(t, "x", newPassword), codes.InvalidArgument, "RESET_LINK_INVALID")
	requireReason(t, b.redeem(t, "x", newPassword), codes.ResourceExhausted, "RATE_LIMITED")
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for _, id := range []string{"this", "other"} {
		b.execute(t, `INSERT INTO auth.sessions (id, user_id, address, created_at, expires_at) SELECT $1, id, '', now(), $2 FROM auth.users`, id, b.now().Add(time.Hour))
	}
	ctx := authn.WithPrincipal(t.Context(), authn.Principal{Tenant: "platform", User: "admin", Session: "this"})
	swap := func(from, to string) error {
		_, err := b.ChangePassword(ctx, &authv1.ChangePasswordRequest{OriginalPassword: from, NewPassword: to})
		return err
	}
	requireReason(t, swap("wrong", newPassword), codes.InvalidArgument, "PASSWORD_ORIGINAL_WRONG")
	requireReason(t, swap(oldPassword, "weak"), codes.InvalidArgument, "PASSWORD_WEAK")
	require.NoError(t, swap(oldPassword, newPassword))
	require.True(t, b.isPassword(t, newPassword))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.sessions WHERE id = 'this'`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.sessions`))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.audit WHERE after->>'password' = 'changed'`))
	requireReason(t, swap("wrong", newPassword), codes.InvalidArgument, "PASSWORD_ORIGINAL_WRONG")
	requireReason(t, swap("wrong", newPassword), codes.InvalidArgument, "PASSWORD_ORIGINAL_WRONG")
	requireReason(t, swap(newPassword, oldPassword), codes.ResourceExhausted, "ACCOUNT_LOCKED")
}
