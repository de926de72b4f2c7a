package validation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a source and a target with the schema shop, and accounts with the rights that a job needs.
type pair struct{ source, target *mysqltest.Server }

func startPair(t *testing.T) pair {
	t.Helper()
	p := pair{mysqltest.Start(t, 1), mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, what VARCHAR(40))", "CREATE TABLE shop.log (what VARCHAR(40))",
		"CREATE USER repl@'%' IDENTIFIED BY 'p'", "GRANT SELECT, RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO repl@'%'",
		"CREATE USER poor@'%' IDENTIFIED BY 'p'", "GRANT SELECT (id) ON shop.orders TO poor@'%'",
		"CREATE ROLE reader", "GRANT SELECT, RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO reader",
		"CREATE USER roled@'%' IDENTIFIED BY 'p'", "GRANT reader TO roled@'%'", "SET DEFAULT ROLE reader FOR roled@'%'",
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
	t.Run("a default role counts, another does not", func(t *testing.T) {
		require.Empty(t, *p.report(t, func(j *Job) { j.Source = as(p.source, "roled") }).Source.Privileges)
		require.NotEmpty(t, *p.report(t, func(j *Job) { j.Source = as(p.source, "idle") }).Source.Privileges)
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
