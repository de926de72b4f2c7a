package pace_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/pace"
)

func TestWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows, bytes int64 // the pace
		add         [2]int64
		times       int
		want        time.Duration // after what had been saved up has passed
	}{
		"unbounded":     {0, 0, [2]int64{1e9, 1e12}, 10, 0},
		"rows":          {1000, 0, [2]int64{500, 1e12}, 10, 4900 * time.Millisecond},
		"bytes":         {0, 1 << 20, [2]int64{1e9, 1 << 20}, 3, 2900 * time.Millisecond},
		"the slower":    {1000, 1000, [2]int64{100, 1000}, 2, 1900 * time.Millisecond},
		"one at a time": {1, 0, [2]int64{1, 0}, 5, 4 * time.Second},
		"one large":     {10, 0, [2]int64{600, 0}, 1, 59900 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, begun := pace.New(c.rows, c.bytes), time.Now()
				for range c.times {
					require.NoError(t, p.Wait(t.Context(), c.add[0], c.add[1]))
				}
				require.InDelta(t, c.want, time.Since(begun), float64(time.Millisecond))
			})
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	require.ErrorIs(t, pace.New(1, 0).Wait(ctx, 100, 0), enough)
}

func TestFills(t *testing.T) {
	t.Parallel()
	require.False(t, pace.New(0, 0).Fills(1e9, 1e9))
	require.False(t, pace.New(10, 100).Fills(9, 99))
	require.True(t, pace.New(10, 100).Fills(10, 0))
	require.True(t, pace.New(0, 100).Fills(0, 100))
}
