package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// A job without a copy does not begin to write to what another job writes to, under whatever name; it may go on behind one that has ended.
func TestTwoJobsOfOneTable(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE taken", "CREATE TABLE taken.t (id INT PRIMARY KEY)", "CREATE DATABASE done", "CREATE TABLE done.t (id INT PRIMARY KEY)", "CREATE TABLE done.u (id INT PRIMARY KEY)")
	refused := func(job engine.Job, want string) {
		t.Helper()
		err := engine.Run(t.Context(), job, &listener{}, zap.NewNop())
		require.ErrorContains(t, err, want)
		require.True(t, mysql.Permanent(err))
	}
	following := func(id, schema string) engine.Job {
		job := p.job(id, 1, schema)
		job.Step, job.AutoGTID = "job_stage_incr", true
		return job
	}
	first := start(t, p.job("first", 1, "taken"))
	first.awaitEvent(t, "job_stage_incr")
	refused(following("second", "taken"), "job first replicates to taken.t of the target")
	renaming := following("third", "done")
	renaming.Do = []filter.SchemaRule{{Schema: "done", Rename: "taken"}}
	refused(renaming, "job first replicates to taken.t of the target")

	full := p.job("full", 1, "done")
	full.Step = "job_stage_full"
	require.NoError(t, <-start(t, full).done)
	behind := start(t, following("behind", "done"))
	behind.awaitEvent(t, "job_stage_incr")
	refused(following("late", "done"), "job behind replicates to done.")
	behind.stop(t)
	refused(following("late", "done"), "job behind replicates to done.")
	again := following("behind", "done")
	again.Epoch = 2
	behind = start(t, again)
	p.source.Exec(t, "INSERT INTO done.t VALUES (1)")
	p.awaitEqual(t, behind, "done")
	behind.stop(t)
	first.stop(t)
}
