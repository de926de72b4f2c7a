package replication_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func (m *manager) copyAnew(id string, drop bool) error {
	_, err := m.jobs(admin).CopyJob(m.t.Context(), &replicationv1.CopyJobRequest{JobType: "migration", JobId: id, DropTableIfExists: drop})
	return err
}

// awaitError waits until the job is tried again and has told why.
func (m *manager) awaitError(id, part string) {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		var all []string
		for _, l := range m.detail(admin, id).GetTaskLogs() {
			all = append(all, log(l)...)
		}
		return m.status(id) == "retrying" && strings.Contains(strings.Join(all, "\n"), part)
	}, patience, moment, part)
}

// TestASourceOfAnotherHistory restores a source from a backup, as it were: what the job has replicated never happened there.
func TestASourceOfAnotherHistory(t *testing.T) {
	t.Parallel()
	source, target := mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	fill(t, source)
	m := startManager(t)
	m.startWorker(shortDir(t))
	keep := func(c *replicationv1.JobConfig) { c.SrcTask.DropTableIfExists = false }
	id := m.create(admin, "restored", between(source, target), keep)
	m.requireSame(source, target, id)
	insertOrders(t, source, 5000, 5010)
	m.requireSame(source, target, id)

	require.NoError(t, source.Kill())
	source.Restart(t)
	source.Exec(t, "RESET MASTER", "DELETE FROM shop.orders WHERE id >= 4000")
	m.awaitError(id, "has never executed 0-1-")
	require.NotEqual(t, source.Checksums(t, "shop"), target.Checksums(t, "shop"), "nothing is skipped in silence")

	_, err := m.jobs(alice).CopyJob(t.Context(), &replicationv1.CopyJobRequest{JobType: "migration", JobId: id})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", id)
	require.NoError(t, m.copyAnew(id, false))
	m.awaitError(id, "has rows in shop.orders already")
	require.Len(t, target.Checksums(t, "shop"), 1)
	require.NoError(t, m.copyAnew(id, true))
	m.requireSame(source, target, id)
	require.Eventually(t, func() bool { return m.status(id) == "running" }, patience, moment)
	insertOrders(t, source, 9000, 9010)
	m.requireSame(source, target, id)
	require.True(t, m.detail(admin, id).GetBasicTaskProfile().GetConfiguration().GetDropTableIfExists())
}

func TestWhatIsNotCopiedAnew(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	follows := m.create(admin, "follows", func(c *replicationv1.JobConfig) { c.TaskStepName = "job_stage_incr" })
	requireFault(t, m.copyAnew(follows, false), codes.FailedPrecondition, "NOTHING_TO_COPY", "only follows the binary log")
	kept := m.create(admin, "kept", func(c *replicationv1.JobConfig) {
		c.SrcTask.SkipCreateDbTable, c.SrcTask.DropTableIfExists = true, false
		c.TaskStepName = "all"
	})
	requireFault(t, m.copyAnew(kept, true), codes.FailedPrecondition, "TABLES_KEPT", "empty them there")
	requireFault(t, m.copyAnew("none-migration", true), codes.NotFound, "JOB_NOT_FOUND", "none-migration")
	requireFault(t, m.copyAnew("none-sync", true), codes.InvalidArgument, "JOB_TYPE_MISMATCH", "none-sync")
	_, err := m.jobs(admin).PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: kept})
	require.NoError(t, err)
	require.NoError(t, m.copyAnew(kept, false))
	require.Equal(t, "paused", m.status(kept))
}
