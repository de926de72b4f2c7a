package engine_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// Every value of every type goes through the full copy and, beside that row, through an insert, an update and a delete in the log, in a table with
// a key and in one without. What both servers show, and their checksums, must be equal.
func TestTypeMatrix(t *testing.T) {
	t.Parallel()
	p := pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	setUp := []string{"SET sql_mode = 'ALLOW_INVALID_DATES'", "SET NAMES utf8mb4"}
	copied := append([]string{}, append(setUp, "CREATE DATABASE types", "USE types")...)
	logged := append([]string{}, append(setUp, "USE types")...)
	var queries []string
	for i, kind := range mysqltest.Types() {
		for name, key := range map[string]string{fmt.Sprintf("k%d", i): "PRIMARY KEY", fmt.Sprintf("n%d", i): ""} {
			copied = append(copied, fmt.Sprintf("CREATE TABLE %s (id INT %s, v %s, other INT)", name, key, kind.Column))
			for n, v := range kind.Values {
				copied = append(copied, fmt.Sprintf("INSERT INTO %s VALUES (%d, %s, 0), (%d, %s, 0)", name, 3*n, v.SQL, 3*n+1, v.SQL))
				logged = append(logged, fmt.Sprintf("INSERT INTO %s VALUES (%d, %s, 0)", name, 3*n+2, v.SQL))
			}
			logged = append(logged, "UPDATE "+name+" SET other = 1 WHERE id % 3 > 0", "DELETE FROM "+name+" WHERE id % 3 = 0")
			queries = append(queries, fmt.Sprintf("SELECT CONCAT_WS('/', '%s', id, IFNULL(%s, 'NULL'), other) FROM types.%s ORDER BY id", name, kind.Text(), name))
		}
	}
	same := func() {
		t.Helper()
		for _, query := range queries {
			require.Equal(t, answer(t, p.source, query), answer(t, p.target, query))
		}
		require.Equal(t, p.source.Checksums(t, "types"), p.target.Checksums(t, "types"))
	}
	p.source.Exec(t, copied...)
	run := start(t, p.job("types", 1, "types"))
	run.awaitEvent(t, "job_stage_incr")
	same()
	p.source.Exec(t, append(logged, "CREATE TABLE last (id INT)")...)
	p.awaitAnswer(t, run, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'types' AND table_name = 'last'", "last")
	same()
	run.stop(t)
}
