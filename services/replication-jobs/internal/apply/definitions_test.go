package apply_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/matrix"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// noEffect finds statements that leave everything as it is.
var noEffect = regexp.MustCompile(`IF NOT EXISTS|\bFORCE\b`)

// Not parallel: some statements concern the whole server, and so every job there is.
func TestDefinitionMatrix(t *testing.T) {
	for n, d := range matrix.Definitions {
		t.Run(d.Statement, func(t *testing.T) {
			if !mysqltest.Has(d.Statement) {
				t.Skip("one of the two servers does not know the statement: it is of the other family")
			}
			j := newJob(t, fmt.Sprintf("definition%d", n))
			j.at(t, j.source, "DROP ROLE IF EXISTS reader", "DROP DATABASE IF EXISTS outside", "CREATE DATABASE outside", "CREATE TABLE outside.t (id INT)")
			j.create(t, before()...)
			j.write(t, strings.Split(d.Statement, "; ")...)
			if d.Outcome == matrix.Stops {
				_, err := j.run(t)
				if strings.HasPrefix(d.Statement, "XA") { // not at the cleanup, when the session is being closed: the next test would find it in its log
					j.at(t, j.source, "XA ROLLBACK 'x'")
				}
				require.Error(t, err)
				return
			}
			j.write(t, "CREATE TABLE behind (id INT)", "INSERT INTO behind VALUES (1)")
			j.converge(t)
			want, got := j.definitions(t, j.source), j.definitions(t, j.target)
			if mysqltest.Mixed() { // they show the same in different words
				require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)))
			} else {
				require.Equal(t, want, got)
			}
			require.Equal(t, d.Outcome == matrix.Told, len(j.events) > 0, "events %q", j.events)
			require.Equal(t, d.Outcome != matrix.Replayed || noEffect.MatchString(d.Statement), j.untouched(t, d), "the target's definitions before and after")
		})
	}
}

// before are the statements that come before each.
func before() []string { return mysqltest.Known(slices.Clone(matrix.Before)...) }

// definitions are those of the schema, its tables and its sequences.
func (j *job) definitions(t *testing.T, c *mysql.Conn) map[string]string {
	t.Helper()
	out := map[string]string{}
	show := func(kind, name string) {
		r, err := c.Execute("SHOW CREATE " + kind + " " + name)
		require.NoError(t, err)
		out[name], err = r.GetString(0, 1)
		require.NoError(t, err)
	}
	show("DATABASE", j.schema)
	r, err := c.Execute("SELECT table_name, IF(table_type = 'SEQUENCE', 'SEQUENCE', 'TABLE') FROM information_schema.tables WHERE table_schema = '" + j.schema + "' AND table_type NOT IN ('VIEW', 'TEMPORARY')")
	require.NoError(t, err)
	for i := range r.RowNumber() {
		name, err := r.GetString(i, 0)
		require.NoError(t, err)
		kind, err := r.GetString(i, 1)
		require.NoError(t, err)
		show(kind, mysql.QuoteTable(j.schema, name))
	}
	return out
}

// untouched reports whether a statement has left what came before it as it was: its definitions, and its rows.
func (j *job) untouched(t *testing.T, d matrix.Definition) bool {
	t.Helper()
	here := j.definitions(t, j.target)
	rows := j.tables(t, j.target)
	fresh := newJob(t, j.schema+"_fresh")
	fresh.at(t, fresh.target, append([]string{"USE " + fresh.schema}, append(before(), "CREATE TABLE behind (id INT)", "INSERT INTO behind VALUES (1)")...)...)
	defined := map[string]string{}
	for name, create := range fresh.definitions(t, fresh.target) {
		defined[strings.ReplaceAll(name, fresh.schema, j.schema)] = strings.ReplaceAll(create, fresh.schema, j.schema)
	}
	return fmt.Sprint(defined) == fmt.Sprint(here) && fmt.Sprint(rows) == fmt.Sprint(fresh.tables(t, fresh.target))
}
