package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

func TestJobCopiesAndFollows(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 20000)
	p.source.exec(t,
		"CREATE TABLE "+schema+".without_key (a INT, b TEXT)",
		"INSERT INTO "+schema+".without_key SELECT seq, REPEAT('x', seq MOD 50) FROM "+schema+".seq_1_to_2000",
		"CREATE TABLE "+schema+".types (id INT UNSIGNED PRIMARY KEY, b BIT(9), e ENUM('x','y'), s SET('p','q'), f DOUBLE, y YEAR, t TIME(6), ts TIMESTAMP(6) NULL, j JSON, z BLOB, g GEOMETRY, u VARCHAR(20) CHARACTER SET gbk, d DATE)",
		"INSERT INTO "+schema+".types VALUES (4294967295, b'101010101', 'y', 'p,q', -1.5e300, 1999, '-12:34:56.789', '2026-03-29 02:30:00.123456', '{\"a\": [1, null]}', 0x00FF27225C, ST_GeomFromText('POINT(1 2)'), '中文', '0000-00-00')",
		"INSERT INTO "+schema+".types (id) VALUES (0), (1)",
	)
	w := startWriter(t, p.source, schema, 1)
	job := o.create(t, p.job("first-"+schema, schema))
	o.awaitStep(t, job, "job_stage_full", "finished", 100)
	o.awaitStep(t, job, "job_stage_incr", "start", 0)
	copied := w.committed.Load()
	await(t, patience, "the shop to go on", func(context.Context) error {
		if done := w.committed.Load(); done < copied+100 {
			return fmt.Errorf("%d transactions since the copy", done-copied)
		}
		return nil
	})
	w.stop()
	p.awaitSame(t, schema)
	o.awaitCaughtUp(t, job)
	require.Equal(t, "running", o.detail(t, job).status())
	o.order(t, "delete", job)
}

func TestDefinitionsArrive(t *testing.T) {
	t.Parallel()
	o, p, schema, other := sharedOpsdeck(t), sharedPair(t), newSchema(), newSchema()
	p.source.load(t, schema, 100)
	p.source.load(t, other, 100)
	job := o.create(t, p.job("ddl-"+schema, schema, other))
	o.awaitStep(t, job, "job_stage_incr", "start", 0)
	for _, step := range []struct {
		name       string
		statements []string
	}{
		{"create table", []string{"CREATE TABLE %s.made (id INT PRIMARY KEY, a INT)", "INSERT INTO %s.made VALUES (1, 1), (2, 2)"}},
		{"alter table", []string{"ALTER TABLE %s.made ADD COLUMN b VARCHAR(10) NOT NULL DEFAULT 'new' AFTER id", "INSERT INTO %s.made VALUES (3, 'x', 3)"}},
		{"create and drop index", []string{"CREATE INDEX i ON %s.made (a)", "DROP INDEX i ON %s.made", "UPDATE %s.made SET a = 5 WHERE id = 1"}},
		{"rename table", []string{"RENAME TABLE %[1]s.made TO %[1]s.renamed", "INSERT INTO %s.renamed VALUES (4, 'y', 4)"}},
		{"truncate table", []string{"TRUNCATE TABLE %s.live", "INSERT INTO %s.live (note) VALUES ('after')"}},
		{"create table like", []string{"CREATE TABLE %[1]s.alike LIKE %[1]s.big", "INSERT INTO %[1]s.alike SELECT * FROM %[1]s.big"}},
		{"create table as select", []string{"CREATE TABLE %[1]s.taken (PRIMARY KEY (id)) AS SELECT id, n FROM %[1]s.big"}},
		{"drop table", []string{"DROP TABLE %s.renamed"}},
		{"alter database", []string{"ALTER DATABASE %s CHARACTER SET latin1", "CREATE TABLE %s.latin (id INT PRIMARY KEY, a VARCHAR(9))", "INSERT INTO %s.latin VALUES (1, 'ü')"}},
	} {
		for _, statement := range step.statements {
			p.source.exec(t, fmt.Sprintf(statement, schema))
		}
		await(t, patience, step.name+" to arrive", func(ctx context.Context) error { return p.same(ctx, schema) })
	}
	p.source.exec(t, "DROP DATABASE "+other)
	await(t, patience, "the drop of a database to arrive", func(ctx context.Context) error {
		return p.target.wants(ctx, 0, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '"+other+"'")
	})
	p.source.load(t, other, 10)
	p.awaitSame(t, other)
	charset, err := p.target.text(t.Context(), "SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = '"+schema+"'")
	require.NoError(t, err)
	require.Equal(t, "latin1", charset)
	o.order(t, "delete", job)
}

// wants returns nil when a query has this number as its answer.
func (d *database) wants(ctx context.Context, want int64, query string) error {
	got, err := d.number(ctx, query)
	if err == nil && got != want {
		err = fmt.Errorf("%s: want %d, got %d", query, want, got)
	}
	return err
}

func rows(schema string) string { return "SELECT COUNT(*) FROM " + schema + ".big" }

func addRow(schema string, id int) string {
	return fmt.Sprintf("INSERT INTO %s.big (id, n, name) VALUES (%d, 0, 'added')", schema, id)
}

// A second job tells how far the source's changes have come while nothing happens to the first.
func TestPauseResumeDelete(t *testing.T) {
	t.Parallel()
	o, p, schema, witness := sharedOpsdeck(t), sharedPair(t), newSchema(), newSchema()
	p.source.load(t, schema, 100)
	p.source.load(t, witness, 100)
	observed := p.job("paused-"+schema, schema)
	account := p.target.account(t, "u"+schema, "secret")
	observed["dest_task"].(object)["mysql_connection_config"] = account
	job, other := o.create(t, observed), o.create(t, p.job("witness-"+schema, witness))
	o.awaitCaughtUp(t, job)
	o.awaitCaughtUp(t, other)
	arrives := func(schema string, want int64) {
		t.Helper()
		await(t, patience, "a row of "+schema, func(ctx context.Context) error { return p.target.wants(ctx, want, rows(schema)) })
	}

	o.order(t, "pause", job)
	o.order(t, "pause", job)
	require.Equal(t, "paused", o.detail(t, job).status())
	await(t, patience, "the run to leave the target", func(ctx context.Context) error {
		return p.target.wants(ctx, 0, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'u"+schema+"'")
	})
	p.source.exec(t, addRow(schema, 1000), addRow(witness, 1000))
	arrives(witness, 101)
	require.NoError(t, p.target.wants(t.Context(), 100, rows(schema)), "a paused job applies nothing")
	require.Equal(t, "paused", o.detail(t, job).status())

	o.order(t, "resume", job)
	o.order(t, "resume", job)
	o.awaitStatus(t, job, "running")
	arrives(schema, 101)
	p.awaitSame(t, schema)

	o.order(t, "delete", job)
	gone := o.do(t, apitest.HTTP{Method: "GET", Path: "/v2/job/migration/detail", Query: map[string]string{"job_id": job}})
	require.Equal(t, http.StatusNotFound, gone.Status, "%s", gone.Body)
	require.Contains(t, string(gone.Body), job)
	await(t, patience, "the target to forget the job", func(ctx context.Context) error {
		return p.target.wants(ctx, 0, "SELECT COUNT(*) FROM opsdeck.replication_job WHERE job_id = '"+job+"'")
	})
	p.source.exec(t, addRow(schema, 1001), addRow(witness, 1001))
	arrives(witness, 102)
	require.NoError(t, p.target.wants(t.Context(), 101, rows(schema)), "a deleted job applies nothing")
	o.order(t, "delete", other)
}

// account makes a user with all rights and returns how a job signs in as it.
func (d *database) account(t testing.TB, name, password string) object {
	t.Helper()
	d.exec(t, "CREATE USER "+name+"@'127.0.0.1' IDENTIFIED BY '"+password+"'", "GRANT ALL PRIVILEGES ON *.* TO "+name+"@'127.0.0.1'")
	connection := d.connection()
	connection["mysql_user"], connection["mysql_password"] = name, password
	return connection
}

func TestFullCopyFinishes(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 5000)
	job := p.job("full-"+schema, schema)
	job["task_step_name"] = "job_stage_full"
	id := o.create(t, job)
	d := o.awaitStatus(t, id, "finished")
	status, percent := d.step("job_stage_full")
	require.Equal(t, "finished", status)
	require.InDelta(t, 100, percent, 0)
	require.NoError(t, p.same(t.Context(), schema))
	paused := o.do(t, apitest.HTTP{Method: "POST", Path: "/v2/job/migration/pause", Form: map[string]string{"job_id": id}})
	require.Equal(t, http.StatusConflict, paused.Status, "%s", paused.Body)
	o.order(t, "delete", id)
}

func TestIncrementalOnly(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 100)
	p.target.load(t, schema, 0)
	job := p.job("incr-"+schema, schema)
	job["task_step_name"] = "job_stage_incr"
	id := o.create(t, job)
	o.awaitCaughtUp(t, id)
	p.source.exec(t, addRow(schema, 1000), addRow(schema, 1001))
	await(t, patience, "two rows", func(ctx context.Context) error { return p.target.wants(ctx, 2, rows(schema)) })
	d := o.detail(t, id)
	status, _ := d.step("job_stage_full")
	require.Empty(t, status, "there is no full copy among the steps")
	o.order(t, "delete", id)
}

func TestSelection(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		choose  func(job object, schema string) object
		arrives []string
		not     []string
	}{
		{
			name: "one table",
			choose: func(job object, schema string) object {
				return with(job, "replicate_do_db", []any{object{"table_schema": schema, "tables": []any{object{"table_name": "big"}}}})
			},
			arrives: []string{"big"}, not: []string{"live", "later"},
		},
		{
			name: "all but one table",
			choose: func(job object, schema string) object {
				return with(job, "replicate_ignore_db", []any{object{"table_schema": schema, "tables": []any{object{"table_name": "live"}}}})
			},
			arrives: []string{"big", "later"}, not: []string{"live"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
			p.source.load(t, schema, 500)
			p.source.exec(t, "INSERT INTO "+schema+".live (note) VALUES ('before')")
			id := o.create(t, test.choose(p.job("selected-"+schema, schema), schema))
			o.awaitStep(t, id, "job_stage_incr", "start", 0)
			p.source.exec(t,
				"INSERT INTO "+schema+".live (note) VALUES ('after')",
				"CREATE TABLE "+schema+".later (id INT PRIMARY KEY)", "INSERT INTO "+schema+".later VALUES (1)",
				"ALTER TABLE "+schema+".live ADD COLUMN more INT",
				addRow(schema, 1000))
			await(t, patience, "the last change", func(ctx context.Context) error { return p.target.wants(ctx, 501, rows(schema)) })
			ours, err := p.source.checksums(t.Context(), schema)
			require.NoError(t, err)
			theirs, err := p.target.checksums(t.Context(), schema)
			require.NoError(t, err)
			for _, table := range test.arrives {
				require.Equal(t, ours[table], theirs[table], table)
			}
			for _, table := range test.not {
				require.Contains(t, ours, table)
				require.NotContains(t, theirs, table)
			}
			o.order(t, "delete", id)
		})
	}
}

func TestIgnoredSchema(t *testing.T) {
	t.Parallel()
	o, p, schema, ignored := sharedOpsdeck(t), sharedPair(t), newSchema(), newSchema()
	p.source.load(t, schema, 100)
	p.source.load(t, ignored, 100)
	job := with(p.job("ignoring-"+schema, schema, ignored), "replicate_ignore_db", []any{object{"table_schema": ignored}})
	id := o.create(t, job)
	o.awaitStep(t, id, "job_stage_incr", "start", 0)
	p.source.exec(t, addRow(ignored, 1000), addRow(schema, 1000))
	await(t, patience, "the row of the other schema", func(ctx context.Context) error { return p.target.wants(ctx, 101, rows(schema)) })
	require.NoError(t, p.target.wants(t.Context(), 0, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '"+ignored+"'"))
	o.order(t, "delete", id)
}
