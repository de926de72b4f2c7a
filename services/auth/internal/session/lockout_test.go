package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFail(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		at     []time.Duration // of the failures
		locked bool            // after the last
	}{
		"one":                     {[]time.Duration{0}, false},
		"two":                     {[]time.Duration{0, 0}, false},
		"three at once":           {[]time.Duration{0, 0, 0}, true},
		"three within the window": {[]time.Duration{0, time.Minute, 5*time.Minute - 1}, true},
		"three over the window":   {[]time.Duration{0, time.Minute, 5 * time.Minute}, false},
		"the window slides":       {[]time.Duration{0, 4 * time.Minute, 6 * time.Minute, 8 * time.Minute}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a attempts
			var lockedNow bool
			var now time.Time
			for _, at := range c.at {
				require.False(t, lockedNow)
				now = start.Add(at)
				a, lockedNow = a.fail(now)
			}
			require.Equal(t, c.locked, lockedNow)
			require.Equal(t, c.locked, a.locked(now))
			require.False(t, a.locked(now.Add(lockDuration)))
			require.LessOrEqual(t, len(a.Failures), maxFailures-1)
			require.True(t, a.expires(now).After(now))
		})
	}
}

func TestRefusalRoundsUp(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	until := start.Add(lockDuration)
	a := attempts{LockedUntil: &until}
	for after, want := range map[time.Duration]string{0: "30", time.Second: "30", time.Minute: "29", 30*time.Minute - 1: "1"} {
		require.EqualError(t, a.refusal(account{"platform", "admin"}, start.Add(after)),
			"platform:admin is locked after too many wrong logins: try again in "+want+" min")
	}
}
