package apply_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/matrix"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// The values go through an insert, an update of all columns, a delete and, as tables without a key, comparison by value.
func TestTypes(t *testing.T) {
	t.Parallel()
	j := newJob(t, "types")
	for _, c := range []*mysql.Conn{j.source, j.target} {
		j.at(t, c, "SET sql_mode = 'ALLOW_INVALID_DATES'")
	}
	tables := map[string]matrix.Type{}
	for n, kind := range mysqltest.Types() {
		keyed, keyless := fmt.Sprintf("k%d", n), fmt.Sprintf("n%d", n)
		tables[keyed], tables[keyless] = kind, kind
		j.create(t, "CREATE TABLE "+keyed+" (id INT PRIMARY KEY, v "+kind.Column+", other INT)", "CREATE TABLE "+keyless+" (id INT, v "+kind.Column+", other INT)")
	}
	for name, kind := range tables {
		for i, v := range kind.Values {
			j.write(t, fmt.Sprintf("INSERT INTO %s VALUES (%d, %s, 0)", name, i+1, v.SQL))
		}
	}
	_, err := j.run(t)
	require.NoError(t, err)
	j.claim(t)
	for name, kind := range tables {
		equal(t, j, name, kind, "inserted")
		j.write(t, "UPDATE "+name+" SET other = 1", "DELETE FROM "+name+" WHERE id = 1", "INSERT INTO "+name+" VALUES (1, "+kind.Values[0].SQL+", 2)")
	}
	_, err = j.run(t)
	require.NoError(t, err)
	for name, kind := range tables {
		equal(t, j, name, kind, "updated")
	}
}

func equal(t *testing.T, j *job, table string, kind matrix.Type, what string) {
	t.Helper()
	query := "SELECT GROUP_CONCAT(CONCAT_WS('/', id, IFNULL(" + kind.Text() + ", 'NULL'), other) ORDER BY id SEPARATOR ' | ') FROM types." + table
	require.Equal(t, value(t, j.source, query), value(t, j.target, query), "%s %s (%s)", kind.Column, what, table)
}

func TestTypesAsKeys(t *testing.T) {
	t.Parallel()
	j := newJob(t, "typekeys")
	for _, c := range []*mysql.Conn{j.source, j.target} {
		j.at(t, c, "SET sql_mode = 'ALLOW_INVALID_DATES'")
	}
	var rows []string
	for n, kind := range mysqltest.Types() {
		column, ok := kind.Key()
		if !ok {
			continue
		}
		j.create(t, fmt.Sprintf("CREATE TABLE s%d (v %s PRIMARY KEY, other INT)", n, column),
			fmt.Sprintf("CREATE TABLE d%d (v %s, i INT, other INT, PRIMARY KEY (v, i))", n, column))
		for _, v := range kind.Values {
			if v.SQL != "NULL" {
				rows = append(rows, fmt.Sprintf("INSERT IGNORE INTO s%d VALUES (%s, 0)", n, v.SQL), fmt.Sprintf("INSERT IGNORE INTO d%d VALUES (%s, 1, 0),(%s, 2, 0)", n, v.SQL, v.SQL))
			}
		}
	}
	j.write(t, rows...)
	j.converge(t)
	for name := range j.tables(t, j.source) {
		j.write(t, "UPDATE "+name+" SET other = 1")
	}
	j.converge(t)
	for name := range j.tables(t, j.source) {
		j.write(t, "DELETE FROM "+name+" LIMIT 1")
	}
	j.converge(t)
}
