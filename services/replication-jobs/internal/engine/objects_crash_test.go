package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// redefine returns statements that change objects of every kind, now and then, and rows for which triggers run at the source.
func redefine(r *rand.Rand, n int) []string {
	if n%10 > 0 {
		return []string{fmt.Sprintf("INSERT INTO t (id, v) VALUES (%d, 1)", n), fmt.Sprintf("UPDATE t SET v = v + %d WHERE id > %d", n, n-5)}
	}
	return [][]string{
		{fmt.Sprintf("CREATE OR REPLACE VIEW z AS SELECT id, v + %d AS v FROM t", n)},
		{"DROP FUNCTION f", fmt.Sprintf("CREATE FUNCTION f(x INT) RETURNS INT DETERMINISTIC RETURN x + %d", n)},
		{fmt.Sprintf("ALTER PROCEDURE p COMMENT '%d'", n)},
		{"DROP TRIGGER half", fmt.Sprintf("CREATE TRIGGER half BEFORE UPDATE ON t FOR EACH ROW SET NEW.v = NEW.v + %d", n)},
		{"DROP TRIGGER later", fmt.Sprintf("CREATE TRIGGER later AFTER INSERT ON t FOR EACH ROW INSERT INTO log (id) VALUES (NEW.id + %d)", n)},
		{"ALTER EVENT e RENAME TO e2", fmt.Sprintf("ALTER EVENT e2 ENABLE COMMENT '%d'", n), "ALTER EVENT e2 RENAME TO e"},
		{fmt.Sprintf("ALTER TABLE t ADD c%d INT", n), fmt.Sprintf("CREATE VIEW v%d AS SELECT c%d FROM t", n, n)},
	}[r.IntN(7)]
}

// TestObjectsSurviveCrashes kills workers while objects of all kinds are copied and followed.
func TestObjectsSurviveCrashes(t *testing.T) {
	t.Parallel()
	const seed = 7
	r := rand.New(rand.NewPCG(seed, 0))
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, kinds("app")...)
	p.source.Exec(t, "CREATE TABLE app.large (id INT PRIMARY KEY, v VARCHAR(100))", "INSERT INTO app.large SELECT seq, REPEAT('x', 100) FROM mysql.seq_1_to_20000")
	ctx, stopWriter := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		random := rand.New(rand.NewPCG(seed, 1))
		for n := 1; ctx.Err() == nil; n++ {
			p.source.Exec(t, append([]string{"USE app"}, redefine(random, n)...)...)
			select {
			case <-time.After(30 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	job := p.job("objects-crash", 0, "app")
	job.Objects = everything
	for range 10 {
		job = p.again(job)
		life := time.After(time.Duration(100+r.IntN(400)) * time.Millisecond)
		switch r.IntN(3) {
		case 0:
			run := start(t, job)
			<-life
			run.stop(t)
		case 1: // kill -9 of the worker
			_, kill := startWorker(t, job)
			<-life
			kill()
		case 2: // kill -9 of the target
			run := start(t, job)
			<-life
			require.NoError(t, p.target.Kill())
			require.Error(t, <-run.done)
			p.target.Restart(t)
		}
	}
	run := start(t, p.again(job))
	run.awaitEvent(t, "Driver: job_stage_incr")
	stopWriter()
	writer.Wait()
	p.awaitEqual(t, run, "app")
	p.awaitDefined(t, run, "app")
	require.NotEmpty(t, answer(t, p.target, "SELECT 1 FROM app.log LIMIT 1"))
	run.stop(t)
}
