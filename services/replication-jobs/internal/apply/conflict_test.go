package apply_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/pace"
)

// conflictTables have their rows 1 to 5 at both ends: with a key only, with another unique key besides, without a key, and referred to by a
// foreign key that cascades.
var conflictTables = []string{
	"CREATE TABLE plain (id INT PRIMARY KEY, v INT)", "INSERT INTO plain SELECT seq, 0 FROM mysql.seq_1_to_5",
	"CREATE TABLE uniq (id INT PRIMARY KEY, u INT UNIQUE, v INT)", "INSERT INTO uniq SELECT seq, seq, 0 FROM mysql.seq_1_to_5",
	"CREATE TABLE keyless (a INT, v INT)", "INSERT INTO keyless SELECT seq, 0 FROM mysql.seq_1_to_5",
	"CREATE TABLE parent (id INT PRIMARY KEY, v INT)", "INSERT INTO parent SELECT seq, 0 FROM mysql.seq_1_to_5",
	"CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)", "INSERT INTO child SELECT seq, seq FROM mysql.seq_1_to_5",
}

// conflictCases damage the target and change the source so that some changes fit and others do not.
var conflictCases = map[string]struct {
	damage, write []string
	table         string
	overwritten   string // the table afterwards, its rows and columns in order, as the source has it
	left          string
	conflicts     int64
}{
	"deletes of missing rows": {
		[]string{"DELETE FROM plain WHERE id IN (2, 4)"}, []string{"DELETE FROM plain WHERE id < 5"}, "plain", "5,0", "5,0", 2,
	},
	"updates of missing rows": {
		[]string{"DELETE FROM plain WHERE id IN (2, 4)"}, []string{"UPDATE plain SET v = 7"}, "plain", "1,7 2,7 3,7 4,7 5,7", "1,7 3,7 5,7", 2,
	},
	"inserts of rows that exist": {
		[]string{"INSERT INTO plain VALUES (7, -1), (9, -1)"},
		[]string{"INSERT INTO plain SELECT seq, 1 FROM mysql.seq_6_to_9", "DELETE FROM plain WHERE id < 6"},
		"plain", "6,1 7,1 8,1 9,1", "6,1 7,-1 8,1 9,-1", 2,
	},
	"updates where another key is unique": {
		[]string{"DELETE FROM uniq WHERE id IN (2, 4)"}, []string{"UPDATE uniq SET v = 7"}, "uniq", "1,1,7 2,2,7 3,3,7 4,4,7 5,5,7", "1,1,7 3,3,7 5,5,7", 2,
	},
	"an update to a value that is taken": {
		[]string{"INSERT INTO uniq VALUES (10, 20, -1)"},
		[]string{"UPDATE uniq SET u = 20 WHERE id = 3", "UPDATE uniq SET v = 7 WHERE id = 4"},
		"uniq", "1,1,0 2,2,0 3,20,0 4,4,7 5,5,0", "1,1,0 2,2,0 3,3,0 4,4,7 5,5,0 10,20,-1", 1,
	},
	"changes of missing rows without a key": {
		[]string{"DELETE FROM keyless WHERE a IN (2, 4)"},
		[]string{"UPDATE keyless SET v = 7 WHERE a < 4", "DELETE FROM keyless WHERE a >= 4"},
		"keyless", "1,7 2,7 3,7", "1,7 3,7", 2,
	},
	"a cascade of a missing row": {
		[]string{"DELETE FROM parent WHERE id = 2"},
		[]string{"DELETE FROM parent WHERE id < 4", "UPDATE parent SET id = id + 10, v = 1"},
		"child", "4,14 5,15", "4,14 5,15", 1,
	},
	"the same row twice": {
		[]string{"DELETE FROM plain WHERE id = 2"},
		[]string{"BEGIN", "UPDATE plain SET v = 1 WHERE id = 2", "UPDATE plain SET v = v + 1 WHERE id < 3", "COMMIT", "DELETE FROM plain WHERE id > 2"},
		"plain", "1,1 2,2", "1,1", 1,
	},
}

func TestConflictsThatDoNotStop(t *testing.T) {
	t.Parallel()
	for name, c := range conflictCases {
		for _, policy := range []apply.Policy{apply.Overwrite, apply.Log} {
			t.Run(name+" "+string(policy), func(t *testing.T) {
				t.Parallel()
				j := newJob(t, strings.ReplaceAll(name+" "+string(policy), " ", "_"))
				j.policy = policy
				j.create(t, conflictTables...)
				j.at(t, j.target, c.damage...)
				j.write(t, c.write...)
				stats, err := j.run(t)
				require.NoError(t, err)
				want := c.overwritten
				if policy == apply.Log {
					want = c.left
				}
				require.Equal(t, want, j.rows(t, c.table))
				require.Equal(t, c.conflicts, stats.Conflicts)
				require.Equal(t, fmt.Sprint(c.conflicts), value(t, j.target, "SELECT COUNT(*) FROM opsdeck.replication_conflict WHERE job_id = '"+j.schema+"'"))
				require.Contains(t, strings.Join(j.events, "\n"), "did not fit the target")
			})
		}
	}
}

// rows are those of a table at the target, in the order of the first column.
func (j *job) rows(t *testing.T, table string) string {
	t.Helper()
	r, err := j.target.Execute("SELECT * FROM " + mysql.QuoteTable(j.schema, table) + " ORDER BY 1")
	require.NoError(t, err)
	var rows []string
	for i := range r.RowNumber() {
		var columns []string
		for c := range r.ColumnNumber() {
			text, err := r.GetString(i, c)
			require.NoError(t, err)
			columns = append(columns, text)
		}
		rows = append(rows, strings.Join(columns, ","))
	}
	return strings.Join(rows, " ")
}

// A transaction in parts cannot begin again: what does not fit is resolved in the part where it is met.
func TestConflictsOfALargeTransaction(t *testing.T) {
	t.Parallel()
	j := newJob(t, "conflicts_in_parts")
	j.policy, j.queue = apply.Overwrite, 64<<10
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, filler VARCHAR(200))")
	j.at(t, j.target, "INSERT INTO t VALUES (10, 'old'), (15000, 'old')")
	j.write(t, "INSERT INTO t SELECT seq, REPEAT('x', 150) FROM mysql.seq_1_to_20000")
	stats := j.converge(t)
	require.EqualValues(t, 2, stats.Conflicts)
	require.Equal(t, "`id`=10 `id`=15000", value(t, j.target,
		"SELECT GROUP_CONCAT(TRIM(BOTH ')' FROM TRIM(LEADING '(' FROM row_key)) ORDER BY id SEPARATOR ' ') FROM opsdeck.replication_conflict WHERE job_id = 'conflicts_in_parts'"))
}

// A change that is early for its turn is none that does not fit.
func TestSessionsSideBySideMeetNoConflicts(t *testing.T) {
	t.Parallel()
	j := newJob(t, "side_by_side_policy")
	j.workers, j.merge, j.policy = 4, 3, apply.Log
	j.create(t, "CREATE TABLE plain (id INT PRIMARY KEY, v INT)", "CREATE TABLE named (name VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
		"CREATE TABLE uniq (id INT PRIMARY KEY, u INT UNIQUE, v INT)", "CREATE TABLE keyless (a INT, v INT)",
		"CREATE TABLE parent (id INT PRIMARY KEY)", "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
		"CREATE TABLE audited (id INT PRIMARY KEY, v INT)")
	j.meet(t, 400)
	stats := j.converge(t)
	require.Zero(t, stats.Conflicts)
}

// Transactions wait for others up to a size, as the many here show that no merging of a backlog would have made into one.
// Not parallel: it counts commits, and the definitions of other tests, in the same log, would end groups.
func TestTransactionsAreGrouped(t *testing.T) {
	j := newJob(t, "grouped")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, filler VARCHAR(200))")
	j.group = 16 << 10
	for i := range 200 {
		j.write(t, fmt.Sprintf("INSERT INTO t VALUES (%d, REPEAT('x', 200))", i))
	}
	j.at(t, j.source, "FLUSH TABLES") // a definition does not wait, nor does what comes before it
	j.write(t, "CREATE TABLE last (id INT PRIMARY KEY)")
	stats := j.converge(t)
	require.LessOrEqual(t, stats.Commits, int64(6))
}

// A paced target gets what it is to get, in pieces of no more than a second's worth.
func TestPacedTargetConverges(t *testing.T) {
	t.Parallel()
	j := newJob(t, "paced")
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	j.pace = pace.New(400, 0)
	for i := range 10 {
		j.write(t, fmt.Sprintf("INSERT INTO t SELECT seq, 0 FROM mysql.seq_%d_to_%d", i*100, i*100+99))
	}
	begun := time.Now()
	stats := j.converge(t)
	require.GreaterOrEqual(t, time.Since(begun), 2*time.Second, "1000 rows, of which 40 may pass at once")
	require.GreaterOrEqual(t, stats.Commits, int64(3))
}
