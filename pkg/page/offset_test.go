package page_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/page"
)

var numbered = page.Limits{Default: 10, Max: 100}

func TestOffset(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		page, size int32
		offset     int64
		limit      int
		wrong      string
	}{
		{0, 0, 0, 10, ""},
		{1, 0, 0, 10, ""},
		{2, 0, 10, 10, ""},
		{3, 25, 50, 25, ""},
		{1, 100, 0, 100, ""},
		{math.MaxInt32, 100, (math.MaxInt32 - 1) * 100, 100, ""},
		{-1, 0, 0, 0, "page: must be at least 1, got -1"},
		{0, -5, 0, 0, "page_size: must be from 1 to 100, got -5"},
		{1, 101, 0, 0, "page_size: must be from 1 to 100, got 101"},
	} {
		offset, limit, err := numbered.Offset(test.page, test.size)
		if test.wrong != "" {
			require.EqualError(t, err, test.wrong)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, test.offset, offset)
		require.Equal(t, test.limit, limit)
	}
}

// FuzzOffset proves that no page reaches SQL with rows to skip or return that are negative or beyond the limit.
func FuzzOffset(f *testing.F) {
	f.Add(int32(0), int32(0))
	f.Add(int32(math.MaxInt32), int32(100))
	f.Add(int32(math.MinInt32), int32(math.MinInt32))
	f.Fuzz(func(t *testing.T, number, size int32) {
		offset, limit, err := numbered.Offset(number, size)
		if err != nil {
			require.True(t, number < 0 || size < 0 || size > 100)
			return
		}
		require.GreaterOrEqual(t, offset, int64(0))
		require.True(t, limit >= 1 && limit <= 100)
		require.Zero(t, offset%int64(limit))
	})
}
