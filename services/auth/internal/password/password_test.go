package password

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cheap is the cost of the tests' hashes.
var cheap = Params{Memory: 64, Passes: 1, Threads: 1}

func hasher(t testing.TB, p Params, parallel int, wait time.Duration) *Hasher {
	t.Helper()
	h, err := New(p, parallel, wait)
	require.NoError(t, err)
	return h
}

func TestHashAndCheck(t *testing.T) {
	t.Parallel()
	h := hasher(t, cheap, 1, time.Second)
	for _, password := range []string{"secret", "", "päss wörd", strings.Repeat("x", 4096), "a\x00b"} {
		stored, err := h.Hash(t.Context(), password)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(stored, "$argon2id$v=19$m=64,t=1,p=1$"), stored)

		ok, stale, err := h.Check(t.Context(), password, stored)
		require.NoError(t, err)
		require.True(t, ok)
		require.False(t, stale)

		ok, _, err = h.Check(t.Context(), password+"x", stored)
		require.NoError(t, err)
		require.False(t, ok)
	}
}

func TestTwoHashesOfAPasswordDiffer(t *testing.T) {
	t.Parallel()
	h := hasher(t, cheap, 1, time.Second)
	first, err := h.Hash(t.Context(), "secret")
	require.NoError(t, err)
	second, err := h.Hash(t.Context(), "secret")
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}

func TestAHashOfAnotherCostIsStale(t *testing.T) {
	t.Parallel()
	stored, err := hasher(t, cheap, 1, time.Second).Hash(t.Context(), "secret")
	require.NoError(t, err)
	ok, stale, err := hasher(t, Params{Memory: 128, Passes: 1, Threads: 1}, 1, time.Second).Check(t.Context(), "secret", stored)
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, stale)
}

func TestOverBudgetWaitsThenRefuses(t *testing.T) {
	t.Parallel()
	h := hasher(t, cheap, 1, 10*time.Millisecond)
	require.NoError(t, h.budget.Acquire(t.Context(), 1))
	_, err := h.Hash(t.Context(), "secret")
	require.True(t, fault.Is(err, "RATE_LIMITED"), "%v", err)

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = h.Hash(gone, "secret")
	require.ErrorIs(t, err, context.Canceled)

	h.budget.Release(1)
	_, err = h.Hash(t.Context(), "secret")
	require.NoError(t, err)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		params   Params
		parallel int
	}{
		"no memory":       {Params{Memory: 7, Passes: 1, Threads: 1}, 1},
		"all memory":      {Params{Memory: maxMemory + 1, Passes: 1, Threads: 1}, 1},
		"no passes":       {Params{Memory: 64, Threads: 1}, 1},
		"too many passes": {Params{Memory: 64, Passes: maxPasses + 1, Threads: 1}, 1},
		"no threads":      {Params{Memory: 64, Passes: 1}, 1},
		"no budget":       {cheap, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(c.params, c.parallel, time.Second)
			require.Error(t, err)
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const good = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5"
	e, err := parse(good)
	require.NoError(t, err)
	require.Equal(t, Params{Memory: 19456, Passes: 2, Threads: 1}, e.params)
	require.Equal(t, "saltsaltsaltsalt", string(e.salt))
	require.Equal(t, "keykeykeykeykeykey", string(e.key))

	for name, text := range map[string]string{
		"empty":               "",
		"plain text":          "secret",
		"bcrypt":              "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"another variant":     strings.Replace(good, "argon2id", "argon2i", 1),
		"another version":     strings.Replace(good, "v=19", "v=16", 1),
		"huge memory":         strings.Replace(good, "m=19456", "m=4294967295", 1),
		"memory overflows":    strings.Replace(good, "m=19456", "m=4294967296", 1),
		"no threads":          strings.Replace(good, "p=1", "p=0", 1),
		"leading zero":        strings.Replace(good, "t=2", "t=02", 1),
		"more in the numbers": strings.Replace(good, "p=1", "p=1x", 1),
		"padded salt":         strings.Replace(good, "c2FsdA$", "c2FsdA==$", 1),
		"short salt":          strings.Replace(good, "c2FsdHNhbHRzYWx0c2FsdA", "c2FsdA", 1),
		"short key":           strings.Replace(good, "a2V5a2V5a2V5a2V5a2V5a2V5", "a2V5", 1),
		"no key":              strings.TrimSuffix(good, "$a2V5a2V5a2V5a2V5a2V5a2V5"),
		"more parts":          good + "$x",
		"line end":            good + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(text)
			require.Error(t, err)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parse(text)
		if err != nil {
			return
		}
		require.Equal(t, text, e.String())
		require.NoError(t, e.params.Validate())
	})
}
