package binlog_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func next(t *testing.T, s *binlog.Stream) *binlog.Transaction {
	t.Helper()
	select {
	case tx, open := <-s.Transactions():
		require.True(t, open, "the stream ended: %v", s.Err())
		return tx
	case <-time.After(time.Minute):
		require.Fail(t, "nothing came")
		return nil
	}
}

func open(t *testing.T, server *mysqltest.Server, start mysql.Position, queue int64) *binlog.Stream {
	t.Helper()
	s, err := tryOpen(t, server, start, queue)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func tryOpen(t *testing.T, server *mysqltest.Server, start mysql.Position, queue int64) (*binlog.Stream, error) {
	t.Helper()
	selection, err := filter.New([]filter.SchemaRule{{Schema: "shop"}}, nil)
	require.NoError(t, err)
	return binlog.Open(t.Context(), binlog.Config{
		Source: server.Config(), Flavor: mysql.Detect("10.11-MariaDB"), Start: start, Selection: selection, QueueBytes: queue, Logger: zap.NewNop(),
	})
}

func TestStream(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	c := server.Connect(t)
	server.Exec(t, "CREATE DATABASE shop", "CREATE DATABASE other", "CREATE TABLE other.t (id INT PRIMARY KEY)",
		"CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(200), b BLOB)")
	start, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	server.Exec(t, "INSERT INTO shop.t VALUES (1,'one',NULL),(2,'zwei',X'00FF')", "INSERT INTO other.t VALUES (1)", "UPDATE shop.t SET v = 'two' WHERE id = 2",
		"DELETE FROM shop.t WHERE id = 1", "ALTER TABLE shop.t ADD COLUMN w INT")

	byFile := mysql.Position{File: start.File, Offset: start.Offset}
	for _, from := range []mysql.Position{{GTIDSet: start.GTIDSet}, byFile} {
		s := open(t, server, from, 0)
		insert := next(t, s)
		require.Len(t, insert.Changes, 1)
		images, err := insert.Changes[0].Images()
		require.NoError(t, err)
		require.Equal(t, []any{int32(1), "one", nil}, images[0].Values)
		require.Equal(t, []any{int32(2), "zwei", []byte{0, 0xff}}, images[1].Values)
		require.Empty(t, next(t, s).Changes)
		update := next(t, s).Changes[0]
		require.Equal(t, binlog.Update, update.Kind)
		images, err = update.Images()
		require.NoError(t, err)
		require.Equal(t, "zwei", images[0].Values[1])
		require.Equal(t, "two", images[1].Values[1])
		require.Equal(t, binlog.Delete, next(t, s).Changes[0].Kind)
		alter := next(t, s)
		require.Equal(t, "ALTER TABLE shop.t ADD COLUMN w INT", alter.Definition.Text)
		require.True(t, alter.Definition.Session.HasSQLMode)
		end, err := c.Flavor.CurrentPosition(c)
		require.NoError(t, err)
		require.Equal(t, end.GTIDSet, alter.GTID)
		require.Equal(t, mysql.Position{File: end.File, Offset: end.Offset}, alter.Position)

		again := open(t, server, mysql.Position{File: insert.Position.File, Offset: insert.Position.Offset}, 0)
		require.Empty(t, next(t, again).Changes, "a position is the end of its transaction")
		s.Close()
		_, running := <-s.Transactions()
		require.False(t, running)
		require.NoError(t, s.Err())
	}
}

func TestSlowReaderBoundsMemory(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	c := server.Connect(t)
	server.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT)")
	start, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	server.Exec(t, "USE shop", "INSERT INTO shop.t (v) SELECT REPEAT('x', 1000) FROM seq_1_to_2000")
	for i := range 50 {
		server.Exec(t, fmt.Sprintf("UPDATE shop.t SET v = '%s' WHERE id = %d", strings.Repeat("y", 2000), i+1))
	}
	const limit = 256 << 10
	s := open(t, server, start, limit)
	rows, parts := 0, 0
	for transactions := 0; transactions < 51; {
		require.LessOrEqual(t, s.Stats().QueueBytes, int64(limit))
		tx := next(t, s)
		for _, change := range tx.Changes {
			images, err := change.Images()
			require.NoError(t, err)
			rows += len(images)
		}
		if parts++; tx.Last {
			transactions++
		}
		tx.Release()
	}
	require.Equal(t, 2000+2*50, rows)
	require.Greater(t, parts, 60, "the large one came in parts")
	require.Zero(t, s.Stats().QueueBytes)

	// A reader that has stopped does not keep the stream from closing.
	stuck := open(t, server, start, limit)
	next(t, stuck)
	stuck.Close()
}

func TestStreamEndsWithItsSource(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	c := server.Connect(t)
	server.Exec(t, "CREATE DATABASE shop")
	start, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	s := open(t, server, start, 0)
	server.Exec(t, "CREATE TABLE shop.t (id INT)")
	next(t, s)
	require.NoError(t, server.Kill())
	for range s.Transactions() {
	}
	require.Error(t, s.Err())
	require.False(t, mysql.Permanent(s.Err()), s.Err())
	_, err = tryOpen(t, server, start, 0)
	require.ErrorContains(t, err, "connection refused")
}

func TestPurgedPosition(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	c := server.Connect(t)
	server.Exec(t, "CREATE DATABASE shop")
	start, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	server.Exec(t, "CREATE TABLE shop.t (id INT)", "FLUSH BINARY LOGS", "INSERT INTO shop.t VALUES (1)", "FLUSH BINARY LOGS")
	last, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the server keeps a log until its engines have written what it holds
		server.Exec(t, "PURGE BINARY LOGS TO '"+last.File+"'")
		oldest, err := c.Execute("SHOW BINARY LOGS")
		require.NoError(t, err)
		file, err := oldest.GetString(0, 0)
		require.NoError(t, err)
		return file == last.File
	}, 30*time.Second, 10*time.Millisecond)
	s := open(t, server, start, 0)
	for range s.Transactions() {
	}
	require.ErrorContains(t, s.Err(), "purge")
	require.True(t, mysql.Permanent(s.Err()), s.Err())
}

func TestContextEndsStream(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	selection, err := filter.New(nil, nil)
	require.NoError(t, err)
	s, err := binlog.Open(ctx, binlog.Config{Source: server.Config(), Flavor: mysql.Detect("MariaDB"), Selection: selection, Logger: zap.NewNop()})
	require.NoError(t, err)
	cancel()
	for range s.Transactions() {
	}
	require.ErrorIs(t, s.Err(), context.Canceled)
	s.Close()
}

func TestWhatTheSourceShouldNotDo(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	c := server.Connect(t)
	server.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY)")
	for want, statements := range map[string][]string{
		"XA transactions":       {"XA START 'x'", "INSERT INTO shop.t VALUES (1)", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"},
		"changes as statements": {"SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO shop.t VALUES (2)", "SET SESSION binlog_format = 'ROW'"},
	} {
		start, err := c.Flavor.CurrentPosition(c)
		require.NoError(t, err)
		for _, statement := range statements {
			_, err := c.Execute(statement)
			require.NoError(t, err)
		}
		s := open(t, server, start, 0)
		for range s.Transactions() {
		}
		require.ErrorContains(t, s.Err(), want)
		require.True(t, mysql.Permanent(s.Err()), s.Err())
	}
}
