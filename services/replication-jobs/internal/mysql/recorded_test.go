package mysql_test

import (
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// connectTo opens a session with an imitation that gives the recorded answers.
func connectTo(t *testing.T, version string, answers ...answer) *mysql.Conn {
	t.Helper()
	s, cfg := imitate(t, version, gomysql.AUTH_NATIVE_PASSWORD, gomysql.AUTH_NATIVE_PASSWORD, nil)
	s.answers = answers
	c, err := mysql.Connect(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestPositionOfMySQL asks servers that know one statement for the position only, as 5.7 and 8.4 do.
func TestPositionOfMySQL(t *testing.T) {
	t.Parallel()
	const before, since = "SHOW MASTER STATUS", "SHOW BINARY LOG STATUS"
	long := uuidA + ":1-5:7:9-12,\n" + uuidB + ":1-90071992547409"
	for name, tc := range map[string]struct {
		version, statement, set, mode string
		want                          mysql.Position
	}{
		"5.7 without GTIDs":        {"5.7.44-log", before, "", "OFF", mysql.Position{File: "bin.000007", Offset: 1234}},
		"5.7":                      {"5.7.44-log", before, uuidA + ":1-5", "ON", mysql.Position{File: "bin.000007", Offset: 1234, GTIDSet: uuidA + ":1-5"}},
		"8.0, several UUIDs":       {"8.0.36", before, long, "ON", mysql.Position{File: "bin.000007", Offset: 1234, GTIDSet: uuidA + ":1-5:7:9-12," + uuidB + ":1-90071992547409"}},
		"8.0, GTIDs were on once":  {"8.0.36", before, long, "OFF", mysql.Position{File: "bin.000007", Offset: 1234}},
		"8.4":                      {"8.4.3", since, uuidA + ":1-5", "ON", mysql.Position{File: "bin.000007", Offset: 1234, GTIDSet: uuidA + ":1-5"}},
		"8.4, a tag":               {"8.4.3", since, uuidA + ":1-5:backup:1-3", "ON", mysql.Position{File: "bin.000007", Offset: 1234, GTIDSet: uuidA + ":1-5:backup:1-3"}},
		"9.1, commercial":          {"9.1.0-commercial", since, "", "OFF", mysql.Position{File: "bin.000007", Offset: 1234}},
		"8.0, GTIDs are being set": {"8.0.36", before, uuidA + ":1", "ON_PERMISSIVE", mysql.Position{File: "bin.000007", Offset: 1234}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connectTo(t, tc.version,
				answer{tc.statement, []string{"File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB", "Executed_Gtid_Set"}, [][]any{{"bin.000007", 1234, "", "", tc.set}}},
				answer{"SELECT @@GLOBAL.gtid_mode", []string{"@@GLOBAL.gtid_mode"}, [][]any{{tc.mode}}})
			got, err := c.Flavor.CurrentPosition(c)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			_, err = mysql.ParsePoint(c.Flavor, got)
			require.NoError(t, err)
			_, known, err := c.Flavor.SnapshotPosition(c)
			require.NoError(t, err)
			require.False(t, known, "MySQL does not tell the position of a snapshot")
		})
	}
}

// TestLacksOfMySQL asks a server without GTIDs whether a file and offset lie behind the end of its log.
func TestLacksOfMySQL(t *testing.T) {
	t.Parallel()
	c := connectTo(t, "5.7.44-log",
		answer{"SHOW MASTER STATUS", []string{"File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB", "Executed_Gtid_Set"}, [][]any{{"bin.000007", 1234, "", "", ""}}})
	for position, want := range map[mysql.Position]string{
		{}: "", {File: "bin.000007", Offset: 1234}: "", {File: "bin.000006", Offset: 99999}: "",
		{File: "bin.000007", Offset: 1235}: "bin.000007:1235", {File: "bin.000010", Offset: 4}: "bin.000010:4",
	} {
		got, err := c.Flavor.Lacks(c, position)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// TestMetadataOfMySQL reads information_schema as 8.0 answers: column names in upper case, a key over an expression, defaults that are
// expressions.
func TestMetadataOfMySQL(t *testing.T) {
	t.Parallel()
	column := func(name, kind, full, null, extra string, charset, collation any) []any {
		return []any{"shop", "orders", name, kind, full, null, extra, charset, collation}
	}
	c := connectTo(t, "8.0.36",
		answer{"SELECT table_schema, table_name, engine", []string{"TABLE_SCHEMA", "TABLE_NAME", "ENGINE", "TABLE_ROWS"}, [][]any{{"shop", "orders", "InnoDB", 12}}},
		answer{"SELECT table_schema, table_name, column_name", []string{
			"TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "DATA_TYPE", "COLUMN_TYPE", "IS_NULLABLE", "EXTRA", "CHARACTER_SET_NAME", "COLLATION_NAME",
		}, [][]any{
			column("id", "bigint", "bigint unsigned", "NO", "auto_increment", nil, nil),
			column("made", "datetime", "datetime(6)", "NO", "DEFAULT_GENERATED", nil, nil),
			column("name", "varchar", "varchar(40)", "NO", "", "utf8mb4", "utf8mb4_0900_ai_ci"),
			column("size", "int", "int", "YES", "STORED GENERATED", nil, nil),
			column("my_row_id", "bigint", "bigint unsigned", "NO", "auto_increment INVISIBLE", nil, nil),
		}},
		answer{"SELECT table_schema, table_name, index_name", []string{"TABLE_SCHEMA", "TABLE_NAME", "INDEX_NAME", "COLUMN_NAME", "SUB_PART"}, [][]any{
			{"shop", "orders", "PRIMARY", "id", nil}, {"shop", "orders", "by_expression", nil, nil}, {"shop", "orders", "by_name", "name", nil},
		}})
	tables, err := mysql.LoadTables(c, func(string, string) bool { return true })
	require.NoError(t, err)
	require.Equal(t, []*mysql.Table{{
		Schema: "shop", Name: "orders", Engine: "InnoDB", RowsEstimate: 12, PrimaryKey: []int{0}, UniqueKeys: [][]int{{2}},
		Columns: []mysql.Column{
			{Name: "id", DataType: "bigint", ColumnType: "bigint unsigned", Unsigned: true},
			{Name: "made", DataType: "datetime", ColumnType: "datetime(6)"},
			{Name: "name", DataType: "varchar", ColumnType: "varchar(40)", Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"},
			{Name: "size", DataType: "int", ColumnType: "int", Nullable: true, Generated: true},
			{Name: "my_row_id", DataType: "bigint", ColumnType: "bigint unsigned", Unsigned: true, Invisible: true},
		},
	}}, tables)
}

// TestGTIDSetsOfMySQL goes from a set to the next one, as the applier does.
func TestGTIDSetsOfMySQL(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ set, add, want string }{
		"the first":          {"", uuidA + ":1", uuidA + ":1"},
		"the next":           {uuidA + ":1-5", uuidA + ":6", uuidA + ":1-6"},
		"one in a gap":       {uuidA + ":1-5:7-9", uuidA + ":6", uuidA + ":1-9"},
		"one behind a gap":   {uuidA + ":1-5", uuidA + ":8", uuidA + ":1-5:8"},
		"another source":     {uuidA + ":1-5", uuidB + ":1", uuidA + ":1-5," + uuidB + ":1"},
		"one of a tag":       {uuidA + ":1-5", uuidA + ":backup:1", uuidA + ":1-5:backup:1"},
		"the next of a tag":  {uuidA + ":1-5:backup:1", uuidA + ":backup:2", uuidA + ":1-5:backup:1-2"},
		"upper case, spaces": {"3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5, " + uuidB + ":3", uuidB + ":4", uuidA + ":1-5," + uuidB + ":3-4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flavor := mysql.Detect("8.4.3")
			set, err := flavor.ParseGTIDSet(tc.set)
			require.NoError(t, err)
			before := set.Clone()
			require.NoError(t, set.Update(tc.add))
			require.Equal(t, tc.want, set.String())
			next, err := flavor.ParseGTIDSet(tc.add)
			require.NoError(t, err)
			require.True(t, set.Contain(next))
			require.False(t, before.Contain(next))
		})
	}
	for _, bad := range []string{uuidA, uuidA + ":x-5", uuidA + ":5-1", "not-a-uuid:1-5", uuidA + ":backup"} {
		_, err := mysql.Detect("8.4.3").ParseGTIDSet(bad)
		require.ErrorContains(t, err, "is not a MySQL GTID set", bad)
	}
}
