package operator

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const first = "First-password1"

var root = Account{"dev", "root"}

func newOperator(t *testing.T) (Operator, *pgxpool.Pool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, secret.Generate(path))
	sealer, err := secret.Load(path)
	require.NoError(t, err)
	pool := pgtest.New(t, "auth", migrations.FS)
	queue, err := jobs.New(pool, "auth", nil, zap.NewNop(), jobs.Options{})
	require.NoError(t, err)
	o := Operator{Changes: change.Changer{Pool: pool, Queue: queue, Now: time.Now}, Policy: password.Policy{MinLength: 8, MinClasses: 3}}
	o.Passwords, err = password.New(password.Params{Memory: 64, Passes: 1, Threads: 1}, 2, 10*time.Second)
	require.NoError(t, err)
	o.Keys, err = signing.New(pool, sealer, 30*24*time.Hour, time.Now)
	require.NoError(t, err)
	require.NoError(t, o.Keys.Rotate(t.Context()))
	return o, pool
}

func count(t *testing.T, pool *pgxpool.Pool, sql string) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func requirePassword(t *testing.T, o Operator, pool *pgxpool.Pool, want string) {
	t.Helper()
	var hash string
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT password_hash FROM auth.users WHERE username = 'root'`).Scan(&hash))
	ok, _, err := o.Passwords.Check(t.Context(), want, hash)
	require.NoError(t, err)
	require.True(t, ok)
}

func TestCreateAdmin(t *testing.T) {
	t.Parallel()
	o, pool := newOperator(t)
	require.True(t, fault.Is(o.CreateAdmin(t.Context(), root, "weak"), "PASSWORD_WEAK"))
	require.Zero(t, count(t, pool, `SELECT count(*) FROM auth.tenants`))
	require.NoError(t, o.CreateAdmin(t.Context(), root, first))
	require.NoError(t, o.CreateAdmin(t.Context(), Account{"dev", "second"}, first), "the role is there already")
	err := o.CreateAdmin(t.Context(), Account{"dev", "ROOT"}, first)
	require.True(t, fault.Is(err, "USER_EXISTS"), "%v", err)
	require.Equal(t, 2, count(t, pool, `
		SELECT count(*) FROM auth.users u JOIN auth.roles r ON r.id = u.role_id WHERE r.name = 'admin' AND r.object_type = 'all'`))
	require.Equal(t, 2, count(t, pool, `SELECT count(*) FROM auth.audit WHERE action = 'user.created' AND actor = 'platform:command line'`))
	requirePassword(t, o, pool, first)
}

func TestResetPasswordUnlocksAndEndsSessions(t *testing.T) {
	t.Parallel()
	o, pool := newOperator(t)
	require.True(t, fault.Is(o.ResetPassword(t.Context(), root, first), "USER_NOT_FOUND"))
	require.NoError(t, o.CreateAdmin(t.Context(), root, first))
	execute(t, pool, `INSERT INTO auth.sessions (id, user_id, address, created_at, expires_at) SELECT 's', id, '', now(), now() + interval '1 day' FROM auth.users`)
	execute(t, pool, `INSERT INTO auth.login_attempts (tenant, username, failures, expires_at) VALUES ('dev', 'root', '{}', now() + interval '1 day')`)
	require.NoError(t, o.ResetPassword(t.Context(), Account{"dev", "Root"}, "Second-password1"))
	requirePassword(t, o, pool, "Second-password1")
	require.Zero(t, count(t, pool, `SELECT count(*) FROM auth.sessions`))
	require.Zero(t, count(t, pool, `SELECT count(*) FROM auth.login_attempts`))
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	o, pool := newOperator(t)
	execute(t, pool, `INSERT INTO auth.login_attempts (tenant, username, failures, expires_at) VALUES ('dev', 'root', '{}', now() + interval '1 day')`)
	was, err := o.Unlock(t.Context(), root)
	require.NoError(t, err)
	require.True(t, was)
	was, err = o.Unlock(t.Context(), root)
	require.NoError(t, err)
	require.False(t, was)
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM auth.audit WHERE action = 'account.unlocked'`))
}

func TestDisableTOTP(t *testing.T) {
	t.Parallel()
	o, pool := newOperator(t)
	require.NoError(t, o.CreateAdmin(t.Context(), root, first))
	had, err := o.DisableTOTP(t.Context(), root)
	require.NoError(t, err)
	require.False(t, had)
	execute(t, pool, `INSERT INTO auth.totp (user_id, secret, confirmed_at, last_step) SELECT id, '', now(), 0 FROM auth.users`)
	had, err = o.DisableTOTP(t.Context(), root)
	require.NoError(t, err)
	require.True(t, had)
	require.Zero(t, count(t, pool, `SELECT count(*) FROM auth.totp`))
}

func TestRotateKeys(t *testing.T) {
	t.Parallel()
	o, pool := newOperator(t)
	require.NoError(t, o.CreateAdmin(t.Context(), root, first))
	execute(t, pool, `INSERT INTO auth.sessions (id, user_id, address, created_at, expires_at) SELECT 's', id, '', now(), now() + interval '1 day' FROM auth.users`)
	who := authn.Principal{Tenant: "dev", User: "root", Session: "s"}
	token, err := o.Keys.Sign(t.Context(), who, time.Now(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	id, err := o.RotateKeys(t.Context(), false)
	require.NoError(t, err)
	require.NotEmpty(t, id)
	_, err = authn.NewVerifier(o.Keys).Verify(t.Context(), token)
	require.NoError(t, err, "tokens signed before stay good")
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM auth.sessions`))

	_, err = o.RotateKeys(t.Context(), true)
	require.NoError(t, err)
	require.Zero(t, count(t, pool, `SELECT count(*) FROM auth.sessions`))
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM auth.signing_keys WHERE retires_at IS NULL OR retires_at > now()`))
	require.Equal(t, 2, count(t, pool, `SELECT count(*) FROM auth.audit WHERE action = 'signing_keys.replaced'`))
}

func TestParseAccount(t *testing.T) {
	t.Parallel()
	a, err := ParseAccount("dev:ann")
	require.NoError(t, err)
	require.Equal(t, Account{"dev", "ann"}, a)
	for _, text := range []string{"", "ann", ":ann", "dev:", "dev:a:b", "dev:a b", "d/v:ann", "dev:a/b"} {
		_, err := ParseAccount(text)
		require.Error(t, err, text)
	}
}
