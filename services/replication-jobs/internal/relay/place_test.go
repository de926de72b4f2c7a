package relay

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

func (l *Log) requireHeld(t *testing.T, want bool, at mysql.Position) {
	t.Helper()
	held, err := l.Holds(at)
	require.NoError(t, err)
	require.Equal(t, want, held, "%s", at)
}

// TestOtherHistory: a position whose numbers lie within those of a log is of no use to it where another server has given them.
func TestOtherHistory(t *testing.T) {
	t.Parallel()
	l := written(t, t.TempDir(), 30, 100<<10)
	for _, other := range []mysql.Position{
		{File: "bin.000001", Offset: 11000, GTIDSet: "0-2-10"},
		{File: "bin.000007", Offset: 4, GTIDSet: "0-1-10,1-1-1"},
		{GTIDSet: "3b7cfa4e-0000-0000-0000-000000000001:1-10"},
		{File: "bin.000001", Offset: 11001},
		{},
	} {
		l.requireHeld(t, false, other)
	}
	// Files mean nothing beside GTIDs, and are all there is without.
	l.requireHeld(t, true, mysql.Position{File: "other.000007", Offset: 4, GTIDSet: "0-1-10"})
	l.requireHeld(t, true, mysql.Position{File: "bin.000001", Offset: 11000})
	require.NoError(t, l.Close())
}

// TestAbandon: who reads a log that nothing more comes to hears why, once all is read.
func TestAbandon(t *testing.T) {
	t.Parallel()
	l := written(t, t.TempDir(), 30, 100<<10)
	away := errors.New("the source is away")
	l.Abandon(away)
	require.Equal(t, away.Error(), l.Stats().Waits)
	numbers, err := l.read(t.Context(), position(0), 31)
	require.ErrorIs(t, err, away)
	require.Equal(t, upTo(30), numbers)
	require.NoError(t, l.Close())
}

func TestNote(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	var noted map[string]int
	require.Error(t, l.Noted(&noted))
	require.NoError(t, l.Note(map[string]int{"a": 1}))
	before, err := os.Stat(l.dir + "/" + noteFile)
	require.NoError(t, err)
	require.NoError(t, l.Note(map[string]int{"a": 1}))
	after, err := os.Stat(l.dir + "/" + noteFile)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "what is known is not written again")
	require.NoError(t, l.Note(map[string]int{"a": 2}))
	require.NoError(t, l.Close())
	l = open(t, dir)
	require.NoError(t, l.Noted(&noted))
	require.Equal(t, map[string]int{"a": 2}, noted)
	require.NoError(t, l.Close())
}
