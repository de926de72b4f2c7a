package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// TestOnlineDefinitions runs what gh-ost and pt-online-schema-change run, in their order, at a source of which the job names one table only.
func TestOnlineDefinitions(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	for name, test := range map[string]struct {
		tool   func(schema string) []string
		kept   []string // the table at the target, and what is left of the tool's
		rename string
		rule   filter.TableRule
	}{
		"gh-ost, the table alone":         {ghost, []string{"a", "_a_del"}, "", filter.TableRule{Name: "a"}},
		"gh-ost, renamed and filtered":    {ghost, []string{"b", "_b_del"}, "to", filter.TableRule{Name: "a", Rename: "b", Where: "v < 1000", Columns: []string{"v", "id"}}},
		"gh-ost, by a regular expression": {ghost, []string{"x_a", "_x_a_del"}, "", filter.TableRule{Regex: "^(a)$", Rename: "x_$1"}},
		"pt-osc, the table alone":         {percona, []string{"a"}, "", filter.TableRule{Name: "a"}},
		"pt-osc, renamed and filtered":    {percona, []string{"b"}, "to", filter.TableRule{Name: "a", Rename: "b", Where: "v < 1000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := fmt.Sprintf("online_%x", name)[:40]
			p.source.Exec(t, "CREATE DATABASE "+schema, "CREATE TABLE "+schema+".a (id INT PRIMARY KEY, v INT)", "CREATE TABLE "+schema+".other (id INT)",
				"INSERT INTO "+schema+".a SELECT seq, seq FROM mysql.seq_1_to_2000")
			job := p.job(name, 1, "")
			there := schema
			if test.rename != "" {
				there = schema + "_to"
			}
			job.Do = []filter.SchemaRule{{Schema: schema, Rename: there, Tables: []filter.TableRule{test.rule}}}
			run := start(t, job)
			run.awaitEvent(t, "job_stage_incr")
			for _, statement := range test.tool(schema) {
				p.source.Exec(t, statement)
			}
			p.source.Exec(t, "INSERT INTO "+schema+".a (id, v) VALUES (9001, 1)", "DELETE FROM "+schema+".a WHERE id = 5")
			where := "1"
			if test.rule.Where != "" {
				where = test.rule.Where
			}
			table := test.kept[0]
			query := "SELECT CONCAT(id, ':', v) FROM %s.%s WHERE %s ORDER BY id"
			p.awaitAnswer(t, run, fmt.Sprintf(query, there, table, "1"), answer(t, p.source, fmt.Sprintf(query, schema, "a", where))...)
			p.awaitAnswer(t, run, tableNames(there), slices.Sorted(slices.Values(test.kept))...)
			columns := "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = '" + there + "' AND table_name = '" + table + "' AND data_type = 'bigint'"
			require.Equal(t, []string{"1"}, answer(t, p.target, columns), "the new definition has arrived")
			run.stop(t)
		})
	}
}

// ghost is an alteration by gh-ost: a log of its own, a ghost that is altered and filled, a sentry table against a premature swap, the swap.
func ghost(schema string) []string {
	s := func(format string) string { return fmt.Sprintf(format, schema) }
	return []string{
		s("DROP TABLE IF EXISTS %[1]s._a_gho"), s("DROP TABLE IF EXISTS %[1]s._a_del"), s("DROP TABLE IF EXISTS %[1]s._a_ghc"),
		s("CREATE /* gh-ost */ TABLE %[1]s._a_ghc (id BIGINT AUTO_INCREMENT, last_update TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, hint VARCHAR(64) CHARSET ascii NOT NULL, value VARCHAR(4096) CHARSET ascii NOT NULL, PRIMARY KEY (id), UNIQUE KEY hint_uidx (hint))"),
		s("CREATE /* gh-ost */ TABLE %[1]s._a_gho LIKE %[1]s.a"), s("ALTER /* gh-ost */ TABLE %[1]s._a_gho ADD note VARCHAR(9), MODIFY v BIGINT"),
		s("INSERT /* gh-ost */ INTO %[1]s._a_ghc (hint, value) VALUES ('state', 'GhostTableMigrated')"),
		s("INSERT /* gh-ost */ IGNORE INTO %[1]s._a_gho (id, v) SELECT id, v FROM %[1]s.a WHERE id <= 1500"),
		s("UPDATE %[1]s.a SET v = v + 500 WHERE id BETWEEN 400 AND 600"), s("REPLACE /* gh-ost */ INTO %[1]s._a_gho (id, v) SELECT id, v FROM %[1]s.a WHERE id BETWEEN 400 AND 600"),
		s("DELETE FROM %[1]s.a WHERE id = 7"), s("DELETE /* gh-ost */ FROM %[1]s._a_gho WHERE id = 7"),
		s("INSERT /* gh-ost */ IGNORE INTO %[1]s._a_gho (id, v) SELECT id, v FROM %[1]s.a WHERE id > 1500"),
		s("CREATE /* gh-ost */ TABLE %[1]s._a_del (id INT AUTO_INCREMENT PRIMARY KEY, v INT) ENGINE=InnoDB COMMENT='ghost-cut-over-sentry'"), s("DROP TABLE IF EXISTS %[1]s._a_del"),
		s("RENAME /* gh-ost */ TABLE %[1]s.a TO %[1]s._a_del, %[1]s._a_gho TO %[1]s.a"), s("DROP TABLE IF EXISTS %[1]s._a_ghc"),
	}
}

// percona is an alteration by pt-online-schema-change: triggers keep the copy up to date.
func percona(schema string) []string {
	s := func(format string) string { return fmt.Sprintf(format, schema) }
	return []string{
		s("CREATE TABLE %[1]s._a_new (id INT NOT NULL, v INT, PRIMARY KEY (id))"), s("ALTER TABLE %[1]s._a_new ADD note VARCHAR(9), MODIFY v BIGINT"),
		s("CREATE TRIGGER %[1]s.pt_osc_del AFTER DELETE ON %[1]s.a FOR EACH ROW DELETE IGNORE FROM %[1]s._a_new WHERE _a_new.id <=> OLD.id"),
		s("CREATE TRIGGER %[1]s.pt_osc_upd AFTER UPDATE ON %[1]s.a FOR EACH ROW REPLACE INTO %[1]s._a_new (id, v) VALUES (NEW.id, NEW.v)"),
		s("CREATE TRIGGER %[1]s.pt_osc_ins AFTER INSERT ON %[1]s.a FOR EACH ROW REPLACE INTO %[1]s._a_new (id, v) VALUES (NEW.id, NEW.v)"),
		s("INSERT LOW_PRIORITY IGNORE INTO %[1]s._a_new (id, v) SELECT id, v FROM %[1]s.a WHERE id <= 1500 LOCK IN SHARE MODE"),
		s("UPDATE %[1]s.a SET v = v + 500 WHERE id BETWEEN 400 AND 600"), s("DELETE FROM %[1]s.a WHERE id = 7"), s("INSERT INTO %[1]s.a VALUES (3000, 3)"),
		s("INSERT LOW_PRIORITY IGNORE INTO %[1]s._a_new (id, v) SELECT id, v FROM %[1]s.a WHERE id > 1500 LOCK IN SHARE MODE"),
		s("ANALYZE TABLE %[1]s._a_new"), s("RENAME TABLE %[1]s.a TO %[1]s._a_old, %[1]s._a_new TO %[1]s.a"), s("DROP TABLE IF EXISTS %[1]s._a_old"),
		s("DROP TRIGGER IF EXISTS %[1]s.pt_osc_del"), s("DROP TRIGGER IF EXISTS %[1]s.pt_osc_upd"), s("DROP TRIGGER IF EXISTS %[1]s.pt_osc_ins"),
	}
}
