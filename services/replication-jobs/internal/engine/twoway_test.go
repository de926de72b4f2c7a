package engine_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
)

// applied is how many rows a run has applied from the binary log.
func (r *running) applied() int64 {
	_, last, _ := r.snapshot()
	return last.ExecRows
}

// back is the job that replicates the other way, from where the target of the first one is now.
func (p *pair) back(id string, epoch int64, schema string) engine.Job {
	job := (&pair{source: p.target, target: p.source}).job(id, epoch, schema)
	job.AutoGTID = true
	return job
}

// countedWriter writes rows of its own keys at one end, and counts them.
type countedWriter struct {
	server *mysqltest.Server
	parity int
	rows   int64
}

func (w *countedWriter) write(t *testing.T, from, to int) {
	t.Helper()
	c := w.server.Connect(t)
	for i := from; i < to; i++ {
		id := 2*i + w.parity
		for _, statement := range []string{
			fmt.Sprintf("INSERT INTO app.t (id, n, v) VALUES (%d, 0, 'from %d')", id, w.parity),
			fmt.Sprintf("UPDATE app.t SET n = n + 1 WHERE id IN (%d, %d)", id, w.parity),
			fmt.Sprintf("INSERT INTO app.keyless VALUES (%d, 'x')", id),
			fmt.Sprintf("DELETE FROM app.t WHERE id = %d AND id %% 10 > 7", id),
		} {
			r, err := c.Execute(statement)
			require.NoError(t, err)
			w.rows += int64(r.AffectedRows)
		}
	}
}

// exec runs one statement that changes rows.
func (w *countedWriter) exec(t *testing.T, statement string) {
	t.Helper()
	r, err := w.server.Connect(t).Execute(w.server.Spelled(statement))
	require.NoError(t, err)
	w.rows += int64(r.AffectedRows)
}

func value(t *testing.T, s *mysqltest.Server, query string) string {
	t.Helper()
	r, err := s.Connect(t).Execute(query)
	require.NoError(t, err)
	v, err := r.GetString(0, 0)
	require.NoError(t, err)
	return v
}

// TestTwoWay lets two jobs replicate the same tables in both directions, with writers at both ends: each row is applied once, where it was not
// written, and no definition comes back.
func TestTwoWay(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 4} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			t.Parallel()
			testTwoWay(t, workers)
		})
	}
}

// TestTwoWayObjects: the definition of a view is logged without the name of where it came from.
func TestTwoWayObjects(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "CREATE VIEW app.v AS SELECT id FROM app.t")
	job := p.job("there", 1, "app")
	job.Objects = []objects.Kind{objects.Views}
	there := start(t, job)
	p.awaitAnswer(t, there, "SELECT table_name FROM information_schema.views WHERE table_schema = 'app'", "v")
	back := p.back("back", 1, "app")
	back.Objects = job.Objects
	err := engine.Run(t.Context(), back, &listener{}, zap.NewNop())
	require.ErrorContains(t, err, "job there replicates the other way")
	require.True(t, mysql.Permanent(err))
	back.Objects = nil
	p.source.Exec(t, "CREATE VIEW app.w AS SELECT id FROM app.t")
	run := start(t, back)
	run.awaitEvent(t, "job_stage_incr")
	p.awaitAnswer(t, there, "SELECT COUNT(*) FROM information_schema.views WHERE table_schema = 'app'", "2")
	run.stop(t)
	there.stop(t)
}

func testTwoWay(t *testing.T, workers int) {
	t.Helper()
	// The same server id: that of another replication topology may well be equal.
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2, "--server-id=1")}
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, n INT NOT NULL, v VARCHAR(400))", "CREATE TABLE app.keyless (a INT, b CHAR(9))",
		"INSERT INTO app.t VALUES (0, 0, 'even'), (1, 0, 'odd')", "INSERT INTO app.keyless VALUES (1, 'old')")
	there, back := p.job("there", 1, "app"), p.back("back", 1, "app")
	there.ParallelWorkers, back.ParallelWorkers = workers, workers
	forth := start(t, there)
	forth.awaitEvent(t, "job_stage_incr")
	home := start(t, back)
	home.awaitEvent(t, "job_stage_incr")

	a, b := &countedWriter{server: p.source, parity: 0}, &countedWriter{server: p.target, parity: 1}
	both := func(from, to int) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.write(t, from, to)
		}()
		a.write(t, from, to)
		<-done
	}
	settled := func() {
		t.Helper()
		forth.await(t, func() bool { return forth.applied() >= a.rows })
		home.await(t, func() bool { return home.applied() >= b.rows })
		forth.await(t, func() bool { return p.equal(t, "app") })
	}
	both(1, 100)
	settled()

	// Definitions at both ends, of every kind, while the tables that they are about are not written to.
	p.source.Exec(t, mysqltest.Known("ALTER TABLE app.t ADD a INT DEFAULT 1", "CREATE TABLE app.made_here (id INT PRIMARY KEY)", "CREATE TABLE app.gone_here (id INT)",
		"DROP TABLE app.gone_here", "CREATE TABLE app.gone_too (id INT)", "DROP TABLE IF EXISTS app.gone_too", "CREATE SEQUENCE app.numbers", "DROP SEQUENCE app.numbers")...)
	p.target.Exec(t, "CREATE TABLE app.made_there (id INT PRIMARY KEY)", "RENAME TABLE app.made_there TO app.renamed_there", "CREATE INDEX i ON app.keyless (a)",
		"CREATE TABLE app.emptied (id INT)")
	b.exec(t, "INSERT INTO app.emptied VALUES (1), (2)")
	p.target.Exec(t, "TRUNCATE TABLE app.emptied")
	forth.await(t, func() bool { return len(p.source.Checksums(t, "app")) == 5 && p.equal(t, "app") })
	settled()

	// A transaction that the other side reads in parts, and a restart of both jobs in between.
	a.exec(t, "INSERT INTO app.t (id, n, v) SELECT 2 * seq, 0, REPEAT('x', 400) FROM mysql.seq_100001_to_160000")
	settled()
	rows := forth.applied()
	forth.stop(t)
	both(100, 200)
	home.await(t, func() bool { return home.applied() >= b.rows }) // a commit that a stop cuts off from its answer would not be counted
	home.stop(t)
	require.Equal(t, rows, forth.applied())
	a.rows, b.rows = a.rows-forth.applied(), b.rows-home.applied()
	there.Epoch, back.Epoch = 2, 2
	forth, home = start(t, there), start(t, back)
	both(200, 300)
	settled()

	// Quiescent: positions move on, rows do not.
	seen := func(r *running) string {
		_, last, _ := r.snapshot()
		return last.Executed.GTIDSet
	}
	at, homeAt := seen(forth), seen(home)
	forth.await(t, func() bool { return seen(forth) != at && seen(home) != homeAt })
	require.Equal(t, a.rows, forth.applied(), "rows that were written at the source, each once")
	require.Equal(t, b.rows, home.applied(), "rows that were written at the target, each once")
	require.True(t, p.equal(t, "app"))
	require.Equal(t, "299", value(t, p.source, "SELECT n FROM app.t WHERE id = 0"))
	require.Equal(t, "299", value(t, p.source, "SELECT n FROM app.t WHERE id = 1"))
	events, _, _ := home.snapshot()
	require.Contains(t, events, "returned: what other jobs have brought from the target is left out")
	forth.stop(t)
	home.stop(t)
}

// TestCopyDoesNotReturn copies anew while the other direction runs: neither the tables that the copy drops nor its rows go back.
func TestCopyDoesNotReturn(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "CREATE TABLE app.keyless (a INT)",
		"INSERT INTO app.t SELECT seq, seq FROM mysql.seq_1_to_5000", "INSERT INTO app.keyless VALUES (1), (2)")
	there := p.job("there", 1, "app")
	forth := start(t, there)
	forth.awaitEvent(t, "job_stage_incr")
	home := start(t, p.back("back", 1, "app"))
	home.awaitEvent(t, "job_stage_incr")
	forth.stop(t)
	there.Epoch, there.Incarnation, there.DropTableIfExists = 2, "two", true
	forth = start(t, there)
	forth.awaitEvent(t, "job_stage_incr")
	p.target.Exec(t, "INSERT INTO app.t VALUES (-1, -1)")
	home.await(t, func() bool { return home.applied() > 0 && p.equal(t, "app") })
	require.EqualValues(t, 1, home.applied())
	require.Len(t, p.source.Checksums(t, "app"), 2)
	forth.stop(t)
	home.stop(t)
}

// TestChain holds that what a job has brought is carried on by the next one to a third server.
func TestChain(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 1)}
	next := &pair{source: p.target, target: mysqltest.Start(t, 1)}
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)")
	first := start(t, p.job("first", 1, "app"))
	p.awaitEqual(t, first, "app")
	second := start(t, next.job("second", 1, "app"))
	next.awaitEqual(t, second, "app")
	p.source.Exec(t, "INSERT INTO app.t VALUES (2)", "CREATE TABLE app.later (id INT)", "DROP TABLE app.later", "ALTER TABLE app.t ADD v INT", "UPDATE app.t SET v = 3")
	second.await(t, func() bool {
		return fmt.Sprint(p.source.Checksums(t, "app")) == fmt.Sprint(next.target.Checksums(t, "app"))
	})
	first.stop(t)
	second.stop(t)
}
