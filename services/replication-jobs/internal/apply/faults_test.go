package apply_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func TestGeneratedAndInvisibleColumns(t *testing.T) {
	t.Parallel()
	j := newJob(t, "generatedcolumns")
	j.create(t, `CREATE TABLE t (v INT AS (a * 2) VIRTUAL, id INT PRIMARY KEY, a INT, s VARCHAR(20) AS (CONCAT('s', a)) STORED, h INT INVISIBLE DEFAULT 5, b INT)`,
		`CREATE TABLE keyless (a INT, v INT AS (a * 2) VIRTUAL, s INT AS (a + 1) STORED)`)
	j.write(t, "INSERT INTO t (id, a, b) VALUES (1, 1, 1), (2, 2, 2)", "UPDATE t SET a = 10, h = 6 WHERE id = 1", "DELETE FROM t WHERE id = 2",
		"INSERT INTO keyless (a) VALUES (1), (2)", "UPDATE keyless SET a = 5 WHERE a = 1", "DELETE FROM keyless WHERE a = 2")
	_, err := j.run(t) // CHECKSUM TABLE is not stable over generated columns
	require.NoError(t, err)
	require.Equal(t, "20/1/10/s10/6/1", value(t, j.target, "SELECT CONCAT_WS('/', v, id, a, s, h, b) FROM generatedcolumns.t"))
	require.Equal(t, "5/10/6", value(t, j.target, "SELECT CONCAT_WS('/', a, v, s) FROM generatedcolumns.keyless"))
}

func TestEmptyEnumIsKept(t *testing.T) {
	t.Parallel()
	j := newJob(t, "emptyenum")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, e ENUM('a','b'))", "CREATE TABLE keyless (e ENUM('a','b'))")
	j.write(t, "SET sql_mode = ''", "INSERT INTO t VALUES (1,'wrong'),(2,'a')", "UPDATE t SET e = 'wrong' WHERE id = 2", "INSERT INTO keyless VALUES ('wrong')", "UPDATE keyless SET e = 'b'")
	j.converge(t)
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage, write string
		want          []string
	}{
		"missingdelete": {"DELETE FROM t WHERE id = 2", "DELETE FROM t", []string{"row to delete is not at the target", "`id`=2"}},
		"missingupdate": {"DELETE FROM t WHERE id = 3", "UPDATE t SET v = v + 1", []string{"row to update is not at the target", "`id`=3"}},
		"missingunique": {"DELETE FROM u WHERE id = 3", "UPDATE u SET v = v + 1", []string{"row to delete is not at the target", "`id`=3"}},
		"missingkey":    {"DELETE FROM n WHERE id = 3", "UPDATE n SET v = v + 1", []string{"row to update is not at the target", "has no key"}},
		"duplicate":     {"INSERT INTO t VALUES (4, 0)", "INSERT INTO t VALUES (4, 1)", []string{"insert rows of table duplicate.t", "Duplicate entry '4'"}},
		"columns":       {"ALTER TABLE t ADD COLUMN w INT", "INSERT INTO t VALUES (9, 9)", []string{"has 2 columns at the source and 3 at the target"}},
		"shape":         {"ALTER TABLE t MODIFY v VARCHAR(20)", "INSERT INTO t VALUES (9, 9)", []string{"column v of table shape.t is varchar(20) at the target"}},
		"narrow":        {"ALTER TABLE t MODIFY v TINYINT", "INSERT INTO t VALUES (9, 900)", []string{"does not take a value of the source as it is", "Out of range"}},
		"dropped":       {"DROP TABLE t", "INSERT INTO t VALUES (9, 900)", []string{"dropped.t does not exist"}},
		"image":         {"SELECT 1", "SET SESSION binlog_row_image = 'MINIMAL'; UPDATE t SET v = 5 WHERE id = 1", []string{"the log leaves out column", "set binlog_row_image=FULL"}},
		"statement":     {"DROP TABLE n", "ALTER TABLE n ADD COLUMN z INT", []string{"ALTER TABLE n ADD COLUMN z INT", "doesn't exist"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, name)
			j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1,1),(2,2),(3,3)", "CREATE TABLE n (id INT, v INT)", "INSERT INTO n VALUES (1,1),(2,2),(3,3)",
				"CREATE TABLE u (id INT PRIMARY KEY, v INT UNIQUE)", "INSERT INTO u VALUES (1,10),(2,20),(3,30)")
			j.at(t, j.target, c.damage)
			j.write(t, strings.Split(c.write, "; ")...)
			_, err := j.run(t)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.True(t, mysql.Permanent(err), err)
		})
	}
}

func TestFenced(t *testing.T) {
	t.Parallel()
	j := newJob(t, "fenced")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY)")
	_, err := progress.Claim(j.target, j.schema, "incarnation", j.epoch+1)
	require.NoError(t, err)
	j.write(t, "INSERT INTO t VALUES (1)")
	_, err = j.run(t)
	require.ErrorIs(t, err, progress.ErrFenced)
	require.Equal(t, "0", value(t, j.target, "SELECT COUNT(*) FROM fenced.t"))

	j.epoch++
	j.write(t, "CREATE TABLE later (id INT)")
	j.converge(t)
}

// A failing trigger on the position stands for a crash between a statement and the record of its outcome.
func TestDefinitionThatTookEffectIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"unnamedindex": "ALTER TABLE t ADD INDEX (v)", "added": "ALTER TABLE t ADD COLUMN w INT", "swapping": "RENAME TABLE t TO x, o TO t, x TO o",
		"created": "CREATE TABLE c (id INT PRIMARY KEY)", "filled": "CREATE TABLE c (PRIMARY KEY (id)) AS SELECT id, v FROM t", "removed": "DROP TABLE t", "emptied": "TRUNCATE t",
		"schemed": "ALTER DATABASE schemed COLLATE utf8mb4_bin", "dropindex": "DROP INDEX i ON o", "moved": "RENAME TABLE t TO y", "columnswap": "ALTER TABLE t RENAME COLUMN v TO id2, RENAME COLUMN id TO v",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, name)
			j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE o LIKE t", "INSERT INTO t VALUES (1,1)", "INSERT INTO o VALUES (2,2)", "CREATE INDEX i ON o (v)", "CREATE INDEX i ON t (v)")
			trigger := "opsdeck.crash_" + name
			j.at(t, j.target, fmt.Sprintf(`CREATE TRIGGER %s BEFORE UPDATE ON opsdeck.replication_job FOR EACH ROW
				IF NEW.job_id = '%s' AND NEW.epoch = OLD.epoch THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'crash'; END IF`, trigger, name))
			j.write(t, statement)
			_, err := j.run(t)
			require.ErrorContains(t, err, "crash")
			j.at(t, j.target, "DROP TRIGGER "+trigger)
			j.write(t, "CREATE TABLE behind (id INT)", "INSERT INTO behind VALUES (1)")
			j.claim(t)
			j.converge(t)
			const indexes = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE()"
			j.at(t, j.target, "USE "+j.schema)
			require.Equal(t, value(t, j.source, indexes), value(t, j.target, indexes))
		})
	}
}

// Not parallel: it shortens the lock wait for the whole server.
func TestLockWaitIsRetried(t *testing.T) {
	j := newJob(t, "locked")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1,1),(2,2)")
	j.at(t, j.target, "SET GLOBAL innodb_lock_wait_timeout = 1")
	defer j.at(t, j.target, "SET GLOBAL innodb_lock_wait_timeout = 50")
	core, logs := observer.New(zap.InfoLevel)
	j.logger = zap.New(core)
	other := connect(t, target)
	require.NoError(t, other.Begin())
	j.at(t, other, "SELECT * FROM locked.t WHERE id = 2 FOR UPDATE")
	j.write(t, "INSERT INTO t VALUES (3,3)", "UPDATE t SET v = v + 1", "DELETE FROM t WHERE id = 2")
	released := make(chan struct{})
	go func() {
		defer close(released)
		for logs.FilterMessage("retrying a transaction").Len() == 0 {
			if t.Context().Err() != nil {
				return
			}
		}
		_ = other.Rollback()
	}()
	j.converge(t)
	<-released
}

func TestRefusedDefinitionIsExecutedAfterRepair(t *testing.T) {
	t.Parallel()
	j := newJob(t, "refused")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	j.at(t, j.target, "ALTER TABLE t DROP COLUMN v")
	j.write(t, "ALTER TABLE t ADD INDEX (v)", "INSERT INTO t VALUES (1,1)")
	_, err := j.run(t)
	require.ErrorContains(t, err, "ADD INDEX (v)")
	j.at(t, j.target, "ALTER TABLE t ADD COLUMN v INT")
	j.claim(t)
	j.converge(t)
	require.Equal(t, "2", value(t, j.target, "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'refused'"))
}

// A server goes on with a statement whose client has died.
func TestDefinitionLeftRunningIsWaitedFor(t *testing.T) {
	t.Parallel()
	j := newJob(t, "leftrunning")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	other := connect(t, target)
	j.at(t, other, "SELECT GET_LOCK(CONCAT('opsdeck-', LEFT(SHA2('leftrunning', 256), 32)), 0)")
	j.write(t, "CREATE INDEX i ON t (v)")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			r, err := j.target.Execute("SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock'")
			if err != nil {
				return
			}
			if n, _ := r.GetInt(0, 0); n > 0 {
				_ = other.Close()
				return
			}
		}
	}()
	_, err := j.run(t)
	require.NoError(t, err)
	<-stopped
	require.Equal(t, "2", value(t, j.target, "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'leftrunning'"))
}

func TestSequences(t *testing.T) {
	t.Parallel()
	mysqltest.NeedMariaDB(t, "sequences", mysqltest.Source, mysqltest.Target)
	j := newJob(t, "sequences")
	j.at(t, j.source, "CREATE SEQUENCE sequences.older")
	j.start = j.position(t)
	j.write(t, "SELECT NEXTVAL(older)", "CREATE SEQUENCE s CACHE 10", "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (NEXTVAL(s)), (NEXTVAL(s))")
	stats, err := j.run(t)
	require.NoError(t, err)
	require.EqualValues(t, 2, stats.Definitions)
	require.Equal(t, "2", value(t, j.target, "SELECT COUNT(*) FROM sequences.t"))
	require.NotEmpty(t, j.events)
	require.Contains(t, j.events[0], "sequences.older")
}

func TestDefinitionsOfOtherSessions(t *testing.T) {
	t.Parallel()
	j := newJob(t, "sessions")
	j.write(t, "SET NAMES gbk", "CREATE TABLE `\xd3\xc3\xbb\xa7` (`\xb1\xe0` INT PRIMARY KEY, v VARCHAR(10) CHARACTER SET gbk DEFAULT '\xd6\xd0\xce\xc4') COMMENT '\xb1\xed'",
		"INSERT INTO `\xd3\xc3\xbb\xa7` (`\xb1\xe0`) VALUES (1)", "SET NAMES utf8mb4", "SET sql_mode = 'ANSI_QUOTES'", `CREATE TABLE "quoted" ("a" INT DEFAULT 1)`,
		"SET sql_mode = ''", "CREATE TABLE lenient (d DATE NOT NULL DEFAULT '0000-00-00')",
		"SET time_zone = '+05:30'", "CREATE TABLE zoned (a TIMESTAMP NOT NULL DEFAULT '2024-01-01 12:00:00')", "SET time_zone = 'SYSTEM'",
		"ALTER TABLE zoned ADD b TIMESTAMP NOT NULL DEFAULT '2024-01-01 12:00:00'", "SET time_zone = '+00:00'")
	j.converge(t)
	// MariaDB shows a default as an expression.
	const definitions = "SELECT GROUP_CONCAT(column_name, ':', IFNULL(NULLIF(REPLACE(column_default, '''', ''), 'NULL'), '-') ORDER BY table_name, column_name) FROM information_schema.columns WHERE table_schema = 'sessions'"
	require.Contains(t, value(t, j.target, definitions), "编")
	require.Equal(t, value(t, j.source, definitions), value(t, j.target, definitions))
	require.Contains(t, value(t, j.target, definitions), "2024-01-01 06:30:00")
}

// Not parallel: it changes how the source logs every ALTER TABLE.
func TestAlterInTwoPhases(t *testing.T) {
	mysqltest.NeedMariaDB(t, "ALTER TABLE in two phases", mysqltest.Source)
	j := newJob(t, "phases")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	j.write(t, "SET SESSION binlog_alter_two_phase = 1", "ALTER TABLE t ADD INDEX (v)", "INSERT INTO t VALUES (1,1),(2,1)")
	_, err := j.source.Execute("ALTER TABLE t ADD UNIQUE (v), ALGORITHM = COPY")
	require.Error(t, err)
	j.write(t, "SET SESSION binlog_alter_two_phase = 0", "ALTER TABLE t ADD COLUMN w INT")
	stats := j.converge(t)
	require.EqualValues(t, 2, stats.Definitions)
	require.Equal(t, "2", value(t, j.target, "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'phases'"))
}

func TestOldTemporalFormat(t *testing.T) {
	t.Parallel()
	mysqltest.NeedMariaDB(t, "columns of the old temporal format", mysqltest.Source, mysqltest.Target)
	j := newJob(t, "oldtemporal")
	j.both(t, "SET GLOBAL mysql56_temporal_format = OFF")
	j.create(t, "CREATE TABLE plain (id INT PRIMARY KEY, d DATETIME, t TIME, s TIMESTAMP NULL)", "CREATE TABLE fractions (id INT PRIMARY KEY, d DATETIME(3))")
	j.both(t, "SET GLOBAL mysql56_temporal_format = ON")
	j.write(t, "INSERT INTO plain VALUES (1, '2024-02-29 12:34:56', '23:59:59', '2024-02-29 12:34:56')")
	j.converge(t)
	j.write(t, "INSERT INTO fractions VALUES (1, '2024-02-29 12:34:56.789')")
	_, err := j.run(t)
	require.ErrorContains(t, err, "old format")
}

func TestIgnoredStatementsAreReportedWithoutTheirText(t *testing.T) {
	t.Parallel()
	j := newJob(t, "ignored")
	j.at(t, j.source, "DROP USER IF EXISTS 'somebody'")
	j.start = j.position(t)
	j.write(t, "CREATE USER 'somebody' IDENTIFIED BY 'geheim'", "CREATE VIEW v AS SELECT 1", "DROP USER 'somebody'", "CREATE TABLE t (id INT)")
	j.converge(t)
	j.write(t, "CREATE DATABASE IF NOT EXISTS elsewhere", "CREATE OR REPLACE VIEW elsewhere.v AS SELECT 1", "USE elsewhere", "CREATE FUNCTION ignored.f() RETURNS INT DETERMINISTIC RETURN 1")
	j.converge(t)
	require.Len(t, j.events, 4)
	require.Contains(t, j.events[3], "function ignored.f", "an object counts by its own schema, not by the session's")
	require.Contains(t, j.events[0], "concerns a user")
	require.NotContains(t, j.events[0], "geheim")
	require.Contains(t, j.events[1], "view")
}

func TestTableThatEntersTheSelection(t *testing.T) {
	t.Parallel()
	j := newJob(t, "entering")
	j.at(t, j.source, "DROP DATABASE IF EXISTS entering_outside", "CREATE DATABASE entering_outside", "CREATE TABLE entering_outside.t (id INT)",
		"RENAME TABLE entering_outside.t TO entering.t")
	_, err := j.run(t)
	require.ErrorContains(t, err, "entering_outside")
	require.True(t, mysql.Permanent(err))
}
