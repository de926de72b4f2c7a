package progress_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func TestHandover(t *testing.T) {
	t.Parallel()
	copied := &progress.Copy{
		Snapshots: []mysql.Position{{GTIDSet: "0-1-10"}, {GTIDSet: "0-1-20"}, {GTIDSet: "0-1-30"}},
		Tables: []*progress.Table{
			{Schema: "s", Name: "early", First: 0, Last: 0},
			{Schema: "s", Name: "mixed", First: 0, Last: 2},
			{Schema: "s", Name: "late", First: 2, Last: 2},
		},
	}
	h, err := copied.Handover(mysql.Detect("MariaDB"))
	require.NoError(t, err)
	for _, tc := range []struct {
		gtid, table string
		want        progress.Mode
	}{
		{"0-1-10", "early", progress.Skip},
		{"0-1-11", "early", progress.Strict},
		{"0-1-10", "mixed", progress.Skip},
		{"0-1-11", "mixed", progress.Idempotent},
		{"0-2-30", "mixed", progress.Idempotent},
		{"0-1-31", "mixed", progress.Strict},
		{"0-1-30", "late", progress.Skip},
		{"0-1-31", "late", progress.Strict},
		{"0-1-30", "gone or new", progress.Skip},
		{"0-1-31", "gone or new", progress.Strict},
		{"5-1-1", "mixed", progress.Strict},
	} {
		at, err := h.Point(tc.gtid, mysql.Position{})
		require.NoError(t, err)
		require.Equal(t, tc.want, h.Mode("s", tc.table, at), "%s of %s", tc.gtid, tc.table)
	}
	inside, err := h.Point("0-1-30", mysql.Position{})
	require.NoError(t, err)
	behind, err := h.Point("0-1-31", mysql.Position{})
	require.NoError(t, err)
	require.Equal(t, progress.Skip, h.Schema(inside))
	require.Equal(t, progress.Strict, h.Schema(behind))
	require.False(t, h.Passed(inside))
	require.True(t, h.Passed(behind))
}

func TestHandoverWithoutCopy(t *testing.T) {
	t.Parallel()
	h, err := (&progress.Copy{}).Handover(mysql.Detect("8.0.36"))
	require.NoError(t, err)
	require.Nil(t, h)
	require.Equal(t, progress.Strict, h.Mode("s", "t", mysql.Point{}))
	require.Equal(t, progress.Strict, h.Schema(mysql.Point{}))
	require.True(t, h.Passed(mysql.Point{}))
}
