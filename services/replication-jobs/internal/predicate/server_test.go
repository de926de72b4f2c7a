package predicate_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/predicate"
)

// columns are those of the table of values, with what each of them holds in turn; every one holds NULL as well.
var columns = []struct {
	name, definition, read string
	values                 []string
}{
	{"i", "INT", "", []string{"0", "1", "-1", "5", "2147483647", "-2147483648"}},
	{"ti", "TINYINT UNSIGNED", "", []string{"0", "1", "200", "255"}},
	{"mi", "MEDIUMINT UNSIGNED", "", []string{"0", "7", "16777215"}},
	{"bi", "BIGINT", "", []string{"0", "5", "-9223372036854775808", "9223372036854775807"}},
	{"bu", "BIGINT UNSIGNED", "", []string{"0", "5", "18446744073709551615", "9223372036854775808"}},
	{"d", "DECIMAL(20,4)", "", []string{"0", "1.5", "-1.5", "5.0000", "1234567890123456.7891"}},
	{"f", "FLOAT", "f * 1e0", []string{"0", "1.5", "-0.1", "1e10"}},
	{"db", "DOUBLE", "db * 1e0", []string{"0", "1.5", "0.1", "1e300", "-1e-300"}},
	{"vg", "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "", []string{"''", "'a'", "'A '", "'É'", "'abc'", "'ABD'", "'蓝'", "'😀'", "'a%b_c'", "'\\t'", "'ß'"}},
	{"vb", "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "", []string{"''", "'a'", "'A '", "'a '", "'É'", "'abc'", "'蓝'", "'a\\\\b'"}},
	{"vn", "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", "", []string{"'a'", "'a '", "'b'"}},
	{"vu", "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "", []string{"'a'", "'A '", "'é'"}},
	{"l", "CHAR(10) CHARACTER SET latin1 COLLATE latin1_bin", "", []string{"'a'", "'é'", "''", "'Z'"}},
	{"as_", "CHAR(10) CHARACTER SET ascii", "", []string{"'a'", "'B'", "'b '", "'[_'"}},
	{"t", "TEXT CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci", "", []string{"'abc'", "'ABC  '", "'äöü'", "''"}},
	{"bn", "BINARY(4)", "", []string{"'a'", "X'00'", "X'61000000'", "X'ff'"}},
	{"vbn", "VARBINARY(10)", "", []string{"'a'", "'a '", "X'00'", "X'ff'"}},
	{"bl", "BLOB", "", []string{"'a'", "X'80ff'"}},
	{"e", "ENUM('new','paid','it''s','') CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "CAST(e AS UNSIGNED)", []string{"'new'", "'paid'", "'it''s'", "''"}},
	{"da", "DATE", "", []string{"'2024-01-01'", "'2023-12-31'", "'0000-00-00'", "'9999-12-31'", "'2024-02-30'"}},
	{"dt", "DATETIME(3)", "", []string{"'2024-01-01 00:00:00'", "'2024-01-01 12:34:56.789'", "'0000-00-00 00:00:00'", "'2024-00-10 01:00:00'"}},
	{"ts", "TIMESTAMP", "", []string{"'2024-01-01 00:00:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"}},
}

// conditions are evaluated by the server as well.
var conditions = []string{
	"true", "false", "NULL", "1", "0.0", "i", "d", "db", "NOT i", "!(i > 0)", "i = 5", "i <> 5", "i <=> NULL", "i <=> 5", "i IS NULL", "i IS NOT NULL", "i > -1", "i >= 0 AND ti < 200",
	"i = 5 OR vg = 'a'", "i XOR ti", "(i = 5) IS TRUE", "(i = 5) IS NOT TRUE", "(i = 5) IS FALSE", "i IN (1, 5, NULL)", "i NOT IN (1, 5)", "i NOT IN (1, NULL)", "i BETWEEN 0 AND 5",
	"i NOT BETWEEN 0 AND NULL", "ti = 255", "ti > 254.5", "mi = 16777215", "bi = 9223372036854775807", "bi < -9223372036854775807", "bu = 18446744073709551615", "bu > 9223372036854775807",
	"bi = bu", "bu >= i", "d = 1.5", "d = 5", "d > 1234567890123456.789", "d BETWEEN -1.5 AND 1.50", "-d > 1", "f = 1.5", "f < 0", "f = -0.1", "f > -0.1", "f < -0.1", "db = 1e300", "i = 5e0", "d > 1e0", "db = d", "f = db", "f > i", "db = 0.1", "db > 1", "db < d",
	"i % 2 = 1", "i MOD 3 = -2", "MOD(bi, 7) = 5", "i DIV 2 = 2", "i DIV 0 IS NULL", "ti * 2 > 300", "mi + ti >= 200 OR i IS NULL", "-i = 1", "ABS(i) = 1", "bu % 2 = 1", "bu DIV 2 = 9223372036854775807", "i - 1 < 0",
	"COALESCE(i, 7) = 7", "IFNULL(i, -1) = -1", "ISNULL(d)",
	"vg = 'A'", "vg = 'e'", "vg < 'b'", "vg >= 'abc'", "vg IN ('ABC', 'x', '蓝')", "vg LIKE 'A%'", "vg LIKE '%B%'", "vg LIKE '_'", "vg LIKE 'a\\\\%b\\\\_c'", "vg LIKE 'a|%b|_c' ESCAPE '|'", "vg NOT LIKE '%a%'", "vg <> ''", "vg = ''",
	"vg > 'a'", "vg LIKE '%'", "vg LIKE ''", "vg LIKE '%c'", "vg LIKE '😀'", "vg = '😁'", "vg BETWEEN 'a' AND 'ABC'", "vg = 's'", "vg LIKE 'e'", "vg < ' '", "vg < '蓝'",
	"vb = 'A'", "vb = 'a'", "vb < 'a'", "vb LIKE 'A%'", "vb LIKE 'É'", "vb > '蓝'", "vb LIKE 'a\\\\\\\\b'", "vb LIKE '%\\\\\\\\%'", "vn = 'a'", "vn > 'a'", "vn < 'b'",
	"vu COLLATE utf8mb4_bin = 'a'", "vu COLLATE utf8mb4_general_ci = 'A'", "CHAR_LENGTH(vu) = 1", "vu IS NULL", "l = 'a'", "l < 'b'", "l > 'b'", "l LIKE '_'", "as_ = 'b'", "as_ LIKE 'B%'", "as_ > 'a'", "as_ < '_'", "as_ = '[_'",
	"t = 'abc'", "t LIKE 'ab_'", "t >= 'aou'", "CHAR_LENGTH(t) = 3", "LENGTH(t) = 6", "LENGTH(vg) > CHAR_LENGTH(vg)", "OCTET_LENGTH(bl) = 2", "LENGTH(bn) = 4", "bn = 'a'", "bn = 'a\\0\\0\\0'", "bn > 'a'", "vbn = 'a'", "vbn = 'a '",
	"vbn > 'b'", "bl LIKE 'a%'", "bl < 'b'", "LENGTH(l) = 1", "CRC32(vb) % 4 = 1", "CRC32(vbn) > 2147483647", "CRC32(l) % 2 = 0",
	"e = 'PAID'", "e IN ('new', '')", "e > 'n'", "e LIKE '%s'", "e = 'it''s'", "e <> 'new'", "LENGTH(e) = 4", "e IS NULL",
	"da = '2024-01-01'", "da < '2024-01-01'", "da > '2023-12-31 12:00:00'", "da BETWEEN '2023-01-01' AND '2024-12-31'", "'2024-01-01' <= da", "dt >= '2024-01-01'", "dt = '2024-01-01 12:34:56.789'", "dt > '2024-01-01 12:34:56.7885'",
	"da = dt", "dt IN ('2024-01-01', '2024-01-01 12:34:56.789')", "ts = '2024-01-01'", "ts < '2038-01-19 03:14:07'", "ts > da", "YEAR(da) = 2024", "MONTH(dt) = 1", "DAY(ts) = 1", "DAYOFMONTH(da) >= 30", "YEAR(dt) = 0",
	"NOT (i = 5 AND vg = 'a')", "i = 5 AND NULL", "i = 5 OR NULL", "(i > 0) + (ti > 0) = 2", "(i > 0) = (ti > 0)", "i = 1 -- one", "i /* or */ = 5", "i = TRUE", "(vg = 'a') <=> NULL",
}

// ranges are conditions that fail at the server because a number leaves the range of its type.
var ranges = []string{"i + ti >= 200", "ti - 201 > 0", "bi + 1 > 0", "bu + 1 > 0", "-bi > 0", "ABS(bi) = 1", "bi DIV -1 = 1", "i * ti > 1"}

// createRows fills the table, one column varied after the other.
func createRows(t *testing.T, server *mysqltest.Server) {
	t.Helper()
	definitions := []string{"id INT PRIMARY KEY"}
	for _, c := range columns {
		definitions = append(definitions, c.name+" "+c.definition)
	}
	server.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.m ("+strings.Join(definitions, ", ")+")")
	most := 0
	for _, c := range columns {
		most = max(most, len(c.values)+1)
	}
	var rows []string
	for i := range 4 * most {
		row := []string{fmt.Sprint(i)}
		for k, c := range columns {
			values := append([]string{"NULL"}, c.values...)
			row = append(row, values[(i+i/most*k)%len(values)])
		}
		rows = append(rows, "("+strings.Join(row, ", ")+")")
	}
	// Latin1 and the dates that do not exist need their own session settings.
	server.Exec(t, "SET NAMES utf8mb4", "SET SESSION time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'", "INSERT INTO shop.m VALUES "+strings.Join(rows, ", "))
}

// copied reads the rows as a copy does.
func copied(t *testing.T, c *mysql.Conn, table *mysql.Table) [][]predicate.Value {
	t.Helper()
	_, err := c.Execute("SET SESSION character_set_results = NULL")
	require.NoError(t, err)
	read := []string{"id"}
	for _, column := range columns {
		if column.read == "" {
			column.read = column.name
		}
		read = append(read, column.read)
	}
	var out [][]predicate.Value
	var result gomysql.Result
	require.NoError(t, c.ExecuteSelectStreaming("SELECT "+strings.Join(read, ", ")+" FROM shop.m ORDER BY id", &result, func(row []gomysql.FieldValue) error {
		values := make([]predicate.Value, len(row))
		for i := range row {
			var err error
			if values[i], err = predicate.FromField(&row[i], &table.Columns[i]); err != nil {
				return err
			}
		}
		out = append(out, values)
		return nil
	}, nil))
	return out
}

// logged reads the rows from the binary log.
func logged(t *testing.T, server *mysqltest.Server, start mysql.Position, table *mysql.Table) [][]predicate.Value {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	selection, err := filter.New(nil, nil)
	require.NoError(t, err)
	stream, err := binlog.Open(ctx, binlog.Config{Source: server.Config(), Flavor: mysql.Detect("MariaDB"), Start: start, Selection: selection, Logger: zap.NewNop()})
	require.NoError(t, err)
	defer stream.Close()
	var out [][]predicate.Value
	for transaction := range stream.Transactions() {
		for _, rows := range transaction.Changes {
			images, err := rows.Images()
			require.NoError(t, err)
			for _, image := range images {
				values := make([]predicate.Value, len(image.Values))
				for i, v := range image.Values {
					values[i], err = predicate.FromLog(v, &table.Columns[i])
					require.NoError(t, err)
				}
				out = append(out, values)
			}
		}
		if len(transaction.Changes) > 0 {
			break
		}
	}
	return out
}

func matching(t *testing.T, p *predicate.Predicate, rows [][]predicate.Value) []string {
	t.Helper()
	out := []string{}
	for id, row := range rows {
		ok, err := p.Match(pick(row, p.Columns))
		require.NoError(t, err)
		if ok {
			out = append(out, fmt.Sprint(id))
		}
	}
	return out
}

// TestAgainstTheServer asks a server for the rows that meet each condition, and finds them in what a copy and the binary log have of the rows.
func TestAgainstTheServer(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	c := server.Connect(t)
	start, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	createRows(t, server)
	table, err := mysql.LoadTable(c, "shop", "m")
	require.NoError(t, err)
	fromLog, fromCopy := logged(t, server, start, table), copied(t, server.Connect(t), table)
	require.Len(t, fromLog, len(fromCopy))
	for _, text := range conditions {
		condition, err := predicate.Parse(text)
		require.NoError(t, err, text)
		p, err := condition.Bind(table.Columns)
		require.NoError(t, err, text)
		r, err := c.Execute("SELECT id FROM shop.m WHERE (" + text + "\n) ORDER BY id")
		require.NoError(t, err, text)
		want := make([]string, r.RowNumber())
		for i := range want {
			want[i], err = r.GetString(i, 0)
			require.NoError(t, err)
		}
		if got := matching(t, p, fromCopy); strings.Join(want, ",") != strings.Join(got, ",") {
			t.Errorf("%s: the server finds %v, the copy %v", text, want, got)
		}
		if got := matching(t, p, fromLog); strings.Join(want, ",") != strings.Join(got, ",") {
			t.Errorf("%s: the server finds %v, the log %v", text, want, got)
		}
	}
	for _, text := range ranges {
		condition, err := predicate.Parse(text)
		require.NoError(t, err, text)
		p, err := condition.Bind(table.Columns)
		require.NoError(t, err, text)
		_, err = c.Execute("SELECT id FROM shop.m WHERE " + text)
		require.ErrorContains(t, err, "out of range", text)
		require.True(t, slices.ContainsFunc(fromCopy, func(row []predicate.Value) bool {
			_, err := p.Match(pick(row, p.Columns))
			return err != nil
		}), text)
	}
}

func pick(row []predicate.Value, columns []int) []predicate.Value {
	out := make([]predicate.Value, len(columns))
	for i, column := range columns {
		out[i] = row[column]
	}
	return out
}

// TestGeneralWeights asks a server for the weight of every character. With OPSDECK_WRITE_WEIGHTS it writes the file.
func TestGeneralWeights(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, 1)
	c := server.Connect(t)
	r, err := c.Execute(`SELECT HEX(WEIGHT_STRING(CONVERT(CONVERT(UNHEX(LPAD(HEX(seq), 8, '0')) USING utf32) USING utf8mb4) COLLATE utf8mb4_general_ci)), seq
		FROM mysql.seq_1_to_65535 WHERE seq NOT BETWEEN 0xD800 AND 0xDFFF ORDER BY seq`)
	require.NoError(t, err)
	var b strings.Builder
	for i := range r.RowNumber() {
		weight, err := r.GetString(i, 0)
		require.NoError(t, err)
		code, err := r.GetInt(i, 1)
		require.NoError(t, err)
		if fmt.Sprintf("%04X", code) != weight {
			fmt.Fprintf(&b, "%04X %s\n", code, weight)
		}
	}
	if os.Getenv("OPSDECK_WRITE_WEIGHTS") != "" {
		require.NoError(t, os.WriteFile("general_ci.txt", []byte(b.String()), 0o600))
	}
	known, err := os.ReadFile("general_ci.txt")
	require.NoError(t, err)
	require.Equal(t, string(known), b.String())
}
