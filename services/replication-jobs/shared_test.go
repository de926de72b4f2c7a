package replication_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// startCopied starts two servers and a manager whose job "first", between the two, has finished its copy.
func startCopied(t *testing.T) (m *manager, source, target *mysqltest.Server, first string) {
	t.Helper()
	source, target = mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	fill(t, source)
	m = startManager(t)
	m.startWorker(shortDir(t))
	first = m.create(admin, "first", between(source, target))
	m.requireSame(source, target, first)
	m.requireCopied(first)
	return m, source, target, first
}

// requireCopied waits until a job has finished its copy.
func (m *manager) requireCopied(id string) {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		return m.detail(admin, id).GetBasicTaskProfile().GetJobBaseInfo().GetJobSteps()[0].GetStepStatus() == "finished"
	}, patience, moment)
}

// A job that would write to what another one has begun to write to is refused when it is created or changed, not only when it starts.
func TestASecondJobOfATableIsRefused(t *testing.T) {
	t.Parallel()
	m, source, target, first := startCopied(t)
	rules := func(schema, rename string) func(*replicationv1.JobConfig) {
		return func(c *replicationv1.JobConfig) {
			c.SrcTask.ReplicateDoDb = []*replicationv1.SchemaRule{{TableSchema: schema, TableSchemaRename: rename}}
		}
	}
	incremental := func(c *replicationv1.JobConfig) { c.TaskStepName = "job_stage_incr" }
	for _, with := range [][]func(*replicationv1.JobConfig){{}, {incremental}, {rules("empty", "shop"), func(c *replicationv1.JobConfig) {
		c.SrcTask.ReplicateDoDb = append(c.SrcTask.ReplicateDoDb, &replicationv1.SchemaRule{TableSchema: "shop", Tables: []*replicationv1.TableRule{{TableName: "orders"}}})
	}}} {
		_, err := m.jobs(admin).CreateJob(t.Context(), request(t, "second", append([]func(*replicationv1.JobConfig){between(source, target)}, with...)...))
		requireFault(t, err, codes.FailedPrecondition, "TABLE_TAKEN", "job first-migration replicates to the ")
	}
	_, err := m.jobs(alice).CreateJob(t.Context(), request(t, "second", between(source, target)))
	requireFault(t, err, codes.FailedPrecondition, "TABLE_TAKEN", "another user's job replicates to the schema shop")

	second := m.create(admin, "second", between(source, target), rules("shop", "store"))
	_, err = m.update(request(t, "second", between(source, target)).GetJob())
	require.Error(t, err, "whether it has begun or not")
	_, err = m.update(request(t, "second", between(source, target), rules("shop", "store"), func(c *replicationv1.JobConfig) { *c.SrcTask.ChunkSize = 100 }).GetJob())
	require.NoError(t, err, second)
	_, err = m.jobs(admin).DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "migration", JobId: first})
	require.NoError(t, err)
	m.create(admin, "third", between(source, target))
}

// A job of the tables of another one that has just been deleted waits until the target has forgotten that, and then begins, without a failure.
func TestAJobWaitsForWhatADeletedOneHasLeft(t *testing.T) {
	t.Parallel()
	m, source, target, first := startCopied(t)
	held := target.Connect(t) // so that it cannot be forgotten
	require.NoError(t, held.Begin())
	_, err := held.Execute("SELECT * FROM opsdeck.replication_job WHERE job_id = '" + first + "' FOR UPDATE")
	require.NoError(t, err)
	_, err = m.jobs(admin).DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "migration", JobId: first})
	require.NoError(t, err)
	second := m.create(admin, "second", between(source, target), func(c *replicationv1.JobConfig) { c.SrcTask.DropTableIfExists = true })
	elsewhere := m.create(admin, "elsewhere", between(target, source), func(c *replicationv1.JobConfig) { c.SrcTask.ReplicateDoDb[0].TableSchema = "empty" })
	require.Eventually(t, func() bool { return len(m.detail(admin, elsewhere).GetTaskLogs()) > 0 }, patience, moment, "another instance is not waited for")
	require.Equal(t, "pending", m.status(second))
	require.NoError(t, held.Rollback())
	m.requireCopied(second)
	m.requireSame(source, target, second)
	for _, l := range m.detail(admin, second).GetTaskLogs() {
		events := log(l)
		require.Contains(t, events, "Driver: waited until what the deleted job "+first+" had left at the target was cleared")
		for _, e := range events {
			require.NotContains(t, e, "Terminated")
		}
	}
}
