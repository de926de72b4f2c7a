package engine_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// answer is the first column of a query's rows, with a query that does not work as its only one.
func answer(t *testing.T, s *mysqltest.Server, query string) []string {
	t.Helper()
	c, err := mysql.Connect(t.Context(), s.Config())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	r, err := c.Execute(query)
	if err != nil {
		return []string{err.Error()}
	}
	out := make([]string, r.RowNumber())
	for i := range out {
		out[i], err = r.GetString(i, 0)
		require.NoError(t, err)
	}
	return out
}

// awaitAnswer waits until a query's answer at the target is as given.
func (p *pair) awaitAnswer(t *testing.T, r *running, query string, want ...string) {
	t.Helper()
	var got []string
	defer func() {
		if t.Failed() {
			t.Logf("%s: got %v, want %v", query, got, want)
		}
	}()
	r.await(t, func() bool {
		got = answer(t, p.target, query)
		return slices.Equal(got, want)
	})
}

func TestMapping(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	for name, test := range map[string]func(*testing.T, *pair){
		"names and definitions":                testRename,
		"regular expressions with groups":      testRegex,
		"several schemas become one":           testShared,
		"two tables must not become one":       testClash,
		"a statement that cannot be rewritten": testUnknownStatement,
		"decisions about statements":           testDecisions,
		"row filters":                          testWhere,
		"columns":                              testColumns,
		"columns that cannot be":               testColumnsRefused,
		"filters that cannot be":               testWhereRefused,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

func tableNames(schema string) string {
	return "SELECT table_name FROM information_schema.tables WHERE table_schema = '" + schema + "' ORDER BY CAST(table_name AS BINARY)"
}

func testRename(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE rn CHARACTER SET latin1", "CREATE TABLE rn.parent (id INT PRIMARY KEY)",
		"CREATE TABLE rn.child (id INT PRIMARY KEY, p INT, CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
		"CREATE TABLE rn.other (id INT)", "INSERT INTO rn.parent VALUES (1), (2), (3)", "INSERT INTO rn.child VALUES (1, 1), (2, 2), (3, 3)")
	job := p.job("rename", 1, "")
	job.Do = []filter.SchemaRule{{Schema: "rn", Rename: "rn_new", Tables: []filter.TableRule{
		{Name: "parent", Rename: "mother"}, {Name: "child", Rename: "kid"}, {Name: "late", Rename: "later"}, {Name: "fresh"}, {Name: "a"}, {Name: "b", Rename: "bb"},
	}}}
	p.source.Exec(t, "CREATE TABLE rn.late (id INT)", "CREATE TABLE rn.fresh (id INT)", "CREATE TABLE rn.a (id INT PRIMARY KEY)", "CREATE TABLE rn.b (id INT PRIMARY KEY)")
	run := start(t, job)
	p.awaitAnswer(t, run, "SELECT COUNT(*) FROM rn_new.kid", "3")
	require.Contains(t, answer(t, p.target, "SHOW CREATE TABLE rn_new.kid")[0], "kid")
	require.Equal(t, []string{"mother"}, answer(t, p.target, "SELECT referenced_table_name FROM information_schema.referential_constraints WHERE constraint_schema = 'rn_new'"))
	require.Equal(t, []string{"latin1"}, answer(t, p.target, "SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = 'rn_new'"))

	p.source.Exec(t, "INSERT INTO rn.parent VALUES (4)", "INSERT INTO rn.child VALUES (4, 4)", "DELETE FROM rn.parent WHERE id = 1", "UPDATE rn.child SET id = 20 WHERE id = 2")
	p.awaitAnswer(t, run, "SELECT CONCAT(id, ':', p) FROM rn_new.kid ORDER BY id", "3:3", "4:4", "20:2")
	p.source.Exec(t, "ALTER TABLE rn.child ADD note VARCHAR(20) DEFAULT 'parent'", "CREATE INDEX child ON rn.child (note)",
		"DROP TABLE rn.late, rn.other", "CREATE TABLE rn.late (id INT PRIMARY KEY, c INT REFERENCES rn.child (id))", "INSERT INTO rn.late VALUES (1, 3)",
		"TRUNCATE rn.fresh", "DROP TABLE rn.fresh", "CREATE TABLE rn.fresh LIKE rn.child", "INSERT INTO rn.a VALUES (1)", "INSERT INTO rn.b VALUES (2)",
		"RENAME TABLE rn.a TO rn.tmp, rn.b TO rn.a, rn.tmp TO rn.b", "INSERT INTO rn.a VALUES (20)", "INSERT INTO rn.b VALUES (10)",
		"ALTER DATABASE rn CHARACTER SET utf8mb4")
	p.awaitAnswer(t, run, "SELECT id FROM rn_new.bb ORDER BY id", "1", "10")
	p.awaitAnswer(t, run, "SELECT id FROM rn_new.a ORDER BY id", "2", "20")
	require.Equal(t, []string{"a", "bb", "fresh", "kid", "later", "mother"}, answer(t, p.target, tableNames("rn_new")))
	require.Equal(t, []string{"1"}, answer(t, p.target, "SELECT id FROM rn_new.later"))
	require.Equal(t, []string{"parent"}, answer(t, p.target, "SELECT DISTINCT note FROM rn_new.kid"))
	p.awaitAnswer(t, run, "SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = 'rn_new'", "utf8mb4")
	p.source.Exec(t, "RENAME TABLE rn.b TO rn.gone")
	p.awaitAnswer(t, run, tableNames("rn_new"), "a", "fresh", "gone", "kid", "later", "mother")
	p.source.Exec(t, "DROP DATABASE rn")
	p.awaitAnswer(t, run, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'rn_new'", "0")
	p.awaitAnswer(t, run, "SELECT COUNT(*) FROM opsdeck.replication_mapping WHERE job_id = 'rename'", "0")
	run.stop(t)
	require.Equal(t, []string{"0"}, answer(t, p.target, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'rn'"))
}

func testRegex(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE re_1", "CREATE DATABASE re_2", "CREATE DATABASE other_re_1", "CREATE TABLE re_1.data_a (id INT PRIMARY KEY)",
		"CREATE TABLE re_1.data_skip (id INT PRIMARY KEY)", "CREATE TABLE re_2.data_b (id INT)", "CREATE TABLE re_2.x (id INT)", "CREATE TABLE other_re_1.data_a (id INT)",
		"INSERT INTO re_1.data_a VALUES (1)", "INSERT INTO re_2.data_b VALUES (1)")
	job := p.job("regex", 1, "")
	job.Do = []filter.SchemaRule{{Regex: `^re_(\d)$`, Rename: "tenant_${1}", Tables: []filter.TableRule{{Regex: `^data_(?P<what>.*)$`, Rename: "${what}_rows"}}}}
	job.Ignore = []filter.SchemaRule{{Regex: "^re_", Tables: []filter.TableRule{{Name: "data_skip"}}}}
	run := start(t, job)
	p.awaitAnswer(t, run, "SELECT id FROM tenant_1.a_rows UNION ALL SELECT id FROM tenant_2.b_rows", "1", "1")
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "CREATE TABLE re_2.data_new (id INT PRIMARY KEY)", "INSERT INTO re_2.data_new VALUES (5)", "INSERT INTO re_1.data_skip VALUES (5)",
		"CREATE DATABASE re_3", "CREATE TABLE re_3.data_c (id INT)", "CREATE TABLE re_3.y (id INT)", "INSERT INTO re_3.data_c VALUES (6)", "INSERT INTO re_1.data_a VALUES (7)")
	p.awaitAnswer(t, run, "SELECT id FROM tenant_1.a_rows ORDER BY id", "1", "7")
	require.Equal(t, []string{"5"}, answer(t, p.target, "SELECT id FROM tenant_2.new_rows"))
	require.Equal(t, []string{"c_rows"}, answer(t, p.target, tableNames("tenant_3")))
	require.Equal(t, []string{"a_rows"}, answer(t, p.target, tableNames("tenant_1")))
	run.stop(t)
	// A run that takes over knows the tables that were there before it.
	job.Epoch = 2
	run = start(t, job)
	p.source.Exec(t, "INSERT INTO re_3.data_c VALUES (8)")
	p.awaitAnswer(t, run, "SELECT id FROM tenant_3.c_rows ORDER BY id", "6", "8")
	run.stop(t)
}

func testShared(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE sh_a", "CREATE DATABASE sh_b", "CREATE TABLE sh_a.x (id INT PRIMARY KEY)", "CREATE TABLE sh_b.y (id INT PRIMARY KEY)",
		"INSERT INTO sh_a.x VALUES (1)", "INSERT INTO sh_b.y VALUES (2)")
	job := p.job("shared", 1, "")
	job.Do = []filter.SchemaRule{{Regex: `^sh_[a-z]$`, Rename: "sh_all"}}
	run := start(t, job)
	p.awaitAnswer(t, run, tableNames("sh_all"), "x", "y")
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "CREATE DATABASE sh_c", "CREATE TABLE sh_c.z (id INT)", "CREATE TABLE sh_c.z2 (id INT)", "INSERT INTO sh_c.z VALUES (3)")
	p.awaitAnswer(t, run, "SELECT id FROM sh_all.x UNION SELECT id FROM sh_all.y UNION SELECT id FROM sh_all.z", "1", "2", "3")
	p.source.Exec(t, "DROP DATABASE sh_c", "DROP DATABASE sh_a", "INSERT INTO sh_b.y VALUES (4)")
	p.awaitAnswer(t, run, "SELECT id FROM sh_all.y ORDER BY id", "2", "4")
	require.Equal(t, []string{"y"}, answer(t, p.target, tableNames("sh_all")))
	p.source.Exec(t, "DROP DATABASE sh_b")
	p.awaitAnswer(t, run, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'sh_all'", "0")
	run.stop(t)
}

func testClash(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE cl_a", "CREATE DATABASE cl_b", "CREATE TABLE cl_a.t (id INT PRIMARY KEY)", "CREATE TABLE cl_b.t (id INT PRIMARY KEY)",
		"CREATE TABLE cl_b.u (id INT PRIMARY KEY)")
	job := p.job("clash", 1, "")
	job.Do = []filter.SchemaRule{{Regex: `^cl_[a-z]$`, Rename: "cl_all"}}
	err := engine.Run(t.Context(), job, &listener{}, zap.NewNop())
	require.ErrorContains(t, err, "tables cl_a.t and cl_b.t would both be cl_all.t at the target: change the job's rules and create it anew")
	require.True(t, mysql.Permanent(err))
	job.ID, job.AutoGTID = "clash without a copy", true
	require.ErrorContains(t, engine.Run(t.Context(), job, &listener{}, zap.NewNop()), "would both be cl_all.t")

	p.source.Exec(t, "DROP TABLE cl_a.t")
	job.ID, job.AutoGTID = "clash later", false
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "CREATE TABLE IF NOT EXISTS cl_a.u (id INT PRIMARY KEY)", "INSERT INTO cl_a.u VALUES (1)")
	err = <-run.done
	require.ErrorContains(t, err, "CREATE TABLE IF NOT EXISTS cl_a.u")
	require.ErrorContains(t, err, "tables cl_a.u and cl_b.u would both be cl_all.u at the target")
	require.True(t, mysql.Permanent(err))
	require.Equal(t, []string{"0"}, answer(t, p.target, "SELECT COUNT(*) FROM cl_all.u"))

	job.ID = "clash of names"
	job.Do = []filter.SchemaRule{{Schema: "cl_b", Tables: []filter.TableRule{{Name: "t", Rename: "u"}, {Name: "u"}}}}
	require.ErrorContains(t, engine.Run(t.Context(), job, &listener{}, zap.NewNop()), "replicate_do_db has rules that clash: tables cl_b.t and cl_b.u would both be cl_b.u")
}

// What the complete parser does not know stops a job that would have to rename it, and no other.
func testUnknownStatement(t *testing.T, p *pair) {
	mysqltest.NeedMariaDB(t, "type UUID", mysqltest.Source, mysqltest.Target)
	p.source.Exec(t, "CREATE DATABASE un", "CREATE TABLE un.t (id INT PRIMARY KEY, u UUID)", "INSERT INTO un.t VALUES (1, UUID())")
	job := p.job("unknown statement", 1, "")
	job.Do = []filter.SchemaRule{{Schema: "un", Tables: []filter.TableRule{{Name: "t", Rename: "renamed"}, {Name: "same"}}}}
	p.source.Exec(t, "CREATE TABLE un.same (id INT PRIMARY KEY)")
	run := start(t, job)
	p.awaitAnswer(t, run, "SELECT COUNT(*) FROM un.renamed", "1")
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "ALTER TABLE un.same NOWAIT ADD u UUID", "INSERT INTO un.same VALUES (1, UUID())")
	p.awaitAnswer(t, run, "SELECT COUNT(u) FROM un.same", "1")
	p.source.Exec(t, "ALTER TABLE un.t NOWAIT ADD v UUID")
	err := <-run.done
	require.ErrorContains(t, err, "ALTER TABLE un.t NOWAIT ADD v UUID")
	require.ErrorContains(t, err, "statement is not understood")
	require.True(t, mysql.Permanent(err))
	var stopped *apply.StoppedError
	require.ErrorAs(t, err, &stopped)

	// The operator says what to do instead; later statements are not concerned.
	p.source.Exec(t, "INSERT INTO un.t (id) VALUES (2)", "CREATE OR REPLACE TABLE un.t (id INT PRIMARY KEY)")
	job.Epoch, job.Decisions = 2, []ddl.Decision{{Position: stopped.Position, Replacement: "ALTER TABLE un.renamed ADD v UUID"}, {Position: "none:1"}}
	run = start(t, job)
	err = <-run.done
	events, _, _ := run.snapshot()
	require.Contains(t, events, "ddl_replaced: as decided, the statement at "+stopped.Position+" is replaced by ALTER TABLE un.renamed ADD v UUID")
	require.ErrorContains(t, err, "CREATE OR REPLACE TABLE un.t")
	require.Equal(t, []string{"2"}, answer(t, p.target, "SELECT COUNT(*) FROM un.renamed WHERE v IS NULL"))
	require.ErrorAs(t, err, &stopped)
	p.target.Exec(t, "CREATE OR REPLACE TABLE un.renamed (id INT PRIMARY KEY)")
	job.Epoch, job.Decisions = 3, append(job.Decisions, ddl.Decision{Position: stopped.Position})
	p.source.Exec(t, "INSERT INTO un.t VALUES (3)")
	run = start(t, job)
	p.awaitAnswer(t, run, "SELECT id FROM un.renamed", "3")
	run.stop(t)
	events, _, _ = run.snapshot()
	require.Contains(t, events, "ddl_skipped: as decided, the statement at "+stopped.Position+" is left out: CREATE OR REPLACE TABLE un.t")
	require.NotContains(t, events, "ddl_replaced", "once is enough")
}

// A statement that the target refuses, and one that nobody understands, wait for the operator as well. A replacement that is refused can be
// replaced.
func testDecisions(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE de", "CREATE TABLE de.t (id INT PRIMARY KEY, v INT)")
	job := p.job("decisions", 1, "de")
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	p.target.Exec(t, "ALTER TABLE de.t DROP v, ADD w INT")
	p.source.Exec(t, "ALTER TABLE de.t CHANGE v w INT", "INSERT INTO de.t VALUES (1, 1)", "ALTER TABLE de.t ADD x INT")
	p.source.Exec(t, mysqltest.Known("SET STATEMENT lock_wait_timeout = 100 FOR ALTER TABLE de.t ADD y INT")...)
	decide := func(err error, replacement string) {
		var stopped *apply.StoppedError
		require.ErrorAs(t, err, &stopped)
		job.Epoch++
		job.Decisions = append(slices.DeleteFunc(job.Decisions, func(d ddl.Decision) bool { return d.Position == stopped.Position }),
			ddl.Decision{Position: stopped.Position, Replacement: replacement})
		run = start(t, job)
	}
	err := <-run.done
	require.ErrorContains(t, err, "ALTER TABLE de.t CHANGE v w INT")
	decide(err, "ALTER TABLE de.t ADD w INT")
	err = <-run.done
	require.ErrorContains(t, err, "ALTER TABLE de.t ADD w INT")
	decide(err, "")
	p.awaitAnswer(t, run, "SELECT column_name FROM information_schema.columns WHERE table_schema = 'de' ORDER BY column_name",
		answer(t, p.source, "SELECT column_name FROM information_schema.columns WHERE table_schema = 'de' ORDER BY column_name")...)
	p.awaitEqual(t, run, "de")
	run.stop(t)
}
