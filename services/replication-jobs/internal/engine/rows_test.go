package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func testWhere(t *testing.T, p *pair) {
	p.source.Exec(t, "SET NAMES utf8mb4", "CREATE DATABASE wh CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
		"CREATE TABLE wh.t (id INT PRIMARY KEY, state VARCHAR(10), n INT, d DATETIME(3))", "CREATE TABLE wh.nokey (a INT, b VARCHAR(10))",
		"CREATE TABLE wh.parent (id INT PRIMARY KEY, live INT)", "CREATE TABLE wh.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
		"INSERT INTO wh.t SELECT seq, ELT(1 + seq % 3, 'new', 'PAID', NULL), seq % 10, '2024-01-01' + INTERVAL seq HOUR FROM mysql.seq_1_to_5000",
		"INSERT INTO wh.nokey SELECT seq % 10, seq % 7 FROM mysql.seq_1_to_500", "INSERT INTO wh.parent VALUES (1, 1), (2, 1), (3, 0)", "INSERT INTO wh.child VALUES (1, 1), (2, 2)")
	const where = "(state = 'paid' OR n > 7 AND d < '2024-03-01') AND id % 5 <> 0"
	job := p.job("where", 1, "")
	job.Do = []filter.SchemaRule{{Schema: "wh", Rename: "wh_new", Tables: []filter.TableRule{
		{Name: "t", Rename: "some", Where: where}, {Name: "nokey", Where: "a IN (1, 2) AND b <> '3'"}, {Name: "parent", Where: "live"}, {Name: "child"},
	}}}
	tables := map[string]string{
		"SELECT CONCAT_WS(',', id, IFNULL(state, '-'), n, d) FROM %s WHERE " + where + " ORDER BY id": "t some",
		"SELECT CONCAT(a, ',', b) FROM %s WHERE a IN (1, 2) AND b <> '3' ORDER BY a, b":               "nokey nokey",
	}
	same := func(run *running) {
		t.Helper()
		for query, names := range tables {
			from, to, _ := strings.Cut(names, " ")
			p.awaitAnswer(t, run, fmt.Sprintf(strings.Replace(query, "WHERE ", "WHERE 1 OR ", 1), "wh_new."+to), answer(t, p.source, fmt.Sprintf(query, "wh."+from))...)
		}
	}
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	same(run)
	p.source.Exec(t, "SET NAMES utf8mb4",
		"UPDATE wh.t SET state = 'Paid' WHERE id BETWEEN 100 AND 200",  // rows come in
		"UPDATE wh.t SET state = 'new' WHERE id BETWEEN 150 AND 250",   // and go, and come by another column
		"UPDATE wh.t SET id = id + 10000 WHERE id BETWEEN 300 AND 350", // keys change
		"DELETE FROM wh.t WHERE id = 411", "UPDATE wh.t SET id = id + 1 WHERE id BETWEEN 400 AND 410 ORDER BY id DESC", "DELETE FROM wh.t WHERE id % 11 = 0",
		"INSERT INTO wh.t SELECT seq, 'paid', 1, NULL FROM mysql.seq_20001_to_20100", "UPDATE wh.nokey SET a = 1 WHERE a = 5", "UPDATE wh.nokey SET b = '3' WHERE a = 2",
		"DELETE FROM wh.nokey WHERE b = '1'", "INSERT INTO wh.nokey VALUES (1, '9'), (3, '9')", "ALTER TABLE wh.t ADD extra INT FIRST, ADD KEY (n)",
		"UPDATE wh.t SET n = 9 WHERE n = 3",
		// The parent leaves the filter: its child stays. Another one is deleted, and its child with it.
		"UPDATE wh.parent SET live = 0 WHERE id = 1", "DELETE FROM wh.parent WHERE id = 2", "UPDATE wh.parent SET live = 5 WHERE id = 3")
	same(run)
	p.awaitAnswer(t, run, "SELECT id FROM wh_new.parent", "3")
	p.awaitAnswer(t, run, "SELECT id FROM wh_new.child", "1")
	// A table may not come under a rule that takes other rows.
	p.source.Exec(t, "RENAME TABLE wh.t TO wh.child2, wh.nokey TO wh.t")
	require.ErrorContains(t, <-run.done, "table wh.nokey becomes wh.t, of which other columns or rows are replicated")
}

func testWhereRefused(t *testing.T, p *pair) {
	for _, s := range []*mysqltest.Server{p.source, p.target} {
		s.Exec(t, "CREATE DATABASE wr", "CREATE TABLE wr.t (id INT PRIMARY KEY, s VARCHAR(9) COLLATE utf8mb4_unicode_ci, g INT AS (id + 1), u BIGINT UNSIGNED)")
	}
	p.source.Exec(t, "INSERT INTO wr.t (id, u) VALUES (1, 1)")
	p.target.Exec(t, "ALTER TABLE wr.t MODIFY u BIGINT")
	for where, want := range map[string]string{
		"s = 'x'":    "the filter of table wr.t: `s`='x': the collation utf8mb4_unicode_ci",
		"nosuch = 1": "the filter of table wr.t: the condition names column nosuch",
		"g = 1":      "the filter of table wr.t uses column g, which is generated",
		"u = 1":      "the filter of table wr.t uses column u, which is not the same at the target",
		"id + ":      "replicate_do_db[0].tables[0].where is refused: the condition cannot be read",
	} {
		for _, step := range []engine.Step{engine.StepAll, engine.StepIncr} {
			job := p.job("where refused "+where+string(step), 1, "")
			job.Step, job.SkipCreateDBTable = string(step), true
			job.Do = []filter.SchemaRule{{Schema: "wr", Tables: []filter.TableRule{{Name: "t", Where: where}}}}
			err := engine.Run(t.Context(), job, &listener{}, zap.NewNop())
			require.ErrorContains(t, err, want)
			require.True(t, mysql.Permanent(err))
		}
	}
	job := p.job("where out of range", 1, "")
	job.Do = []filter.SchemaRule{{Schema: "wr", Rename: "wr2", Tables: []filter.TableRule{{Name: "t", Where: "u - 2 > 0"}}}}
	require.ErrorContains(t, engine.Run(t.Context(), job, &listener{}, zap.NewNop()), "the filter of table wr.t fails for a row: a BIGINT value of the condition is out of range")
}

func testColumns(t *testing.T, p *pair) {
	address := "UUID" // which the parser does not know
	if !mysqltest.Has(address) {
		address = "CHAR(36)"
	}
	p.source.Exec(t, "CREATE DATABASE co", "CREATE TABLE co.other (id BIGINT PRIMARY KEY)", "INSERT INTO co.other VALUES (1), (3)", `CREATE TABLE co.t (secret VARCHAR(20), id INT PRIMARY KEY, n INT NOT NULL DEFAULT 5 COMMENT 'secret, (n)', s VARCHAR(20),
		u `+address+`, x INT, UNIQUE KEY (secret), KEY pair (n, secret), KEY kept (s(5), n), CHECK (secret <> ''), CONSTRAINT c CHECK (n > 0), KEY hidden (x, secret), KEY veiled (x), CONSTRAINT checked CHECK (secret <> '9'))`,
		"CREATE TABLE co.nokey (a INT, b INT, c INT)", "INSERT INTO co.t SELECT CONCAT('s', seq), seq, seq % 7 + 1, CONCAT('v', seq), UUID(), 1 FROM mysql.seq_1_to_3000",
		"INSERT INTO co.nokey SELECT seq % 3, seq % 5, seq FROM mysql.seq_1_to_100")
	job := p.job("columns", 1, "")
	job.Do = []filter.SchemaRule{{Schema: "co", Tables: []filter.TableRule{
		{Name: "t", Rename: "t2", Columns: []string{"s", "ID", "n"}, Where: "n < 7"},
		{Name: "nokey", Rename: "nk", Columns: []string{"b", "a"}},
		{Regex: "^late", Columns: []string{"v", "id"}},
	}}}
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	same := func() {
		t.Helper()
		p.awaitAnswer(t, run, "SELECT CONCAT_WS(',', s, id, n) FROM co.t2 ORDER BY id", answer(t, p.source, "SELECT CONCAT_WS(',', s, id, n) FROM co.t WHERE n < 7 ORDER BY id")...)
		p.awaitAnswer(t, run, "SELECT CONCAT_WS(',', b, a) FROM co.nk ORDER BY a, b", answer(t, p.source, "SELECT CONCAT_WS(',', b, a) FROM co.nokey ORDER BY a, b")...)
	}
	same()
	layout := "SELECT CONCAT(column_name, ' ', REPLACE(column_type, '(11)', '')) FROM information_schema.columns WHERE table_schema = 'co' AND table_name = '%s' ORDER BY ordinal_position"
	require.Equal(t, []string{"s varchar(20)", "id int", "n int"}, answer(t, p.target, fmt.Sprintf(layout, "t2")))
	keys := "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = 'co' AND table_name = 't2' ORDER BY index_name"
	require.Equal(t, []string{"kept", "PRIMARY"}, answer(t, p.target, keys))
	p.source.Exec(t, "UPDATE co.t SET secret = CONCAT('x', secret) WHERE id < 100", "UPDATE co.t SET n = n + 1 WHERE id % 3 = 0", "DELETE FROM co.t WHERE id % 10 = 0",
		"INSERT INTO co.t VALUES ('new', 10000, 2, 'w', UUID(), 3)", "UPDATE co.nokey SET c = -c", "DELETE FROM co.nokey WHERE a = 1 AND b = 2", "UPDATE co.nokey SET b = 9 WHERE c = -5")
	same()
	// Definitions move the source's columns about.
	p.source.Exec(t, "ALTER TABLE co.t ADD first_ INT FIRST, DROP COLUMN u, ADD (y INT, z INT)", "UPDATE co.t SET n = 3 WHERE id = 11",
		"ALTER TABLE co.t MODIFY id INT AFTER z, CHANGE x renamed BIGINT FIRST, MODIFY s VARCHAR(30) COMMENT 'it''s \\\\ wide' FIRST", "UPDATE co.t SET s = 'moved' WHERE id = 12",
		"ALTER TABLE co.t RENAME COLUMN y TO yy, ADD KEY more (n, id), ADD KEY secrets (secret)", "CREATE INDEX another ON co.t (s)", "CREATE INDEX other ON co.t (z)", "DROP INDEX other ON co.t", "DROP INDEX secrets ON co.t",
		"UPDATE co.t SET secret = id, n = 4 WHERE id = 13", "CREATE TABLE co.late_a (id INT PRIMARY KEY, w INT, v INT)", "CREATE TABLE co.late_b LIKE co.late_a",
		"INSERT INTO co.late_a VALUES (1, 2, 3)", "INSERT INTO co.late_b VALUES (4, 5, 6)", "RENAME TABLE co.late_a TO co.late_c, co.late_b TO co.late_a",
		"ALTER TABLE co.late_a DROP w, RENAME TO co.late_d", "INSERT INTO co.late_d VALUES (7, 8)", "INSERT INTO co.late_c VALUES (9, 10, 11)", "DELETE FROM co.nokey WHERE a = 0")
	same()
	p.awaitAnswer(t, run, "SELECT CONCAT(v, ',', id) FROM co.late_c UNION SELECT CONCAT(v, ',', id) FROM co.late_d", "3,1", "11,9", "6,4", "8,7")
	require.Equal(t, []string{"s varchar(30)", "id int", "n int"}, answer(t, p.target, fmt.Sprintf(layout, "t2")))
	require.Equal(t, []string{"another", "kept", "more", "PRIMARY"}, answer(t, p.target, keys))
	require.Equal(t, []string{`it's \ wide`}, answer(t, p.target, "SELECT column_comment FROM information_schema.columns WHERE table_schema = 'co' AND table_name = 't2' AND column_name = 's'"))
	// Of keys and constraints that are not there nothing can be dropped.
	p.source.Exec(t, "ALTER TABLE co.t DROP INDEX pair", "ALTER TABLE co.t DROP KEY hidden, RENAME INDEX veiled TO unveiled, RENAME KEY more TO most, COMMENT = 'new'",
		"ALTER TABLE co.t ADD CONSTRAINT fk FOREIGN KEY (renamed) REFERENCES co.other (id)", "ALTER TABLE co.t DROP FOREIGN KEY fk", "ALTER TABLE co.t DROP CONSTRAINT checked", "ALTER TABLE co.t DROP CONSTRAINT c, DROP INDEX unveiled, DROP INDEX another", "UPDATE co.t SET n = 5 WHERE id = 15")
	same()
	require.Equal(t, []string{"kept", "most", "PRIMARY"}, answer(t, p.target, keys))
	require.Equal(t, []string{"PRIMARY"}, answer(t, p.target, "SELECT constraint_name FROM information_schema.table_constraints WHERE table_schema = 'co' AND table_name = 't2'"))
	require.Equal(t, []string{"new"}, answer(t, p.target, "SELECT table_comment FROM information_schema.tables WHERE table_schema = 'co' AND table_name = 't2'"))
	run.stop(t)
	job.Epoch = 2
	run = start(t, job)
	p.source.Exec(t, "UPDATE co.t SET n = 6 WHERE id = 14")
	same()
	p.source.Exec(t, "ALTER TABLE co.t DROP COLUMN s")
	require.ErrorContains(t, <-run.done, "column_map_from names column s, which it drops, adds or renames")
}

func testColumnsRefused(t *testing.T, p *pair) {
	for _, s := range []*mysqltest.Server{p.source, p.target} {
		s.Exec(t, "CREATE DATABASE cr", "CREATE TABLE cr.t (a INT, b INT, g INT AS (b + 1), PRIMARY KEY (a, b))")
	}
	for want, rule := range map[string]filter.TableRule{
		"column_map_from of table cr.t leaves out column b of its key":             {Name: "t", Columns: []string{"a", "g"}},
		"column_map_from of table cr.t names column x, which the table does":       {Name: "t", Columns: []string{"a", "b", "x"}},
		"where uses column b, which column_map_from leaves out":                    {Name: "t", Columns: []string{"a"}, Where: "b = 1"},
		"column_map_from[1] is empty or names a column again":                      {Name: "t", Columns: []string{"a", "A"}},
		"must have the columns of column_map_from in that order, b, a, and has a,": {Name: "t", Columns: []string{"b", "a"}},
	} {
		for _, step := range []engine.Step{engine.StepAll, engine.StepIncr} {
			job := p.job("columns refused "+want[:30]+string(step), 1, "")
			job.Step, job.SkipCreateDBTable = string(step), true
			job.Do = []filter.SchemaRule{{Schema: "cr", Tables: []filter.TableRule{rule}}}
			err := engine.Run(t.Context(), job, &listener{}, zap.NewNop())
			require.ErrorContains(t, err, want)
			require.True(t, mysql.Permanent(err))
		}
	}
}
