package engine_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// startReplica starts a server that replicates from another one, by the servers' own means.
func startReplica(t *testing.T, of *mysqltest.Server, serverID uint32) *mysqltest.Server {
	t.Helper()
	replica := mysqltest.Start(t, serverID, "--log-slave-updates=ON")
	if replica.IsMySQL() {
		replica.Exec(t, fmt.Sprintf("CHANGE REPLICATION SOURCE TO source_host = '127.0.0.1', source_port = %d, source_user = '%s', source_password = '%s', source_auto_position = 1, get_source_public_key = 1",
			of.Port(), of.User(), of.Password()), "START REPLICA")
		return replica
	}
	replica.Exec(t, fmt.Sprintf("CHANGE MASTER TO master_host = '127.0.0.1', master_port = %d, master_user = '%s', master_password = '%s', master_use_gtid = slave_pos",
		of.Port(), of.User(), of.Password()), "START SLAVE")
	return replica
}

// catchUp waits until a replica has executed all of its master.
func catchUp(t *testing.T, replica, master *mysqltest.Server) {
	t.Helper()
	if replica.IsMySQL() {
		require.Equal(t, "0", value(t, replica, "SELECT WAIT_FOR_EXECUTED_GTID_SET('"+value(t, master, "SELECT @@GLOBAL.gtid_executed")+"', 60)"))
		return
	}
	require.Equal(t, "0", value(t, replica, "SELECT MASTER_GTID_WAIT('"+value(t, master, "SELECT @@GLOBAL.gtid_binlog_pos")+"', 60)"))
}

// TestFailover kills the source: the job goes on with the replica that has everything, not with one that was left behind.
func TestFailover(t *testing.T) {
	t.Parallel()
	source := mysqltest.Start(t, 1)
	replica, stale := startReplica(t, source, 3), startReplica(t, source, 4)
	p := &pair{source: source, target: mysqltest.Start(t, 2)}
	source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t SELECT seq, seq FROM mysql.seq_1_to_1000")
	catchUp(t, stale, source)
	stale.Exec(t, "STOP SLAVE")
	job := p.job("failover", 1, "app")
	job.Alternates = []mysql.Config{stale.Config(), replica.Config()}
	run := start(t, job)
	p.awaitEqual(t, run, "app")
	run.awaitEvent(t, "job_stage_incr")
	source.Exec(t, "UPDATE app.t SET v = -v WHERE id < 500", "INSERT INTO app.t VALUES (5000, 1)")
	p.awaitEqual(t, run, "app")
	run.await(t, func() bool { return run.applied() == 500 })
	catchUp(t, replica, source)

	first, second := "0-1-", "0-3-"
	if source.IsMySQL() {
		first, second = value(t, source, "SELECT @@GLOBAL.server_uuid"), value(t, replica, "SELECT @@GLOBAL.server_uuid")
	}
	require.NoError(t, source.Kill())
	require.Error(t, <-run.done)
	replica.Exec(t, "STOP SLAVE", "INSERT INTO app.t VALUES (6000, 2)", "DELETE FROM app.t WHERE id = 7")
	p.source = replica
	job.Epoch = 2
	run = start(t, job)
	p.awaitEqual(t, run, "app")
	run.awaitEvent(t, "source: reading from "+replica.Addr())
	events, _, _ := run.snapshot()
	require.Contains(t, events, "nothing listens on "+source.Addr())
	require.Contains(t, events, "the server at "+stale.Addr()+" has never executed "+first)
	run.await(t, func() bool { return run.applied() == 2 })
	run.stop(t)

	job.Epoch, job.Alternates = 3, []mysql.Config{stale.Config()}
	err := engine.Run(t.Context(), job, &listener{}, zap.NewNop())
	require.ErrorContains(t, err, "source: none of its servers can be used: "+source.Addr()+": nothing listens")
	require.Regexp(t, "has never executed .*"+second, err.Error())
	require.False(t, mysql.Permanent(err), "the first may come back")
}
