package page

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSize(t *testing.T) {
	t.Parallel()
	limits := Limits{Default: 50, Max: 1000}
	for requested, want := range map[int32]int{-1: 50, 0: 50, 1: 1, 999: 999, 1000: 1000, 1 << 30: 1000} {
		require.Equal(t, want, limits.Size(requested), "requested %d", requested)
	}
}

type jobKey struct {
	Created time.Time `json:"c"`
	ID      string    `json:"i"`
}

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	key := jobKey{time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC), "作业-1"}
	text, err := Token("jobs", key)
	require.NoError(t, err)
	got, ok, err := After[jobKey]("jobs", text)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, key, got)

	_, ok, err = After[jobKey]("jobs", "")
	require.NoError(t, err)
	require.False(t, ok)

	_, err = Token("jobs", strings.Repeat("x", maxToken))
	require.ErrorContains(t, err, "more than 2048")
}

func TestAfterRefuses(t *testing.T) {
	t.Parallel()
	other, err := Token("users", jobKey{ID: "1"})
	require.NoError(t, err)
	raw := base64.RawURLEncoding.EncodeToString
	for name, text := range map[string]string{
		"another list":  other,
		"not base64":    "!!!",
		"not JSON":      raw([]byte("nonsense")),
		"unknown field": raw([]byte(`{"s":"jobs","k":{},"x":1}`)),
		"wrong type":    raw([]byte(`{"s":"jobs","k":7}`)),
		"trailing":      raw([]byte(`{"s":"jobs","k":{}}{}`)),
		"too long":      strings.Repeat("A", maxToken+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, ok, err := After[jobKey]("jobs", text)
			require.False(t, ok)
			var f *fault.Fault
			require.ErrorAs(t, err, &f)
		})
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	self := func(n int) int { return n }
	rows, next, err := Cut("numbers", []int{1, 2, 3}, 2, self)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, rows)
	after, ok, err := After[int]("numbers", next)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, 2, after)

	rows, next, err = Cut("numbers", []int{1, 2}, 2, self)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, rows)
	require.Empty(t, next)
}

func FuzzAfter(f *testing.F) {
	text, err := Token("jobs", jobKey{ID: "1"})
	require.NoError(f, err)
	f.Add(text)
	f.Add("e30")
	f.Fuzz(func(t *testing.T, text string) {
		key, ok, err := After[jobKey]("jobs", text)
		if err != nil || !ok {
			return
		}
		again, err := Token("jobs", key)
		require.NoError(t, err)
		same, _, err := After[jobKey]("jobs", again)
		require.NoError(t, err)
		require.True(t, key.Created.Equal(same.Created) && key.ID == same.ID)
	})
}
