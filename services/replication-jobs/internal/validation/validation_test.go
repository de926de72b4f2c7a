package validation

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/matrix"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a source and a target with the schema shop, and accounts with the rights that a job needs.
type pair struct{ source, target *mysqltest.Server }

func startPair(t *testing.T) pair {
	t.Helper()
	p := pair{mysqltest.Start(t, 1), mysqltest.Start(t, 2)}
	defaultRole := "SET DEFAULT ROLE reader FOR roled@'%'"
	if p.source.IsMySQL() {
		defaultRole = "SET DEFAULT ROLE reader TO roled@'%'"
	}
	p.source.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, what VARCHAR(40))", "CREATE TABLE shop.log (what VARCHAR(40))",
		"CREATE USER repl@'%' IDENTIFIED BY 'p'", "GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO repl@'%'",
		"CREATE USER poor@'%' IDENTIFIED BY 'p'", "GRANT SELECT (id) ON shop.orders TO poor@'%'",
		"CREATE ROLE reader", "GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO reader",
		"CREATE USER roled@'%' IDENTIFIED BY 'p'", "GRANT reader TO roled@'%'", defaultRole,
		"CREATE USER idle@'%' IDENTIFIED BY 'p'", "GRANT reader TO idle@'%'")
	p.target.Exec(t, "CREATE USER repl@'%' IDENTIFIED BY 'p'", "GRANT ALL PRIVILEGES ON shop.* TO repl@'%'", "GRANT ALL PRIVILEGES ON opsdeck.* TO repl@'%'",
		"CREATE USER poor@'%' IDENTIFIED BY 'p'", "GRANT SELECT, INSERT ON `sh%`.* TO poor@'%'")
	return p
}

func as(s *mysqltest.Server, user string) mysql.Config {
	c := s.Config()
	c.User, c.Password = user, "p"
	return c
}

func (p pair) job(t *testing.T, change func(*Job)) Job {
	t.Helper()
	selection, err := mapping.New([]filter.SchemaRule{{Schema: "shop"}}, nil)
	require.NoError(t, err)
	j := Job{Source: as(p.source, "repl"), Target: as(p.target, "repl"), Mapping: selection, Copies: true, Follows: true}
	if change != nil {
		change(&j)
	}
	return j
}

func (p pair) report(t *testing.T, change func(*Job)) *Report {
	t.Helper()
	r, err := Run(t.Context(), p.job(t, change))
	require.NoError(t, err)
	return r
}

func TestValidation(t *testing.T) {
	p := startPair(t)
	t.Run("nothing is wrong", func(t *testing.T) {
		r := p.report(t, nil)
		for name, check := range map[string]*Problems{
			"source connection": r.Source.Connection, "source privileges": r.Source.Privileges, "gtid": r.Source.GTIDMode, "server id": r.Source.ServerID,
			"binlog": r.Source.Binlog, "target connection": r.Target.Connection, "target privileges": r.Target.Privileges, "errors": &r.Errors,
		} {
			require.NotNil(t, check, name)
			require.Empty(t, *check, name)
		}
		require.Nil(t, r.Target.Binlog, "the target's binary log does not matter")
		require.Len(t, r.Warnings, 1)
		require.Contains(t, r.Warnings[0], "shop.log", "a table without key is named")
	})
	t.Run("a relay log takes disk", func(t *testing.T) {
		r := p.report(t, func(j *Job) { j.RelayMiB = 64 })
		require.Empty(t, r.Errors)
		require.Len(t, r.Warnings, 2)
		require.Contains(t, r.Warnings[1]+r.Warnings[0], "up to 64 MiB on the node's disk")
	})
	t.Run("what is left out is named", func(t *testing.T) {
		p.source.Exec(t, "CREATE VIEW shop.v AS SELECT 1", "CREATE DATABASE elsewhere", "CREATE VIEW elsewhere.v AS SELECT 1")
		r := p.report(t, nil)
		p.source.Exec(t, "DROP VIEW shop.v")
		require.Contains(t, r.Warnings, "the source has these, which the job does not replicate: 1 views (shop.v)")
	})
	t.Run("privileges for views, triggers, routines and events", func(t *testing.T) {
		r := p.report(t, func(j *Job) {
			j.Objects = objects.Kinds([]string{"views", "triggers", "routines", "events", "sequences"})
		})
		require.Contains(t, r.Source.Privileges.text(), "lacks SHOW VIEW on shop.*")
		require.Contains(t, r.Source.Privileges.text(), "lacks TRIGGER on shop.*")
		require.Contains(t, r.Source.Privileges.text(), "lacks EVENT on shop.*")
		require.NotContains(t, r.Source.Privileges.text(), "mysql.proc", "SELECT on everything is enough")
		require.Empty(t, *r.Target.Privileges, "all privileges on the schema are")
		require.Contains(t, r.Warnings.text(), "lacks SET USER")
		require.Contains(t, r.Warnings.text(), "log_bin_trust_function_creators")
		r = p.report(t, func(j *Job) { j.Objects, j.Target = objects.Kinds([]string{"events"}), as(p.target, "poor") })
		require.Contains(t, r.Target.Privileges.text(), "lacks EVENT on shop.*")
	})
	t.Run("triggers that a job has copied do not stand in its way", func(t *testing.T) {
		p.target.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, what VARCHAR(40))",
			"CREATE TRIGGER shop.own BEFORE INSERT ON shop.orders FOR EACH ROW "+ddl.Guard+"SET NEW.what = 'x'; END IF")
		defer p.target.Exec(t, "DROP DATABASE shop")
		require.Empty(t, p.report(t, nil).Errors)
	})
	t.Run("further addresses of the source", func(t *testing.T) {
		nobody := p.source.Config()
		nobody.Port = 1
		r := p.report(t, func(j *Job) { j.Alternates = []mysql.Config{as(p.source, "repl"), as(p.target, "poor"), nobody} })
		require.Empty(t, *r.Source.Connection)
		require.NotContains(t, r.Warnings.text(), as(p.source, "repl").Addr()+", one of mysql_addresses, cannot take the place of the source: the account")
		require.Contains(t, r.Warnings.text(), as(p.target, "poor").Addr()+", one of mysql_addresses, cannot take the place of the source: the account lacks REPLICATION SLAVE")
		require.Contains(t, r.Warnings.text(), "127.0.0.1:1, one of mysql_addresses, cannot take the place of the source: 127.0.0.1:1")
	})
	t.Run("what others replicate to", func(t *testing.T) {
		c := p.target.Connect(t)
		require.NoError(t, progress.Ensure(c))
		_, err := progress.Claim(c, "other-migration", "one", 1)
		require.NoError(t, err)
		rec, err := progress.NewRecorder(c, "other-migration", 1)
		require.NoError(t, err)
		require.NoError(t, rec.PutOwn([]ddl.Name{{Schema: "shop", Table: "log"}, {Schema: "shop", Table: "gone"}}))
		defer p.target.Exec(t, "DROP DATABASE opsdeck")
		require.Contains(t, p.report(t, nil).Warnings, "job other-migration replicates to shop.log of the target already: another job is refused there until that one is deleted")
	})
	t.Run("what has no effect is named", func(t *testing.T) {
		require.Contains(t, p.report(t, func(j *Job) { j.SourceDependency = true }).Warnings, engine.NoDependency)
	})
	t.Run("a default role counts, another does not", func(t *testing.T) {
		require.Empty(t, *p.report(t, func(j *Job) { j.Source = as(p.source, "roled") }).Source.Privileges)
		require.NotEmpty(t, *p.report(t, func(j *Job) { j.Source = as(p.source, "idle") }).Source.Privileges)
	})
	t.Run("a source that another node reaches", func(t *testing.T) {
		unreached := func(node string) string {
			return p.report(t, func(j *Job) { j.Source.Port, j.SourceNode = 1, node }).Warnings.text()
		}
		require.Contains(t, unreached("far"), "the job reaches it from the node far, which may see it all the same")
		require.NotContains(t, unreached(""), "node")
		require.NotContains(t, p.report(t, func(j *Job) { j.SourceNode = "far" }).Warnings.text(), "node")
	})
	t.Run("privileges are missing", func(t *testing.T) {
		r := p.report(t, func(j *Job) { j.Source, j.Target = as(p.source, "poor"), as(p.target, "poor") })
		require.Contains(t, r.Source.Privileges.text(), "REPLICATION SLAVE")
		require.Contains(t, r.Source.Privileges.text(), "BINLOG MONITOR")
		require.Contains(t, r.Source.Privileges.text(), "SELECT on shop.orders", "one column is not the table")
		require.Contains(t, r.Target.Privileges.text(), "UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES on shop.*")
		require.NotContains(t, r.Target.Privileges.text(), "INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX")
		require.Contains(t, r.Target.Privileges.text(), "on opsdeck.*")
		require.Contains(t, r.Warnings.text(), "RELOAD")
	})
	t.Run("a wrong password", func(t *testing.T) {
		r := p.report(t, func(j *Job) { j.Source.Password = "wrong" })
		require.Len(t, *r.Source.Connection, 1)
		require.NotContains(t, r.Source.Connection.text(), "wrong")
		require.Nil(t, r.Source.Privileges)
		require.Empty(t, *r.Target.Privileges, "the target is looked at all the same")
	})
	t.Run("nobody listens", func(t *testing.T) {
		r := p.report(t, func(j *Job) { j.Target.Port = 1 })
		require.Len(t, *r.Target.Connection, 1)
		require.Empty(t, *r.Source.Connection)
	})
	t.Run("a schema that is not there", func(t *testing.T) {
		r := p.report(t, func(j *Job) {
			var err error
			j.Mapping, err = mapping.New([]filter.SchemaRule{{Schema: "nowhere"}}, nil)
			require.NoError(t, err)
		})
		require.Contains(t, r.Errors.text(), "nowhere")
	})
	t.Run("what the rules make of the tables", func(t *testing.T) {
		r := p.report(t, func(j *Job) {
			var err error
			j.Mapping, err = mapping.New([]filter.SchemaRule{{Schema: "shop", Rename: "store", Tables: []filter.TableRule{
				{Name: "orders", Where: "nosuch = 1"}, {Regex: "^log$", Rename: "orders"},
			}}}, nil)
			require.NoError(t, err)
		})
		require.Contains(t, r.Errors.text(), "tables shop.log and shop.orders would both be store.orders")
		require.Contains(t, r.Errors.text(), "the filter of table shop.orders: the condition names column nosuch")
		require.Contains(t, r.Target.Privileges.text(), "on store.*")
	})
	t.Run("the target's own tables are missing", func(t *testing.T) {
		require.Contains(t, p.report(t, func(j *Job) { j.SkipCreate = true }).Errors.text(), "no table shop.log, shop.orders")
	})
	t.Run("the target has rows", func(t *testing.T) {
		p.target.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY)", "INSERT INTO shop.orders VALUES (1)")
		defer p.target.Exec(t, "DROP DATABASE shop")
		require.Contains(t, p.report(t, nil).Errors.text(), "rows in shop.orders")
		require.Empty(t, p.report(t, func(j *Job) { j.DropTables = true }).Errors)
	})
	t.Run("the target has triggers", func(t *testing.T) {
		p.target.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY)", "CREATE TABLE shop.others (id INT PRIMARY KEY)",
			"CREATE TRIGGER shop.counts AFTER INSERT ON shop.orders FOR EACH ROW SET @n = 1",
			"CREATE TRIGGER shop.harmless AFTER INSERT ON shop.others FOR EACH ROW SET @n = 1")
		defer p.target.Exec(t, "DROP DATABASE shop")
		require.Contains(t, p.report(t, nil).Errors.text(), "the target's triggers shop.counts would run for replicated rows")
		require.Empty(t, p.report(t, func(j *Job) { j.DropTables = true }).Errors, "they go with their table")
	})
	t.Run("settings of the source", func(t *testing.T) {
		p.source.Exec(t, "SET GLOBAL binlog_format = 'STATEMENT'", "SET GLOBAL binlog_row_image = 'MINIMAL'")
		defer p.source.Exec(t, "SET GLOBAL binlog_format = 'ROW'", "SET GLOBAL binlog_row_image = 'FULL'")
		r := p.report(t, nil)
		require.Contains(t, r.Source.Binlog.text(), "binlog_format=STATEMENT")
		require.Contains(t, r.Source.Binlog.text(), "binlog_row_image=MINIMAL")
		r = p.report(t, func(j *Job) { j.Follows = false })
		require.Nil(t, r.Source.Binlog, "a copy alone needs no binary log settings")
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	side := Side{GTIDMode: &Problems{}, ServerID: &Problems{}, Binlog: &Problems{}}
	checkSettings(map[string]string{
		"log_bin": "OFF", "binlog_row_value_options": "PARTIAL_JSON", "gtid_mode": "ON_PERMISSIVE", "server_id": "0",
	}, &side)
	require.Contains(t, side.Binlog.text(), "log_bin=OFF")
	require.Contains(t, side.Binlog.text(), "PARTIAL_JSON")
	require.Contains(t, side.GTIDMode.text(), "ON_PERMISSIVE")
	require.Contains(t, side.ServerID.text(), "server_id=0")
}

func TestKeyless(t *testing.T) {
	t.Parallel()
	tables := []*mysql.Table{{Schema: "s", Name: "keyed", PrimaryKey: []int{0}}, {Schema: "s", Name: "bare"}, {Schema: "s", Name: "unique", UniqueKeys: [][]int{{0}}}}
	var none, found Problems
	checkKeyless(map[string]string{"sql_require_primary_key": "OFF"}, tables, &none)
	checkKeyless(map[string]string{"sql_require_primary_key": "ON", "sql_generate_invisible_primary_key": "ON"}, tables[:1], &none)
	require.Empty(t, none)
	checkKeyless(map[string]string{"sql_require_primary_key": "ON", "sql_generate_invisible_primary_key": "ON"}, tables, &found)
	require.Len(t, found, 2)
	require.Contains(t, found[0], "refuses these tables without a primary key: s.bare, s.unique")
	require.Contains(t, found[1], "would add a column to these tables without a primary key: s.bare, s.unique")
}

// TestForeignTypes: what the target's family does not have is said beforehand.
func TestForeignTypes(t *testing.T) {
	t.Parallel()
	if !mysqltest.Mixed() {
		t.Skip("source and target have the same types")
	}
	p := startPair(t)
	p.source.Exec(t, "CREATE DATABASE types", "USE types")
	var want []string
	for i, kind := range matrix.Types() {
		family := matrix.Family(kind.Column)
		if family == "" || (family == "MySQL") != p.source.IsMySQL() {
			continue
		}
		name := fmt.Sprintf("t%d", i)
		p.source.Exec(t, "CREATE TABLE types."+name+" (id INT PRIMARY KEY, v "+kind.Column+")")
		want = append(want, "types."+name+".v")
	}
	require.NotEmpty(t, want)
	r := p.report(t, func(j *Job) {
		var err error
		j.Mapping, err = mapping.New([]filter.SchemaRule{{Schema: "types"}}, nil)
		require.NoError(t, err)
	})
	for _, column := range want {
		require.Contains(t, r.Errors.text(), column)
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		have map[string]string
		want time.Duration
	}{
		{nil, 0},
		{map[string]string{"expire_logs_days": "0.000000"}, 0},
		{map[string]string{"expire_logs_days": "1.5"}, 36 * time.Hour},
		{map[string]string{"binlog_expire_logs_seconds": "3600", "expire_logs_days": "9"}, time.Hour},
	} {
		require.Equal(t, test.want, keptFor(test.have), test.have)
	}
}
