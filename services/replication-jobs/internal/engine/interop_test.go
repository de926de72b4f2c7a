package engine_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// interopSource names a server that speaks MySQL's dialect and GTIDs, as host:port:user:password. The test drops and creates the
// schemas interop, interop_resume and interop_0900 there.
const interopSource = "OPSDECK_TEST_MYSQL"

func interopConfig(t *testing.T) mysql.Config {
	t.Helper()
	setting := os.Getenv(interopSource)
	if setting == "" {
		t.Skipf("set %s=host:port:user:password to a MySQL server with binary log and GTIDs (deploy/scripts/interop.sh starts one)", interopSource)
	}
	parts := strings.SplitN(setting, ":", 4)
	require.Len(t, parts, 4, "%s is host:port:user:password", interopSource)
	port, err := strconv.ParseUint(parts[1], 10, 16)
	require.NoError(t, err)
	return mysql.Config{Host: parts[0], Port: uint16(port), User: parts[2], Password: parts[3]}
}

// interopItems has a column of each kind that travels in its own way.
const interopItems = `CREATE TABLE interop.items (
	id BIGINT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, price DECIMAL(10,2) NOT NULL, made DATETIME(6) NOT NULL,
	seen TIMESTAMP(6) NULL, lasted TIME(6), day DATE, born YEAR, doc JSON, raw VARBINARY(40), big LONGTEXT,
	kind ENUM('new','used'), marks SET('a','b','c'), ratio DOUBLE, small TINYINT UNSIGNED, bits BIT(9)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`

// interopRow is the row of a number; the numbers spread over what the columns can hold.
func interopRow(i int) string {
	return fmt.Sprintf(`(%d, 'item %d 蓝''s', %d.%02d, '2026-01-02 03:04:05.%06d', '2026-01-02 03:04:05.%06d', '-12:34:56.%06d', '2024-02-29', %d,
		'{"n": %d, "list": [1, 2.5, null, true], "text": "ü"}', X'00FF%04X', REPEAT('x', %d), %d, %d, %d.5, %d, %d)`,
		i, i, i*7, i%100, i, i, i, 1970+i%100, i, i%65536, i%300, 1+i%2, i%8, i, i%256, i%512)
}

func interopRows(from, to int) string {
	rows := make([]string, 0, to-from)
	for i := from; i < to; i++ {
		rows = append(rows, interopRow(i))
	}
	return "INSERT INTO interop.items VALUES " + strings.Join(rows, ", ")
}

// content returns the rows of a table as text, JSON documents in one spelling.
func content(t *testing.T, c *mysql.Conn, table, columns, order string) []string {
	t.Helper()
	r, err := c.Execute("SELECT " + columns + " FROM " + table + " ORDER BY " + order)
	if mysql.Permanent(err) { // not there yet
		return []string{err.Error()}
	}
	require.NoError(t, err)
	out := make([]string, r.RowNumber())
	for i := range out {
		values := make([]string, r.ColumnNumber())
		for j := range values {
			values[j], err = r.GetString(i, j)
			require.NoError(t, err)
			var doc map[string]any
			if json.Unmarshal([]byte(values[j]), &doc) == nil {
				same, err := json.Marshal(doc)
				require.NoError(t, err)
				values[j] = string(same)
			}
		}
		out[i] = strings.Join(values, " | ")
	}
	return out
}

// interop is a source that is no MariaDB and a private target.
type interop struct {
	from           mysql.Config
	target         *mysqltest.Server
	source, reader *mysql.Conn
}

func (x *interop) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := x.source.Execute(s)
		require.NoError(t, err, s)
	}
}

func (x *interop) job(epoch int64, schema string) engine.Job {
	return engine.Job{
		ID: schema, Incarnation: "one", Epoch: epoch, Source: x.from, Target: x.target.Config(), Do: []filter.SchemaRule{{Schema: schema}}, ChunkSize: 100,
	}
}

func (x *interop) awaitSame(t *testing.T, run *running, table, columns, order string) {
	t.Helper()
	want := content(t, x.source, table, columns, order)
	require.NotEmpty(t, want)
	run.await(t, func() bool { return slices.Equal(want, content(t, x.reader, table, columns, order)) })
}

// awaitStream waits until the source has taken the request for its binary log: Dolt refuses one that comes in the middle of a commit.
func awaitStream(t *testing.T, run *running) {
	t.Helper()
	run.awaitEvent(t, "Driver: job_stage_incr")
	_, _, before := run.snapshot()
	run.await(t, func() bool {
		_, _, heard := run.snapshot()
		return heard > before+1
	})
}

const (
	itemColumns = "id, name, price, made, seen, lasted, day, born, doc, HEX(raw), big, kind, marks, ratio, small, bits+0"
	pairColumns = "a, b, v"
)

// TestInterop replicates from a server with MySQL's dialect and GTIDs.
func TestInterop(t *testing.T) {
	t.Parallel()
	x := &interop{from: interopConfig(t)}
	x.target = mysqltest.Start(t, 2)
	x.reader = x.target.Connect(t)
	var err error
	x.source, err = mysql.Connect(t.Context(), x.from)
	require.NoError(t, err)
	t.Cleanup(func() { _ = x.source.Close() })
	require.Equal(t, "mysql", x.source.Flavor.Name())
	t.Logf("source: %s", x.source.Version)
	testInteropStages(t, x)
	testInteropInterrupted(t, x)
	testInteropCollation(t, x)
}

func testInteropStages(t *testing.T, x *interop) {
	x.exec(t, "DROP DATABASE IF EXISTS interop", "CREATE DATABASE interop DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", interopItems,
		"CREATE TABLE interop.pairs (a INT, b VARCHAR(20) COLLATE utf8mb4_general_ci, v INT, PRIMARY KEY (a, b)) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
		interopRows(1, 400), "INSERT INTO interop.pairs VALUES (1, 'x', 1), (1, 'y', 2), (2, 'x', 3)")
	run := start(t, x.job(1, "interop"))
	x.awaitSame(t, run, "interop.items", itemColumns, "id")
	x.awaitSame(t, run, "interop.pairs", pairColumns, "a, b")
	awaitStream(t, run)

	x.exec(t, interopRows(400, 450), "UPDATE interop.items SET price = -price, doc = '{\"k\": {\"deep\": [1]}}', kind = NULL WHERE id % 3 = 0",
		"DELETE FROM interop.items WHERE id % 5 = 0", "UPDATE interop.pairs SET b = 'z' WHERE v = 2",
		"CREATE TABLE interop.later (id INT PRIMARY KEY, v INT) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
		"INSERT INTO interop.later VALUES (1, 1), (2, 2)", "ALTER TABLE interop.later ADD COLUMN note VARCHAR(9) COLLATE utf8mb4_general_ci",
		"UPDATE interop.later SET note = 'n'")
	x.awaitSame(t, run, "interop.items", itemColumns, "id")
	x.awaitSame(t, run, "interop.pairs", pairColumns, "a, b")
	x.awaitSame(t, run, "interop.later", "id, v, note", "id")
	run.await(t, func() bool {
		_, last, _ := run.snapshot()
		id, _, _ := strings.Cut(last.Executed.GTIDSet, ":")
		return uuid.Validate(id) == nil
	})
	run.stop(t)

	x.exec(t, "DELETE FROM interop.later WHERE id = 1", interopRows(450, 460))
	run = start(t, x.job(2, "interop"))
	x.awaitSame(t, run, "interop.items", itemColumns, "id")
	x.awaitSame(t, run, "interop.later", "id, v, note", "id")
	run.stop(t)
}

// testInteropInterrupted makes a copy whole that was interrupted while the source changed.
func testInteropInterrupted(t *testing.T, x *interop) {
	const total, size = 40000, 5000
	x.exec(t, "DROP DATABASE IF EXISTS interop_resume", "CREATE DATABASE interop_resume DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
		"CREATE TABLE interop_resume.t (id INT PRIMARY KEY, v INT)")
	for from := 0; from < total; from += size {
		rows := make([]string, size)
		for i := range rows {
			rows[i] = fmt.Sprintf("(%d, %d)", from+i, i)
		}
		x.exec(t, "INSERT INTO interop_resume.t VALUES "+strings.Join(rows, ", "))
	}
	copied := func() int {
		n, err := strconv.Atoi(content(t, x.reader, "interop_resume.t", "COUNT(*)", "1")[0])
		require.True(t, err == nil || n == 0)
		return n
	}
	job := x.job(1, "interop_resume")
	job.ChunkSize = 50
	run := start(t, job)
	run.await(t, func() bool { return copied() > total/8 })
	run.stop(t)
	require.Less(t, copied(), total, "the copy was not interrupted")
	x.exec(t, "UPDATE interop_resume.t SET v = -v WHERE id % 7 = 0", "DELETE FROM interop_resume.t WHERE id % 11 = 0", "UPDATE interop_resume.t SET id = id + 100000 WHERE id % 13 = 0")
	job.Epoch = 2
	run = start(t, job)
	run.awaitEvent(t, "continuing the copy")
	awaitStream(t, run)
	x.exec(t, "UPDATE interop_resume.t SET v = v + 1 WHERE id % 17 = 0")
	x.awaitSame(t, run, "interop_resume.t", "id, v", "id")
	run.stop(t)
}

// testInteropCollation meets the default collation of MySQL 8, which MariaDB lacks.
func testInteropCollation(t *testing.T, x *interop) {
	x.exec(t, "DROP DATABASE IF EXISTS interop_0900", "CREATE DATABASE interop_0900 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
		"CREATE TABLE interop_0900.t (name VARCHAR(40) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, v INT)", "INSERT INTO interop_0900.t VALUES ('Zoë', 1), ('adam', 2)")
	err := engine.Run(t.Context(), x.job(1, "interop_0900"), &listener{}, zap.NewNop())
	require.ErrorContains(t, err, "create interop_0900.t on the target")
	require.ErrorContains(t, err, "set skip_create_db_table")
	require.True(t, mysql.Permanent(err))

	x.target.Exec(t, "CREATE TABLE interop_0900.t (name VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci PRIMARY KEY, v INT)")
	job := x.job(2, "interop_0900")
	job.SkipCreateDBTable = true
	run := start(t, job)
	x.awaitSame(t, run, "interop_0900.t", "name, v", "v")
	awaitStream(t, run)
	x.exec(t, "UPDATE interop_0900.t SET v = 3 WHERE name = 'Zoë'")
	x.awaitSame(t, run, "interop_0900.t", "name, v", "v")
	run.stop(t)
}
