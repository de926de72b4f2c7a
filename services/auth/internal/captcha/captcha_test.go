package captcha

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/pgtest"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func captchas(t *testing.T, demo string, now *time.Time) *Captchas {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, secret.Generate(path))
	sealer, err := secret.Load(path)
	require.NoError(t, err)
	return New(pgtest.New(t, "auth", migrations.FS), sealer, demo, func() time.Time { return *now })
}

// answer reads what only the service can know.
func (c *Captchas) answer(t *testing.T, id string) string {
	t.Helper()
	var sealed []byte
	require.NoError(t, c.pool.QueryRow(t.Context(), `SELECT answer FROM auth.captchas WHERE id = $1`, id).Scan(&sealed))
	text, err := c.sealer.Open(sealed, sealedFor(id))
	require.NoError(t, err)
	return string(text)
}

func TestCreate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := captchas(t, "", &now)
	for kind, want := range map[string]struct {
		prefix string
		digits string
	}{
		"":        {"data:image/png;base64,", `^[0-9]{5}$`},
		"default": {"data:image/png;base64,", `^[0-9]{5}$`},
		"braille": {"data:image/png;base64,", `^[0-9]{5}$`},
		"audio":   {"data:audio/wav;base64,", `^[0-9]{6}$`},
	} {
		t.Run(kind, func(t *testing.T) {
			id, uri, err := c.Create(t.Context(), kind)
			require.NoError(t, err)
			require.Len(t, id, 20)
			require.Regexp(t, want.digits, c.answer(t, id))
			text, ok := strings.CutPrefix(uri, want.prefix)
			require.True(t, ok, "%.40s", uri)
			content, err := base64.StdEncoding.DecodeString(text)
			require.NoError(t, err)
			if kind == Audio {
				require.True(t, bytes.HasPrefix(content, []byte("RIFF")))
				return
			}
			picture, err := png.Decode(bytes.NewReader(content))
			require.NoError(t, err)
			require.Equal(t, "(0,0)-(240,80)", picture.Bounds().String())
		})
	}
}

func TestTake(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := captchas(t, "", &now)
	create := func() (id, answer string) {
		id, _, err := c.Create(t.Context(), "")
		require.NoError(t, err)
		return id, c.answer(t, id)
	}
	take := func(id, answer string) bool {
		right, err := c.Take(t.Context(), id, answer)
		require.NoError(t, err)
		return right
	}
	id, answer := create()
	require.True(t, take(id, answer))
	require.False(t, take(id, answer), "used up by the right answer")

	id, answer = create()
	require.False(t, take(id, answer+"0"))
	require.False(t, take(id, answer), "used up by a wrong answer")

	require.False(t, take("no-such-captcha", "12345"))

	id, answer = create()
	now = now.Add(Lifetime)
	require.False(t, take(id, answer), "expired")
	require.NoError(t, c.DeleteExpired(t.Context()))
	var left int
	require.NoError(t, c.pool.QueryRow(t.Context(), `SELECT count(*) FROM auth.captchas`).Scan(&left))
	require.Zero(t, left)
}

func TestTakeOnceUnderConcurrency(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := captchas(t, "", &now)
	id, _, err := c.Create(t.Context(), "")
	require.NoError(t, err)
	answer := c.answer(t, id)
	var winners atomic.Int32
	var all sync.WaitGroup
	failures := make([]error, 16)
	for i := range failures {
		all.Go(func() {
			right, err := c.Take(t.Context(), id, answer)
			failures[i] = err
			if right {
				winners.Add(1)
			}
		})
	}
	all.Wait()
	for _, err := range failures {
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, winners.Load())
}

func TestDemo(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := captchas(t, "00042", &now)
	for _, kind := range []string{"default", Audio} {
		id, _, err := c.Create(t.Context(), kind)
		require.NoError(t, err)
		right, err := c.Take(t.Context(), id, "00042")
		require.NoError(t, err)
		require.True(t, right)
	}
}

func TestDigitsKeepLeadingZeros(t *testing.T) {
	t.Parallel()
	leading := false
	for range 1000 { // without a leading zero once in 10^45 runs
		text := digits(imageDigits)
		require.Len(t, text, imageDigits)
		leading = leading || text[0] == '0'
	}
	require.True(t, leading)
}
