package mysql_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServer(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	t.Run("metadata", func(t *testing.T) {
		t.Parallel()
		testMetadata(t, server)
	})
	t.Run("connect errors", func(t *testing.T) {
		t.Parallel()
		testConnectErrors(t, server)
	})
	t.Run("literals", func(t *testing.T) {
		t.Parallel()
		testLiterals(t, server)
	})
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		testLoad(t, server)
	})
	t.Run("a session ends with its context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		c, err := mysql.Connect(ctx, server.Config())
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() {
			_, err := c.Execute("SELECT SLEEP(60)")
			done <- err
		}()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// TestPosition has a server of its own, whose binary logs it purges.
func TestPosition(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	c := server.Connect(t)
	missing := func(p mysql.Position) string {
		t.Helper()
		reason, err := c.Flavor.Missing(c, p)
		require.NoError(t, err)
		return reason
	}
	require.Empty(t, missing(mysql.Position{}), "from the beginning, which is there")
	server.Exec(t, "CREATE DATABASE a")
	first, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	require.Equal(t, "0-1-1", first.GTIDSet)
	require.NotEmpty(t, first.File)
	require.NotZero(t, first.Offset)
	server.Exec(t, "CREATE DATABASE b", "FLUSH BINARY LOGS", "CREATE DATABASE c")
	require.Empty(t, missing(first))
	last, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the server keeps a log until InnoDB has passed it
		server.Exec(t, "PURGE BINARY LOGS TO '"+last.File+"'")
		return missing(first) != ""
	}, time.Minute, 10*time.Millisecond)
	require.Empty(t, missing(last))
	require.Contains(t, missing(first), "purged its binary logs up to GTID 0-1-2")
	require.Contains(t, missing(mysql.Position{File: first.File, Offset: first.Offset}), "is purged")
	require.Empty(t, missing(mysql.Position{File: last.File, Offset: 4}))

	lacks := func(p mysql.Position) string {
		t.Helper()
		lacking, err := c.Flavor.Lacks(c, p)
		require.NoError(t, err)
		return lacking
	}
	for position, want := range map[string]string{
		"": "", first.GTIDSet: "", last.GTIDSet: "", "0-1-99": "0-1-99", "0-7-1": "0-7-1", "5-1-1": "5-1-1", "0-1-3,5-1-1": "", "0-1-99,5-1-1": "0-1-99",
	} {
		require.Equal(t, want, lacks(mysql.Position{GTIDSet: position}), position)
	}
	require.Empty(t, lacks(mysql.Position{File: last.File, Offset: last.Offset}))
	require.Equal(t, "bin.000099:4", lacks(mysql.Position{File: "bin.000099", Offset: 4}))
	server.Exec(t, "SET GLOBAL gtid_slave_pos = '0-1-3,5-9-4'")
	require.Empty(t, lacks(mysql.Position{GTIDSet: "5-9-4"}), "it was set up from a backup of a server that had that")
	require.Equal(t, "5-9-5", lacks(mysql.Position{GTIDSet: "5-9-5"}))

	require.NoError(t, c.Begin())
	_, err = c.Execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
	require.NoError(t, err)
	server.Exec(t, "CREATE DATABASE d")
	seen, known, err := c.Flavor.SnapshotPosition(c)
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, last.GTIDSet, seen.GTIDSet)
	require.NoError(t, c.Rollback())
}

func testMetadata(t *testing.T, server *mysqltest.Server) {
	server.Exec(t, "CREATE DATABASE meta", `CREATE TABLE meta.t (
		id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
		name VARCHAR(20) CHARACTER SET gbk NOT NULL,
		kind ENUM('signed','un unsigned') NOT NULL,
		doubled INT GENERATED ALWAYS AS (CHAR_LENGTH(name) * 2) STORED,
		hidden INT INVISIBLE DEFAULT 3,
		note TEXT,
		PRIMARY KEY (name, id), UNIQUE KEY u (id), UNIQUE KEY prefixed (name(3)))`,
		"CREATE TABLE meta.keyless (a INT)", "CREATE TABLE meta.nullable_key (a INT, UNIQUE (a))",
		"CREATE VIEW meta.v AS SELECT 1")
	c := server.Connect(t)
	got, err := mysql.LoadTable(c, "meta", "t")
	require.NoError(t, err)
	require.Equal(t, "InnoDB", got.Engine)
	require.Equal(t, []int{1, 0}, got.PrimaryKey)
	require.Equal(t, [][]int{{0}}, got.UniqueKeys)
	require.Len(t, got.Columns, 6)
	require.Equal(t, mysql.Column{Name: "id", DataType: "bigint", ColumnType: "bigint(20) unsigned", Unsigned: true}, got.Columns[0])
	require.Equal(t, "gbk", got.Columns[1].Charset)
	require.False(t, got.Columns[2].Unsigned)
	require.True(t, got.Columns[3].Generated)
	require.True(t, got.Columns[4].Invisible)
	require.True(t, got.Columns[5].Nullable)

	tables, err := mysql.LoadTables(c, func(schema, _ string) bool { return schema == "meta" })
	require.NoError(t, err)
	var names []string
	for _, table := range tables {
		names = append(names, table.String())
	}
	require.Equal(t, []string{"meta.keyless", "meta.nullable_key", "meta.t"}, names)
	require.Nil(t, tables[0].Key())
	require.Nil(t, tables[1].Key())
	require.Equal(t, []int{1, 0}, tables[2].Key())

	_, err = mysql.LoadTable(c, "meta", "absent")
	require.ErrorContains(t, err, "meta.absent does not exist")
	require.ErrorIs(t, err, mysql.ErrNoTable)
	require.True(t, mysql.Permanent(err))
}

func testConnectErrors(t *testing.T, server *mysqltest.Server) {
	bad := server.Config()
	bad.Password = "very-secret"
	_, err := mysql.Connect(t.Context(), bad)
	require.ErrorContains(t, err, `refuses user "opsdeck"`)
	require.NotContains(t, err.Error(), bad.Password)
	require.True(t, mysql.Permanent(err))

	closed := server.Config()
	closed.Port = 1
	_, err = mysql.Connect(t.Context(), closed)
	require.ErrorContains(t, err, "nothing listens on 127.0.0.1:1")
	require.False(t, mysql.Permanent(err))

	unknown := server.Config()
	unknown.Host = "no-such-host.invalid"
	_, err = mysql.Connect(t.Context(), unknown)
	require.ErrorContains(t, err, "no-such-host.invalid")

	_, err = server.Connect(t).Execute("SELECT * FROM nowhere.nothing")
	require.ErrorContains(t, mysql.Explain(err), "does not exist")

	_, err = server.Connect(t).Execute("CREATE DATABASE foreign_default DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_of_nobody")
	require.ErrorContains(t, mysql.Explain(err), "set skip_create_db_table")
	require.True(t, mysql.Permanent(err))
}

func testLiterals(t *testing.T, server *mysqltest.Server) {
	c := server.Connect(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	r, err := c.Execute("SELECT HEX(" + string(mysql.AppendBinary(nil, all)) + "), " + string(mysql.AppendString(nil, []byte("蓝'\\\x00\x1a\r\n"))))
	require.NoError(t, err)
	raw, err := r.GetString(0, 0)
	require.NoError(t, err)
	require.Len(t, raw, 512)
	text, err := r.GetString(0, 1)
	require.NoError(t, err)
	require.Equal(t, "蓝'\\\x00\x1a\r\n", text)
	r, err = c.Execute("SELECT 1 AS " + mysql.QuoteIdent("a`b"))
	require.NoError(t, err)
	require.Equal(t, "a`b", string(r.Fields[0].Name))
}
