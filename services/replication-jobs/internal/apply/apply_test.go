package apply_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

func TestRowsOfAKeyedTable(t *testing.T) {
	t.Parallel()
	j := newJob(t, "keyed")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20), b INT)")
	j.write(t, "INSERT INTO t VALUES (1,'one',1),(2,'two',2),(3,NULL,3)", "UPDATE t SET b = b + 10 WHERE id < 3", "DELETE FROM t WHERE id = 1",
		"UPDATE t SET id = 30 WHERE id = 3", "INSERT INTO t VALUES (1,'again',1)")
	stats := j.converge(t)
	require.EqualValues(t, 8, stats.Rows)
	require.Equal(t, "1:again:1,2:two:12,30::3", value(t, j.target, "SELECT GROUP_CONCAT(CONCAT_WS(':', id, IFNULL(a,''), b) ORDER BY id) FROM keyed.t"))
}

func TestSwappedUniqueValues(t *testing.T) {
	t.Parallel()
	j := newJob(t, "swapped")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, u INT UNIQUE, v INT)")
	j.write(t, "INSERT INTO t VALUES (1,1,0),(2,2,0),(3,3,0)")
	j.converge(t)
	j.write(t, "BEGIN", "UPDATE t SET u = 9 WHERE id = 1", "UPDATE t SET u = 1 WHERE id = 2", "UPDATE t SET u = 2 WHERE id = 1",
		"DELETE FROM t WHERE id = 3", "INSERT INTO t VALUES (4,3,0)", "UPDATE t SET v = 5", "COMMIT")
	j.converge(t)
}

func TestTableWithoutKey(t *testing.T) {
	t.Parallel()
	j := newJob(t, "keyless")
	j.create(t, "CREATE TABLE t (a VARCHAR(20) COLLATE utf8mb4_general_ci, f FLOAT, d DOUBLE, x DECIMAL(10,3), n INT)")
	j.write(t, "INSERT INTO t VALUES ('a',1.1,1.1,1.1,NULL),('A',1.1,1.1,1.1,NULL),('a',1.1,1.1,1.1,NULL),('b ',0.3,0.7,-0.001,1)",
		"DELETE FROM t WHERE a = 'a' COLLATE utf8mb4_bin LIMIT 1", "UPDATE t SET n = 7 WHERE a = 'A' COLLATE utf8mb4_bin", "DELETE FROM t WHERE n = 1")
	j.converge(t)
}

// Not parallel: it counts transactions, and other tests write to the same source.
func TestLargeTransactionInParts(t *testing.T) {
	j := newJob(t, "large")
	j.queue = 64 << 10
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, filler VARCHAR(200))")
	j.write(t, "INSERT INTO t (filler) SELECT REPEAT('x', 150) FROM mysql.seq_1_to_20000")
	stats := j.converge(t)
	require.EqualValues(t, 1, stats.Transactions)
	require.EqualValues(t, 1, stats.Commits, "a transaction in parts is one transaction")
	require.EqualValues(t, 20000, stats.Rows)
}

// Not parallel: it counts transactions, and other tests write to the same source.
func TestBacklogIsMergedAndOneToOneWhenAsked(t *testing.T) {
	j := newJob(t, "merged")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	for i := range 300 {
		j.write(t, fmt.Sprintf("INSERT INTO t VALUES (%d, 0)", i), fmt.Sprintf("UPDATE t SET v = v + 1 WHERE id <= %d", i/10))
	}
	stats := j.converge(t)
	require.EqualValues(t, 600, stats.Transactions)
	require.Less(t, stats.Commits, int64(300))

	j.merge = 1
	j.write(t, "UPDATE t SET v = 1", "UPDATE t SET v = 2", "UPDATE t SET v = 3")
	stats = j.converge(t)
	require.EqualValues(t, 3, stats.Commits)
}

func TestCascades(t *testing.T) {
	t.Parallel()
	j := newJob(t, "cascades")
	j.create(t, "CREATE TABLE parent (id INT PRIMARY KEY)",
		"CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
		"CREATE TABLE other (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL)")
	j.write(t, "INSERT INTO parent VALUES (1),(2),(3)", "INSERT INTO child VALUES (10,1),(20,2),(30,3)", "INSERT INTO other VALUES (100,1),(300,3)")
	j.write(t, "UPDATE child SET p = 2 WHERE id = 10", "UPDATE other SET p = NULL WHERE id = 100", "UPDATE parent SET id = 5 WHERE id = 2",
		"UPDATE other SET p = 3 WHERE id = 100", "DELETE FROM parent WHERE id = 3", "INSERT INTO parent VALUES (3)", "INSERT INTO child VALUES (31,3)")
	j.converge(t)
	require.Equal(t, "10:5,20:5,31:3", value(t, j.target, "SELECT GROUP_CONCAT(CONCAT_WS(':', id, p) ORDER BY id) FROM cascades.child"))
}

func TestAForeignKeyThatComesLaterCascades(t *testing.T) {
	t.Parallel()
	j := newJob(t, "later")
	j.create(t, "CREATE TABLE Parent (id INT PRIMARY KEY)", "CREATE TABLE child (id INT PRIMARY KEY, p INT, KEY (p))")
	j.write(t, "INSERT INTO Parent VALUES (1),(2)", "INSERT INTO child VALUES (10,1),(20,2)",
		"ALTER TABLE child ADD FOREIGN KEY (p) REFERENCES Parent (id) ON DELETE CASCADE", "DELETE FROM Parent WHERE id = 1",
		"INSERT INTO child VALUES (30,2)")
	j.converge(t)
	require.Equal(t, "20,30", value(t, j.target, "SELECT GROUP_CONCAT(id ORDER BY id) FROM later.child"))
}

func TestDefinitionsBetweenRows(t *testing.T) {
	t.Parallel()
	j := newJob(t, "defined")
	j.write(t,
		"CREATE TABLE t (id INT PRIMARY KEY, a INT)", "INSERT INTO t VALUES (1,1)", "ALTER TABLE t ADD COLUMN b VARCHAR(10) DEFAULT 'x' AFTER id",
		"INSERT INTO t VALUES (2,'two',2)", "CREATE INDEX i ON t (b)", "RENAME TABLE t TO u", "UPDATE u SET a = 9", "ALTER TABLE u RENAME TO t",
		"CREATE TABLE gone (id INT)", "INSERT INTO gone VALUES (1)", "TRUNCATE gone", "INSERT INTO gone VALUES (2)", "DROP TABLE gone",
		"CREATE TABLE copied (PRIMARY KEY (id)) AS SELECT id, a FROM t", "UPDATE copied SET a = 10",
		"DROP TABLE copied", "CREATE TABLE copied (id INT PRIMARY KEY, z INT)", "INSERT INTO copied VALUES (1,1)",
		"CREATE VIEW v AS SELECT 1", "CREATE TABLE alike LIKE t", "INSERT INTO alike SELECT * FROM t", "ALTER TABLE alike DROP COLUMN b", "DELETE FROM alike WHERE id = 1",
		"CREATE TABLE `用户` (`编号` INT PRIMARY KEY, `名` VARCHAR(10)) COMMENT='表'", "INSERT INTO `用户` VALUES (1,'张三')")
	stats := j.converge(t)
	require.EqualValues(t, 14, stats.Definitions)
	require.Len(t, j.events, 1)
	require.Contains(t, j.events[0], "view")
	require.Equal(t, "1:9,2:9", value(t, j.target, "SELECT GROUP_CONCAT(CONCAT_WS(':', id, a) ORDER BY id) FROM defined.t"))
	require.Equal(t, strings.TrimSpace(value(t, j.source, "SELECT table_comment FROM information_schema.tables WHERE table_schema='defined' AND table_name='用户'")),
		value(t, j.target, "SELECT table_comment FROM information_schema.tables WHERE table_schema='defined' AND table_name='用户'"))
}

// TestRepeatedTransactions feeds what a source of MySQL's kind sends twice.
func TestRepeatedTransactions(t *testing.T) {
	t.Parallel()
	const source = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	j := newJob(t, "repeated")
	selection, err := mapping.New([]filter.SchemaRule{{Schema: j.schema}}, nil)
	require.NoError(t, err)
	create := func(gtid, table string) *binlog.Transaction {
		statement, err := ddl.Parse("CREATE TABLE "+table+" (id INT)", ddl.Session{Schema: j.schema})
		require.NoError(t, err)
		return &binlog.Transaction{GTID: source + ":" + gtid, First: true, Last: true, Definition: &binlog.Definition{Statement: statement}}
	}
	stream := make(chan *binlog.Transaction, 4)
	for _, sent := range []*binlog.Transaction{create("8", "fresh"), create("5", "fresh"), create("8", "fresh"), create("9", "last")} {
		stream <- sent
	}
	close(stream)
	flavor := mysql.Detect("8.0.36")
	a := apply.New(apply.Config{
		Target: config(target), Job: j.schema, Epoch: j.epoch, Flavor: flavor, Start: mysql.Position{GTIDSet: source + ":1-7"}, Mapping: selection,
		Logger: zap.NewNop(), Event: func(string, string) {},
	})
	require.NoError(t, a.Run(t.Context(), stream))
	require.Equal(t, source+":1-9", a.Stats().Position.GTIDSet)
	require.Equal(t, "2", value(t, j.target, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'repeated'"))
}
