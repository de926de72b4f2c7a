package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// What somebody does to a target by hand stops the job with a sentence that names it, and the job goes on by itself when it is undone.
func TestTargetChangedByHand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name              string
		spoil, then, mend []string // at the target, the source, the target
		cause             []string
	}{
		{
			"a row that is there already",
			[]string{"INSERT INTO %s.big (id, n, name) VALUES (1000, 1, 'mine')"},
			[]string{"INSERT INTO %s.big (id, n, name) VALUES (1000, 0, 'added')"},
			[]string{"DELETE FROM %s.big WHERE id = 1000"},
			[]string{"insert rows of table %s.big", "a row exists already under the same key", "Duplicate entry '1000' for key 'PRIMARY'"},
		},
		{
			"a row that is missing",
			[]string{"DELETE FROM %s.big WHERE id = 7"},
			[]string{"UPDATE %s.big SET n = 1 WHERE id = 7"},
			[]string{"INSERT INTO %s.big SELECT 7, 49, 7 / 3, CONCAT('name ', MD5(7)), '2026-01-01' + INTERVAL 7 SECOND, UNHEX(SHA1(7))"},
			[]string{"table %s.big: the row to update is not at the target, row (`id`=7): the target was changed by others; repair it or create the job anew"},
		},
		{
			"a column that is gone",
			[]string{"ALTER TABLE %s.big DROP COLUMN raw"},
			[]string{"UPDATE %s.big SET n = 1 WHERE id = 7"},
			[]string{"ALTER TABLE %s.big ADD COLUMN raw VARBINARY(32)", "UPDATE %s.big SET raw = UNHEX(SHA1(id))"},
			[]string{"table %s.big has 6 columns at the source and 5 at the target: make the definitions equal"},
		},
		{
			"a column of another type",
			[]string{"ALTER TABLE %s.big MODIFY name INT"},
			[]string{"INSERT INTO %s.big (id, n, name) VALUES (1000, 0, 'added')"},
			[]string{"ALTER TABLE %s.big MODIFY name VARCHAR(80) NOT NULL", "UPDATE %s.big SET name = CONCAT('name ', MD5(id))"},
			[]string{"column name of table %s.big is int(11) at the target, which does not take the source's type"},
		},
		{
			"a table that is gone",
			[]string{"RENAME TABLE %s.big TO %s.away"},
			[]string{"UPDATE %s.big SET n = 1 WHERE id = 7"},
			[]string{"RENAME TABLE %s.away TO %s.big"},
			[]string{"table %s.big does not exist, or the user may not see it"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
			each := func(texts []string) []string {
				out := []string{"SET sql_mode = ''"}
				for _, text := range texts {
					out = append(out, strings.ReplaceAll(text, "%s", schema))
				}
				return out
			}
			p.source.load(t, schema, 100)
			job := o.create(t, p.job("hand-"+schema, schema))
			o.awaitCaughtUp(t, job)
			p.target.exec(t, each(test.spoil)...)
			p.source.exec(t, each(test.then)...)
			o.awaitTrouble(t, job, each(test.cause)[1:]...)
			p.target.exec(t, each(test.mend)...)
			p.awaitSame(t, schema)
			o.awaitStatus(t, job, "running")
			o.order(t, "delete", job)
		})
	}
}

// A password that is changed under a running job is told, and an update of the job with the new one sends it on its way.
func TestPasswordChanged(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"src_task", "dest_task"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
			server, user := p.source, "c"+schema
			if side == "dest_task" {
				server = p.target
			}
			p.source.load(t, schema, 100)
			job := p.job("changed-"+schema, schema)
			account := server.account(t, user, "old-password-2f6")
			job[side].(object)["mysql_connection_config"] = account
			id := o.create(t, job)
			o.awaitCaughtUp(t, id)
			server.exec(t, "SET sql_log_bin = 0", "ALTER USER "+user+"@'127.0.0.1' IDENTIFIED BY 'new-password-9d1'", "KILL USER "+user+"@'127.0.0.1'")
			p.source.exec(t, addRow(schema, 1000))
			o.awaitTrouble(t, id, server.Addr()+" refuses user \\\""+user+"\\\": check the user and its password")
			o.neverTold(t, id, "old-password-2f6")
			account["mysql_password"], job["job_id"] = "new-password-9d1", id
			o.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/job/migration/update", JSON: job}, &object{})
			p.awaitSame(t, schema)
			o.awaitStatus(t, id, "running")
			o.neverTold(t, id, "new-password-9d1")
			o.order(t, "delete", id)
		})
	}
}

// A job that is deleted in the middle of its copy leaves both servers, and another one of its name begins from the start.
func TestDeletedWhileCopying(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, bigRows)
	user := "d" + schema
	job := paced(with(p.job("halved-"+schema, schema), "chunk_size", 10))
	for _, side := range []struct {
		task   string
		server *database
	}{{"src_task", p.source}, {"dest_task", p.target}} {
		job[side.task].(object)["mysql_connection_config"] = side.server.account(t, user, "secret")
	}
	id := o.create(t, job)
	await(t, patience, "a part of the copy", func(ctx context.Context) error {
		n, err := p.target.number(ctx, rows(schema))
		if err == nil && n < 1000 {
			err = fmt.Errorf("%d rows; events: %q", n, o.detail(t, id).messages())
		}
		return err
	})
	o.order(t, "delete", id)
	for _, server := range []*database{p.source, p.target} {
		await(t, patience, "the job to leave", func(ctx context.Context) error {
			return server.wants(ctx, 0, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '"+user+"'")
		})
	}
	await(t, patience, "the target to forget the job", func(ctx context.Context) error {
		return p.target.wants(ctx, 0, "SELECT COUNT(*) FROM opsdeck.replication_chunk WHERE job_id = '"+id+"'")
	})
	n, err := p.target.number(t.Context(), rows(schema))
	require.NoError(t, err)
	require.Less(t, n, int64(bigRows), "the copy was over before it was deleted: the test proves nothing")

	o.create(t, job)
	o.awaitTrouble(t, id, "has rows in "+schema+".big already: empty them, or set drop_table_if_exists to replace them")
	o.order(t, "delete", id)
	o.create(t, with(with(job, "chunk_size", 5000), "drop_table_if_exists", true))
	p.awaitSame(t, schema)
	o.order(t, "delete", id)
}

// A source whose clock is wrong gives a delay that is neither negative nor of years.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	for name, moment := range map[string]string{"ahead": "UNIX_TIMESTAMP() + 86400", "behind": "UNIX_TIMESTAMP() - 86400", "at its beginning": "86400"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
			p.source.load(t, schema, 100)
			job := o.create(t, p.job("clock-"+schema, schema))
			o.awaitCaughtUp(t, job)
			began := time.Now()
			await(t, patience, "the job to have been level at one of its reports", func(context.Context) error {
				p.source.exec(t, "INSERT INTO "+schema+".live (note) VALUES ('now')")
				if since := time.Since(began); since < 3*time.Second {
					return fmt.Errorf("it has followed for %v", since)
				}
				return nil
			})
			p.awaitSame(t, schema)
			// The next transactions are of another time, and the last of them waits: the job is behind.
			conn, err := p.target.Connect(t.Context(), schema)
			require.NoError(t, err)
			defer func() { require.NoError(t, conn.Close()) }()
			for _, statement := range []string{"BEGIN", "SELECT * FROM big WHERE id = 7 FOR UPDATE"} {
				_, err = conn.Execute(statement)
				require.NoError(t, err)
			}
			p.source.exec(t, "SET timestamp = "+moment, addRow(schema, 1001))
			await(t, patience, "a row of another time", func(ctx context.Context) error { return p.target.wants(ctx, 101, rows(schema)) })
			p.source.exec(t, "SET timestamp = "+moment, "UPDATE "+schema+".big SET n = 0 WHERE id = 7")
			behind := time.Now()
			await(t, patience, "the job to have been behind for seconds", func(context.Context) error {
				d := o.detail(t, job)
				require.GreaterOrEqual(t, d.Profile.Base.Delay, int64(0))
				require.Less(t, d.Profile.Base.Delay, int64(600))
				if name != "ahead" && d.Profile.Base.Delay < 3 {
					return fmt.Errorf("it is %d s behind", d.Profile.Base.Delay)
				}
				if since := time.Since(behind); since < 3*time.Second {
					return fmt.Errorf("it has been behind for %v", since)
				}
				return nil
			})
			_, err = conn.Execute("ROLLBACK")
			require.NoError(t, err)
			p.awaitSame(t, schema)
			o.order(t, "delete", job)
		})
	}
}

// A second job that would write to the tables of another one is refused, until that is deleted.
func TestTwoJobsOfOneTable(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 100)
	first := o.create(t, p.job("one-"+schema, schema))
	o.awaitCaughtUp(t, first)
	second := with(p.job("two-"+schema, schema), "drop_table_if_exists", true)
	refused := o.do(t, apitest.HTTP{Method: "POST", Path: "/v2/job/migration/create", JSON: second})
	require.Equal(t, http.StatusConflict, refused.Status, "%s", refused.Body)
	require.Contains(t, string(refused.Body),
		"job "+first+" replicates to the schema "+schema+" of the instance "+p.target.Addr()+" already: leave that out of this job, or delete the other one first")
	require.NoError(t, p.same(t.Context(), schema), "the tables of the first are as they were")
	o.order(t, "delete", first)
	id := o.create(t, second)
	o.awaitCaughtUp(t, id)
	p.awaitSame(t, schema)
	o.order(t, "delete", id)
}

// A table that is renamed while it is copied arrives under its new name.
func TestRenamedWhileCopying(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, bigRows)
	job := o.create(t, paced(with(p.job("moving-"+schema, schema), "chunk_size", chunk)))
	await(t, patience, "a part of the copy", func(ctx context.Context) error {
		n, err := p.target.number(ctx, rows(schema))
		if err == nil && n < 1000 {
			err = fmt.Errorf("%d rows", n)
		}
		return err
	})
	p.source.exec(t, "RENAME TABLE "+schema+".big TO "+schema+".moved", "INSERT INTO "+schema+".moved (id, n, name) VALUES (100000, 0, 'after')")
	p.awaitSame(t, schema)
	d := o.detail(t, job)
	require.Equal(t, "running", d.status(), "%q", d.messages())
	o.order(t, "delete", job)
}

// manyPatience bounds the creation and copy of many tables.
const manyPatience = 5 * time.Minute

// manyTables is how many tables a schema of a large application has.
const manyTables = 10000

// A job of ten thousand tables is copied and followed, and what is told of it stays small.
func TestTenThousandTables(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes ten thousand tables twice")
	}
	o, p, schema := newOpsdeck(t), newPair(t), newSchema()
	statements := []string{"CREATE DATABASE " + schema, "USE " + schema}
	for i := range manyTables {
		statements = append(statements, fmt.Sprintf("CREATE TABLE t%d (id INT PRIMARY KEY, v VARCHAR(20)) SELECT %d AS id, 'v' AS v", i, i))
	}
	p.source.exec(t, statements...)
	job := o.create(t, p.job("many", schema))
	await(t, manyPatience, "all tables", func(ctx context.Context) error {
		if d := o.detail(t, job); d.status() == "retrying" {
			return permanentError{fmt.Errorf("events: %q", d.messages())}
		}
		return p.target.wants(ctx, manyTables, "SELECT COUNT(*) FROM opsdeck.replication_table WHERE done")
	})
	o.awaitCaughtUp(t, job)
	p.source.exec(t, "USE "+schema, "UPDATE t1 SET v = 'w'", "UPDATE t9999 SET v = 'w'", "ALTER TABLE t5 ADD w INT DEFAULT 3", "INSERT INTO t5 VALUES (1, 'x', 4)")
	for _, table := range []string{"t1", "t5", "t77", "t9999"} {
		await(t, patience, table, func(ctx context.Context) error {
			ours, err := p.source.text(ctx, "CHECKSUM TABLE "+schema+"."+table)
			if err != nil {
				return err
			}
			theirs, err := p.target.text(ctx, "CHECKSUM TABLE "+schema+"."+table)
			if err == nil && ours != theirs {
				err = fmt.Errorf("%s and %s", ours, theirs)
			}
			return err
		})
	}
	answer := o.do(t, apitest.HTTP{Method: "GET", Path: "/v2/job/migration/detail", Query: map[string]string{"job_id": job}})
	require.Equal(t, http.StatusOK, answer.Status)
	require.Less(t, len(answer.Body), 64<<10, "the detail does not grow with the tables")
	o.order(t, "delete", job)
}
