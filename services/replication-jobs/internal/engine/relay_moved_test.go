package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// TestRelayOfAnotherTime: a job that was on another node meanwhile does not use what its first one has kept, not even where the numbers would fit.
func TestRelayOfAnotherTime(t *testing.T) {
	t.Parallel()
	source := mysqltest.Start(t, 1)
	replica := startReplica(t, source, 3)
	p := &pair{source: source, target: mysqltest.Start(t, 2)}
	source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t SELECT seq, 0 FROM mysql.seq_1_to_1000")
	job := relayed(p.job("moved", 1, "app"), t.TempDir())
	job.Alternates = []mysql.Config{replica.Config()}
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	p.awaitEqual(t, run, "app")
	run.stop(t)
	job.Epoch, job.MaxRowsPerSecond = 2, 1 // what comes behind the update is not applied for minutes
	run = start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	source.Exec(t, "UPDATE app.t SET v = 1 WHERE id < 500")
	catchUp(t, replica, source)
	replica.Exec(t, "STOP SLAVE")
	source.Exec(t, "INSERT INTO app.t VALUES (5001, 1)", "INSERT INTO app.t VALUES (5002, 2)", "INSERT INTO app.t VALUES (5003, 3)")
	p.awaitRelay(t, run)
	require.NoError(t, source.Kill())
	require.Error(t, <-run.done)

	job.MaxRowsPerSecond = 0
	elsewhere := relayed(job, t.TempDir())
	elsewhere.Epoch = 3
	run = start(t, elsewhere)
	p.source = replica
	replica.Exec(t, "DELETE FROM app.t WHERE id = 7")
	p.awaitEqual(t, run, "app")
	run.stop(t)
	want := replica.Checksums(t, "app")

	require.NoError(t, replica.Kill())
	job.Epoch = 4
	run = start(t, job)
	err := <-run.done
	require.ErrorContains(t, err, "none of its servers can be used")
	require.NotContains(t, err.Error(), "relay log")
	require.Equal(t, want, p.target.Checksums(t, "app"))
	replica.Restart(t)
	replica.Exec(t, "INSERT INTO app.t VALUES (6000, 6)")
	job.Epoch = 5
	run = start(t, job)
	p.awaitEqual(t, run, "app")
	p.awaitRelay(t, run)
	run.stop(t)
}
