package user

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/pgtest"

	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func hasher(t *testing.T) *password.Hasher {
	t.Helper()
	h, err := password.New(password.Params{Memory: 64, Passes: 1, Threads: 1}, 2, time.Second)
	require.NoError(t, err)
	return h
}

func storedHash(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var hash string
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT u.password_hash
		  FROM auth.users u
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  JOIN auth.roles r ON r.id = u.role_id
		 WHERE t.name = 'platform' AND u.username = 'admin' AND r.name = 'admin' AND u.status = 'enabled'`).Scan(&hash))
	return hash
}

func requirePassword(t *testing.T, pool *pgxpool.Pool, want string) {
	t.Helper()
	ok, _, err := hasher(t).Check(t.Context(), want, storedHash(t, pool))
	require.NoError(t, err)
	require.True(t, ok)
}

var printed = regexp.MustCompile(`^opsdeck: created user admin of tenant platform with password ([A-Z2-7]{26}) - it is not shown again\.\n$`)

func TestBootstrapPrintsARandomPasswordOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "auth", migrations.FS)
	var out bytes.Buffer
	require.NoError(t, Bootstrap(t.Context(), pool, hasher(t), "", &out, time.Now()))
	found := printed.FindStringSubmatch(out.String())
	require.NotNil(t, found, "printed %q", out.String())
	requirePassword(t, pool, found[1])

	out.Reset()
	before := storedHash(t, pool)
	require.NoError(t, Bootstrap(t.Context(), pool, hasher(t), "", &out, time.Now()))
	require.Empty(t, out.String())
	require.Equal(t, before, storedHash(t, pool))
}

func TestBootstrapWithAPasswordPrintsNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "auth", migrations.FS)
	var out bytes.Buffer
	require.NoError(t, Bootstrap(t.Context(), pool, hasher(t), "first", &out, time.Now()))
	require.Empty(t, out.String())
	requirePassword(t, pool, "first")
	require.NoError(t, Bootstrap(t.Context(), pool, hasher(t), "second", &out, time.Now()))
	requirePassword(t, pool, "first")
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestBootstrapTriesAgainWhenThePasswordCouldNotBeShown(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "auth", migrations.FS)
	require.ErrorContains(t, Bootstrap(t.Context(), pool, hasher(t), "", brokenPipe{}, time.Now()), "broken pipe")
	var out bytes.Buffer
	require.NoError(t, Bootstrap(t.Context(), pool, hasher(t), "", &out, time.Now()))
	require.Regexp(t, printed, out.String())
}

func TestBootstrapOfReplicasAtOnce(t *testing.T) {
	t.Parallel()
	pool, h := pgtest.New(t, "auth", migrations.FS), hasher(t)
	outs, failures := make([]bytes.Buffer, 8), make([]error, 8)
	var all sync.WaitGroup
	for i := range outs {
		all.Go(func() { failures[i] = Bootstrap(context.WithoutCancel(t.Context()), pool, h, "", &outs[i], time.Now()) })
	}
	all.Wait()
	var text string
	for i := range outs {
		require.NoError(t, failures[i])
		text += outs[i].String()
	}
	found := printed.FindStringSubmatch(text)
	require.NotNil(t, found, "printed %q", text)
	requirePassword(t, pool, found[1])
}
