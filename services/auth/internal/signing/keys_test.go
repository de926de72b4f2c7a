package signing

import (
	"context"
	"crypto/ed25519"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const month = 30 * 24 * time.Hour

var admin = authn.Principal{Tenant: "platform", User: "admin", Role: "admin", Session: "s"}

// world is a database, a sealing key and a clock that replicas share.
type world struct {
	pool   *pgxpool.Pool
	sealer *secret.Sealer
	mu     sync.Mutex
	clock  time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, secret.Generate(path))
	sealer, err := secret.Load(path)
	require.NoError(t, err)
	return &world{pool: pgtest.New(t, "auth", migrations.FS), sealer: sealer, clock: time.Now()}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) replica(t *testing.T) *Keys {
	t.Helper()
	keys, err := New(w.pool, w.sealer, month, w.now)
	require.NoError(t, err)
	return keys
}

// sign returns a token that is good by the wall clock, with which verifiers judge, and the id of its key.
func sign(t *testing.T, keys *Keys) (token, id string) {
	t.Helper()
	token, err := keys.Sign(t.Context(), admin, time.Now(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	return token, keys.opened.id
}

func ids(t *testing.T, keys *Keys) []string {
	t.Helper()
	listed, err := keys.listed(t.Context())
	require.NoError(t, err)
	var all []string
	for _, key := range listed {
		all = append(all, key.ID)
	}
	return all
}

func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := w.replica(t)
	require.NoError(t, keys.Rotate(t.Context()))
	token, first := sign(t, keys)
	require.Equal(t, []string{first}, ids(t, keys))
	require.NoError(t, keys.Rotate(t.Context()))
	require.Len(t, ids(t, keys), 1, "a young key stays")

	w.pass(month - lead)
	require.NoError(t, keys.Rotate(t.Context()))
	listed := ids(t, keys)
	require.Len(t, listed, 2, "the successor is listed")
	_, signer := sign(t, keys)
	require.Equal(t, first, signer, "before it signs")

	w.pass(lead)
	_, second := sign(t, keys)
	require.Equal(t, listed[0], second)
	caller, err := authn.NewVerifier(keys).Verify(t.Context(), token)
	require.NoError(t, err, "the old key's tokens stay good")
	require.Equal(t, admin, caller)

	w.pass(TokenLife)
	_, err = keys.PublicKey(t.Context(), first)
	require.NoError(t, err, "until the last of them has expired, even with a wrong clock")
	w.pass(grace)
	_, err = authn.NewVerifier(keys).Verify(t.Context(), token)
	require.True(t, fault.Is(err, "TOKEN_INVALID"), "%v", err)
	require.Equal(t, []string{second}, ids(t, keys))

	require.NoError(t, keys.DeleteRetired(t.Context()))
	var left int
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT count(*) FROM auth.signing_keys`).Scan(&left))
	require.Equal(t, 1, left)
}

func TestExpiredTokens(t *testing.T) {
	t.Parallel()
	keys := newWorld(t).replica(t)
	require.NoError(t, keys.Rotate(t.Context()))
	token, err := keys.Sign(t.Context(), admin, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	require.NoError(t, err)
	_, err = authn.NewVerifier(keys).Verify(t.Context(), token)
	require.True(t, fault.Is(err, "TOKEN_EXPIRED"), "%v", err)
}

func TestReplicasMakeOneKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, age := range []time.Duration{0, month} { // the first key, then its successor
		w.pass(age)
		replicas, failures := make([]*Keys, 6), make([]error, 6)
		var all sync.WaitGroup
		for i := range replicas {
			replicas[i] = w.replica(t)
			all.Go(func() { failures[i] = replicas[i].Rotate(context.WithoutCancel(t.Context())) })
		}
		all.Wait()
		for i := range replicas {
			require.NoError(t, failures[i])
			require.Equal(t, ids(t, replicas[0]), ids(t, replicas[i]))
		}
	}
	require.Len(t, ids(t, w.replica(t)), 2)
}

func TestAReplicaLearnsOfKeysByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	active, idle := w.replica(t), w.replica(t)
	require.NoError(t, active.Rotate(t.Context()))
	require.Len(t, ids(t, idle), 1)
	w.pass(month)
	require.NoError(t, idle.refresh(t.Context()))
	require.NoError(t, active.Rotate(t.Context()))
	successor := ids(t, active)[0]
	w.pass(refreshUnknown)
	_, err := idle.PublicKey(t.Context(), successor)
	require.NoError(t, err)
	w.pass(lead)
	_, signer := sign(t, idle)
	require.Equal(t, successor, signer)
}

func TestUnknownKeysDoNotBecomeLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := w.replica(t)
	require.NoError(t, keys.Rotate(t.Context()))
	read := keys.read
	w.pass(refreshUnknown - 1)
	_, err := keys.PublicKey(t.Context(), "made-up")
	require.True(t, fault.Is(err, "KEY_UNKNOWN"), "%v", err)
	require.Equal(t, read, keys.read)
	w.pass(1)
	_, err = keys.PublicKey(t.Context(), "made-up")
	require.True(t, fault.Is(err, "KEY_UNKNOWN"), "%v", err)
	require.NotEqual(t, read, keys.read)
}

func TestPrivateKeysAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := w.replica(t)
	require.NoError(t, keys.Rotate(t.Context()))
	_, id := sign(t, keys)
	var stored []byte
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT private_key FROM auth.signing_keys WHERE id = $1`, id).Scan(&stored))
	require.NotContains(t, string(stored), string(keys.opened.key.Seed()))

	other := newWorld(t)
	stranger, err := New(w.pool, other.sealer, month, w.now)
	require.NoError(t, err)
	_, err = stranger.Sign(t.Context(), admin, time.Now(), time.Now().Add(time.Hour))
	require.ErrorIs(t, err, secret.ErrSealed)
	require.ErrorContains(t, err, id)
	require.ErrorIs(t, stranger.Rotate(t.Context()), secret.ErrSealed, "a start with the wrong key fails at once")
}

func TestATokenIsNotBlamedForALostDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := w.replica(t)
	require.NoError(t, keys.Rotate(t.Context()))
	token, _ := sign(t, keys)
	w.pass(refreshEvery)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := authn.NewVerifier(keys).Verify(gone, token)
	require.True(t, fault.Is(err, "KEYS_UNREACHABLE"), "%v", err)
}

func TestSignWithoutAKey(t *testing.T) {
	t.Parallel()
	_, err := newWorld(t).replica(t).Sign(t.Context(), admin, time.Now(), time.Now().Add(time.Hour))
	require.ErrorContains(t, err, "no signing key")
}

func TestNewRefusesKeysThatLiveShorterThanTheirTokens(t *testing.T) {
	t.Parallel()
	_, err := New(nil, nil, TokenLife-1, time.Now)
	require.ErrorContains(t, err, "at least 24h")
}

func TestPublicKeysMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := w.replica(t)
	require.NoError(t, keys.Rotate(t.Context()))
	_, id := sign(t, keys)
	public, err := keys.PublicKey(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, keys.opened.key.Public().(ed25519.PublicKey), public)
}
