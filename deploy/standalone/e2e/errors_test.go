package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// awaitTrouble waits until a job is being retried and its events name the cause.
func (c *operator) awaitTrouble(t testing.TB, job string, cause ...string) detail {
	t.Helper()
	var d detail
	await(t, patience, job+" to tell its trouble", func(context.Context) error {
		d = c.detail(t, job)
		if d.status() != "retrying" {
			return fmt.Errorf("it is %s; events: %q", d.status(), d.messages())
		}
		for _, message := range d.messages() {
			if containsAll(message, cause) {
				return nil
			}
		}
		return fmt.Errorf("no event has %q: %q", cause, d.messages())
	})
	return d
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// A job in trouble says so within seconds, and goes on by itself when the cause is gone.
func TestTroubleIsToldAndPasses(t *testing.T) {
	t.Parallel()
	const wrong = "not-the-password-8c1"
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, p *pair, schema string, job object) (cause []string, mend func())
	}{
		{"unreachable source", func(t *testing.T, p *pair, _ string, job object) ([]string, func()) {
			port := freePort(t)
			job["src_task"].(object)["mysql_connection_config"].(object)["mysql_port"] = port
			return []string{fmt.Sprintf("127.0.0.1:%d", port)}, func() { startProxy(t, port, p.source.Addr()) }
		}},
		{"unreachable target", func(t *testing.T, p *pair, _ string, job object) ([]string, func()) {
			port := freePort(t)
			job["dest_task"].(object)["mysql_connection_config"].(object)["mysql_port"] = port
			return []string{fmt.Sprintf("127.0.0.1:%d", port)}, func() { startProxy(t, port, p.target.Addr()) }
		}},
		{"wrong password of the source", func(t *testing.T, p *pair, schema string, job object) ([]string, func()) {
			user := "w" + schema
			account := p.source.account(t, user, "the-right-one")
			account["mysql_password"] = wrong
			job["src_task"].(object)["mysql_connection_config"] = account
			return []string{user, p.source.Addr()}, func() {
				p.source.exec(t, "SET sql_log_bin = 0", "ALTER USER "+user+"@'127.0.0.1' IDENTIFIED BY '"+wrong+"'")
			}
		}},
		{"wrong password of the target", func(t *testing.T, p *pair, schema string, job object) ([]string, func()) {
			user := "w" + schema
			account := p.target.account(t, user, "the-right-one")
			account["mysql_password"] = wrong
			job["dest_task"].(object)["mysql_connection_config"] = account
			return []string{user, p.target.Addr()}, func() {
				p.target.exec(t, "SET sql_log_bin = 0", "ALTER USER "+user+"@'127.0.0.1' IDENTIFIED BY '"+wrong+"'")
			}
		}},
		{"missing table", func(t *testing.T, p *pair, schema string, job object) ([]string, func()) {
			with(job, "replicate_do_db", []any{object{"table_schema": schema, "tables": []any{
				object{"table_name": "big"}, object{"table_name": "live"}, object{"table_name": "missing"},
			}}})
			return []string{schema + ".missing"}, func() { p.source.exec(t, "CREATE TABLE "+schema+".missing (id INT PRIMARY KEY)") }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
			p.source.load(t, schema, 100)
			job := p.job("trouble-"+schema, schema)
			cause, mend := test.spoil(t, p, schema, job)
			id := o.create(t, job)
			d := o.awaitTrouble(t, id, cause...)
			status, _ := d.step("job_stage_full")
			require.Equal(t, "failed", status)
			mend()
			o.awaitStep(t, id, "job_stage_full", "finished", 100)
			o.awaitStatus(t, id, "running")
			p.awaitSame(t, schema)
			o.neverTold(t, id, wrong)
			o.order(t, "delete", id)
		})
	}
}

// neverTold wants a secret in no event of a job and nowhere in the log.
func (o *opsdeck) neverTold(t testing.TB, job, secret string) {
	t.Helper()
	for _, message := range o.detail(t, job).messages() {
		require.NotContains(t, message, secret)
	}
	for line := range strings.Lines(o.out.String()) {
		require.NotContains(t, line, secret)
	}
}

// Statements about accounts are not replicated, and the passwords in them are told to nobody.
func TestAccountStatementsAreNotTold(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 10)
	job := o.create(t, p.job("accounts-"+schema, schema))
	o.awaitCaughtUp(t, job)
	const secret = "told-to-nobody-5f3"
	user := "a" + schema + "@'127.0.0.1'"
	p.source.exec(t,
		"CREATE USER "+user+" IDENTIFIED BY '"+secret+"'",
		"ALTER USER "+user+" IDENTIFIED BY '"+secret+"2'",
		"SET PASSWORD FOR "+user+" = PASSWORD('"+secret+"3')",
		"GRANT SELECT ON "+schema+".* TO "+user+" IDENTIFIED BY '"+secret+"4'",
		"CREATE SERVER s"+schema+" FOREIGN DATA WRAPPER mysql OPTIONS (USER 'x', PASSWORD '"+secret+"5', HOST 'x')",
		"DROP SERVER s"+schema,
		"DROP USER "+user,
		addRow(schema, 1000))
	await(t, patience, "the row behind them", func(ctx context.Context) error { return p.target.wants(ctx, 11, rows(schema)) })
	require.NoError(t, p.target.wants(t.Context(), 0, "SELECT COUNT(*) FROM mysql.user WHERE user = 'a"+schema+"'"))
	o.neverTold(t, job, secret)
	o.order(t, "delete", job)
}
