package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// Tables are renamed, swapped and exchanged between the two snapshots of an interrupted copy: one that was copied in full, one that was copied in part, and
// some that no snapshot has seen. What was torn is copied again, and the job follows.
func TestRenamedBetweenSnapshots(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE ov",
		"CREATE TABLE ov.large (id INT PRIMARY KEY, v INT)", "INSERT INTO ov.large SELECT seq, 1 FROM mysql.seq_1_to_20000",
		"CREATE TABLE ov.middle (id INT PRIMARY KEY, v INT)", "INSERT INTO ov.middle SELECT seq, 1 FROM mysql.seq_1_to_900",
		"CREATE TABLE ov.little (id INT PRIMARY KEY, v INT)", "INSERT INTO ov.little SELECT seq, 1 FROM mysql.seq_1_to_400",
		"CREATE TABLE ov.parted (id INT PRIMARY KEY, v INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (1000), PARTITION p1 VALUES LESS THAN MAXVALUE)",
		"INSERT INTO ov.parted SELECT seq, 1 FROM mysql.seq_1_to_300", "CREATE TABLE ov.apart (id INT PRIMARY KEY, v INT)", "INSERT INTO ov.apart SELECT seq, 2 FROM mysql.seq_1_to_200",
		"CREATE TABLE ov.parent (id INT PRIMARY KEY)", "INSERT INTO ov.parent SELECT seq FROM mysql.seq_1_to_100",
		"CREATE TABLE ov.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)", "INSERT INTO ov.child SELECT seq, seq FROM mysql.seq_1_to_100",
		"CREATE TABLE ov.last (id INT PRIMARY KEY)", "ANALYZE TABLE ov.large, ov.middle, ov.little, ov.parted, ov.apart, ov.parent, ov.child")
	job := p.job("overtaken", 1, "ov")
	job.ChunkSize, job.MaxRowsPerSecond = 100, 3000
	run := start(t, job)
	p.awaitAnswer(t, run, "SELECT COUNT(*) FROM opsdeck.replication_table WHERE done AND table_name IN ('middle', 'little', 'parted', 'apart', 'parent', 'child')", "6")
	run.stop(t)
	require.Equal(t, []string{"0"}, answer(t, p.target, "SELECT done FROM opsdeck.replication_table WHERE table_name = 'large'"))
	require.NotEqual(t, []string{"0"}, answer(t, p.target, "SELECT COUNT(*) FROM opsdeck.replication_chunk WHERE table_name = 'large'"))

	p.source.Exec(t, "UPDATE ov.large SET v = 2 WHERE id % 7 = 0", "UPDATE ov.middle SET v = 2 WHERE id % 7 = 0",
		// as a tool for online changes does it
		"CREATE TABLE ov._middle_new LIKE ov.middle", "ALTER TABLE ov._middle_new ADD x INT DEFAULT 5", "INSERT INTO ov._middle_new (id, v) SELECT id, v + 10 FROM ov.middle",
		"RENAME TABLE ov.middle TO ov._middle_old, ov._middle_new TO ov.middle", "UPDATE ov.middle SET v = 0 WHERE id < 50", "DROP TABLE ov._middle_old",
		// another table of the same definition under the name
		"CREATE TABLE ov.other LIKE ov.large", "INSERT INTO ov.other SELECT id + 5, 7 FROM ov.large", "RENAME TABLE ov.large TO ov.before, ov.other TO ov.large", "DELETE FROM ov.large WHERE id % 11 = 0",
		"ALTER TABLE ov.before RENAME TO ov.kept", "UPDATE ov.kept SET v = 3 WHERE id < 5",
		// away, and one of its name again
		"RENAME TABLE ov.little TO ov.moved", "CREATE TABLE ov.little LIKE ov.moved", "INSERT INTO ov.little VALUES (1, 1)", "INSERT INTO ov.moved VALUES (9999, 9)",
		"INSERT INTO ov.apart VALUES (700, 7)", "ALTER TABLE ov.parted EXCHANGE PARTITION p0 WITH TABLE ov.apart", "INSERT INTO ov.parted VALUES (701, 7)", "DROP TABLE ov.last",
		"RENAME TABLE ov.parent TO ov.mother", "DELETE FROM ov.mother WHERE id < 10")
	job.Epoch, job.MaxRowsPerSecond = 2, 0
	run = start(t, job)
	p.awaitEqual(t, run, "ov")
	p.source.Exec(t, "RENAME TABLE ov.moved TO ov.x, ov.little TO ov.moved, ov.x TO ov.little", "UPDATE ov.large SET v = v + 1", "UPDATE ov.kept SET v = v + 1", "UPDATE ov.middle SET x = id",
		"UPDATE ov.parted SET v = v + 1", "UPDATE ov.apart SET v = v + 1", "UPDATE ov.moved SET v = v + 1")
	p.awaitEqual(t, run, "ov")
	p.source.Exec(t, "DELETE FROM ov.mother WHERE id BETWEEN 20 AND 30") // which reaches the children
	p.awaitEqual(t, run, "ov")
	run.stop(t)
}
