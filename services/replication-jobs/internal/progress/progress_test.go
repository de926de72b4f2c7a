package progress_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProgress(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	require.NoError(t, progress.Forget(server.Connect(t), "any", "x"), "a target without progress tables")
	require.NoError(t, progress.Ensure(server.Connect(t)))
	for name, test := range map[string]func(*testing.T, *mysqltest.Server){
		"claims":       testClaims,
		"positions":    testPositions,
		"definitions":  testDefinitions,
		"chunks":       testChunks,
		"incarnations": testIncarnations,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
}

func claim(t *testing.T, c *mysql.Conn, job string, epoch int64) (*progress.Recorder, progress.State) {
	t.Helper()
	state, err := progress.Claim(c, job, "one", epoch)
	require.NoError(t, err)
	r, err := progress.NewRecorder(c, job, epoch)
	require.NoError(t, err)
	return r, state
}

func testClaims(t *testing.T, server *mysqltest.Server) {
	old, state := claim(t, server.Connect(t), "claims", 3)
	require.Equal(t, progress.State{Stage: progress.StageNew}, state)
	require.NoError(t, old.Fence())
	again, _ := claim(t, server.Connect(t), "claims", 3)
	require.NoError(t, again.Fence(), "a run may claim twice")
	c := server.Connect(t)
	later, _ := claim(t, c, "claims", 4)
	require.NoError(t, later.Fence())
	require.ErrorIs(t, old.Fence(), progress.ErrFenced)
	require.NoError(t, progress.CheckOwner(c, "claims", 4))
	require.ErrorIs(t, progress.CheckOwner(c, "claims", 3), progress.ErrFenced)
	require.ErrorIs(t, old.SavePosition(progress.Applied{}), progress.ErrFenced)
	require.ErrorIs(t, old.BeginCopy(), progress.ErrFenced)
	require.ErrorIs(t, old.AddChunk("s", "t", 0, nil, 1), progress.ErrFenced)
	_, err := progress.Claim(c, "claims", "one", 3)
	require.ErrorIs(t, err, progress.ErrFenced)
}

// A claim waits for the commit of the owner, and sees it.
func testPositions(t *testing.T, server *mysqltest.Server) {
	owner := server.Connect(t)
	r, _ := claim(t, owner, "positions", 1)
	at := mysql.Position{File: "bin.000007", Offset: 1 << 31, GTIDSet: "0-1-9,3-1-7"}
	require.NoError(t, owner.Begin())
	require.NoError(t, r.SavePosition(progress.Applied{Position: at, SourceTime: time.Unix(5, 0), Transactions: 2, Rows: 5}))
	require.NoError(t, r.SavePosition(progress.Applied{Position: at, SourceTime: time.Unix(5, 0)}), "an unchanged position is not a fence")
	claimed := make(chan progress.State, 1)
	next := server.Connect(t)
	go func() {
		state, err := progress.Claim(next, "positions", "one", 2)
		if err == nil {
			claimed <- state
		}
		close(claimed)
	}()
	require.Never(t, func() bool { return len(claimed) > 0 }, 50*time.Millisecond, 5*time.Millisecond)
	require.NoError(t, owner.Commit())
	require.Equal(t, progress.State{Stage: progress.StageStream, Position: at, Transactions: 2, Rows: 5}, <-claimed)
}

func testDefinitions(t *testing.T, server *mysqltest.Server) {
	r, _ := claim(t, server.Connect(t), "ddl", 1)
	d := progress.DDL{GTID: "0-1-5", Position: mysql.Position{File: "bin.1", Offset: 9}, Statement: "DROP TABLE a", Before: "then"}
	begin := func(d progress.DDL) (string, bool) {
		before, repeated, err := r.BeginDDL(d)
		require.NoError(t, err)
		return before, repeated
	}
	_, repeated := begin(d)
	require.False(t, repeated)
	d.Before = "now"
	before, repeated := begin(d)
	require.True(t, repeated)
	require.Equal(t, "then", before)
	require.NoError(t, r.EndDDL(progress.Applied{Position: mysql.Position{GTIDSet: "0-1-5"}}, mapping.Change{}))
	_, repeated = begin(d)
	require.False(t, repeated, "the end forgets the statement")
	require.NoError(t, r.CancelDDL())
	_, repeated = begin(d)
	require.False(t, repeated, "a refused statement is forgotten")
	other := d
	other.GTID = "0-1-6"
	_, repeated = begin(other)
	require.False(t, repeated)

	claim(t, server.Connect(t), "ddl", 2)
	_, _, err := r.BeginDDL(d)
	require.ErrorIs(t, err, progress.ErrFenced)
}

func testChunks(t *testing.T, server *mysqltest.Server) {
	c := server.Connect(t)
	r, _ := claim(t, c, "chunks", 1)
	for i, set := range []string{"0-1-10", "0-1-20"} {
		require.NoError(t, r.AddSnapshot(i, mysql.Position{File: "bin.000001", Offset: uint32(i), GTIDSet: set}))
	}
	require.NoError(t, r.PutTable(&progress.Table{Schema: "s", Name: "half", Fingerprint: "f", First: 0, Last: 1, RowsEstimate: 99}))
	require.NoError(t, r.PutTable(&progress.Table{Schema: "s", Name: "whole", First: 1, Last: 1, RowsCopied: 7, Done: true}))
	for _, chunk := range []int64{0, 1, 3} { // 2 was under way
		require.NoError(t, r.AddChunk("s", "half", chunk, []byte{byte(chunk), 0, 255}, 10))
	}
	state, err := progress.LoadCopy(c, "chunks")
	require.NoError(t, err)
	half := state.Table("s", "half")
	require.Equal(t, int64(2), half.Chunks)
	require.Equal(t, int64(20), half.RowsCopied)
	require.Equal(t, []byte{1, 0, 255}, half.LastKey)
	require.Equal(t, int64(27), state.Rows())
	require.Equal(t, "0-1-10", state.Start().GTIDSet)
	require.NoError(t, r.DropTable("s", "half"))
	state, err = progress.LoadCopy(c, "chunks")
	require.NoError(t, err)
	require.Nil(t, state.Table("s", "half"))
	require.Equal(t, "0-1-20", state.Start().GTIDSet)
}

func testIncarnations(t *testing.T, server *mysqltest.Server) {
	c := server.Connect(t)
	r, _ := claim(t, c, "twice", 1)
	require.NoError(t, r.AddSnapshot(0, mysql.Position{GTIDSet: "0-1-1"}))
	require.NoError(t, r.SavePosition(progress.Applied{Position: mysql.Position{GTIDSet: "0-1-1"}}))
	state, err := progress.Claim(c, "twice", "two", 2)
	require.NoError(t, err)
	require.Equal(t, progress.State{Stage: progress.StageNew}, state)
	copied, err := progress.LoadCopy(c, "twice")
	require.NoError(t, err)
	require.Empty(t, copied.Snapshots)
	require.ErrorIs(t, r.Fence(), progress.ErrFenced)

	require.NoError(t, progress.Forget(c, "twice", "one"), "the old job is gone already")
	_, err = progress.Claim(c, "twice", "two", 1)
	require.ErrorIs(t, err, progress.ErrFenced, "forgetting another incarnation removes nothing")
	require.NoError(t, progress.Forget(c, "twice", "two"))
	_, err = progress.Claim(c, "twice", "three", 1)
	require.NoError(t, err)
}

func TestTablesOfEarlierReleases(t *testing.T) {
	t.Parallel()
	c := mysqltest.Start(t, 1).Connect(t)
	require.NoError(t, progress.Ensure(c))
	for _, table := range []string{"replication_job", "replication_chunk"} {
		_, err := c.Execute("ALTER TABLE opsdeck." + table + " DROP COLUMN origin")
		require.NoError(t, err)
	}
	require.NoError(t, progress.Ensure(c))
	claim(t, c, "later", 1)
	require.NoError(t, progress.SetOrigin(c, "later", 1, "there"))
	require.ErrorIs(t, progress.SetOrigin(c, "later", 2, "there"), progress.ErrFenced)
}

func TestEnsureWritesNothingWhereAllIsThere(t *testing.T) {
	t.Parallel()
	c := mysqltest.Start(t, 1).Connect(t)
	require.NoError(t, progress.Ensure(c))
	before, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	require.NoError(t, progress.Ensure(c))
	after, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	require.Equal(t, before, after)

	_, err = c.Execute("DROP TABLE opsdeck.replication_ended, opsdeck.replication_server")
	require.NoError(t, err)
	require.NoError(t, progress.Ensure(c), "what is missing comes back")
	for _, table := range []string{"replication_ended", "replication_server"} {
		_, err := c.Execute("SELECT * FROM opsdeck." + table)
		require.NoError(t, err)
	}
}
