package replication_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

func (m *manager) update(c *replicationv1.JobConfig) (*replicationv1.UpdateJobResponse, error) {
	return m.jobs(admin).UpdateJob(m.t.Context(), &replicationv1.UpdateJobRequest{JobType: "migration", Job: c})
}

func TestTheDocumentedUpdate(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(admin, "demo")
	c := config(t, example)
	c.SrcTask.MysqlConnectionConfig.MysqlPassword = "*"
	c.DestTask.MysqlConnectionConfig.MysqlPassword = "*"
	c.SrcTask.ChunkSize = new(int32)
	*c.SrcTask.ChunkSize = 7
	answer, err := m.update(c)
	require.NoError(t, err, "a job_id without its suffix is completed")
	want := config(t, echo)
	*want.SrcTask.ChunkSize = 7
	requireProto(t, want, answer.GetJob())
	require.EqualValues(t, 7, m.detail(admin, id).GetBasicTaskProfile().GetConfiguration().GetChunkSize())
	require.Contains(t, m.published(), "opsdeck.replication.job.updated")

	_, err = m.jobs(admin).UpdateJob(t.Context(), &replicationv1.UpdateJobRequest{JobType: "migration", Job: request(t, "none").GetJob()})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", "none-migration")
	c = config(t, example)
	c.Reverse, c.TaskStepName, c.SrcTask.WaitOnJob = true, "job_stage_incr", "x-migration"
	_, err = m.update(c)
	require.ErrorContains(t, err, "cannot change")
}

// TestAnUpdateRestartsTheJob holds that a job goes on with what it has, under its new settings, and that it keeps its passwords.
func TestAnUpdateRestartsTheJob(t *testing.T) {
	t.Parallel()
	source, target := mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	fill(t, source)
	m := startManager(t)
	m.startWorker(shortDir(t))
	mistaken := func(c *replicationv1.JobConfig) {
		between(source, target)(c)
		c.SrcTask.ReplicateDoDb = []*replicationv1.SchemaRule{{TableSchema: "shpo"}}
	}
	id := m.create(admin, "real", mistaken)
	require.Eventually(t, func() bool { return m.status(id) == "retrying" }, patience, moment)
	_, err := m.update(request(t, "real", between(source, target)).GetJob())
	require.NoError(t, err, "it has not begun: all of it may change")
	m.requireSame(source, target, id)
	require.Eventually(t, func() bool {
		return m.detail(admin, id).GetBasicTaskProfile().GetJobBaseInfo().GetJobSteps()[1].GetStepSchedule() == 100
	}, patience, moment)

	kept := request(t, "real", between(source, target)).GetJob()
	kept.SrcTask.MysqlConnectionConfig.MysqlPassword, kept.DestTask.MysqlConnectionConfig.MysqlPassword = "*", "*"
	*kept.DestTask.ParallelWorkers = 8
	_, err = m.update(kept)
	require.NoError(t, err)
	insertOrders(t, source, 5000, 5100)
	m.requireSame(source, target, id)

	for field, change := range map[string]func(*replicationv1.JobConfig){
		"job.src_task.mysql_connection_config":   func(c *replicationv1.JobConfig) { c.SrcTask.MysqlConnectionConfig.MysqlPort++ },
		"job.dest_task.mysql_connection_config":  func(c *replicationv1.JobConfig) { c.DestTask.MysqlConnectionConfig.MysqlHost = "elsewhere" },
		"job.dest_task.mysql_connection_config:": func(c *replicationv1.JobConfig) { c.DestTask.MysqlConnectionConfig.MysqlSocket = "/run/other" },
		"job.src_task.replicate_do_db":           func(c *replicationv1.JobConfig) { c.SrcTask.ReplicateDoDb[0].TableSchemaRename = "store" },
		"job.src_task.replicate_ignore_db": func(c *replicationv1.JobConfig) {
			c.SrcTask.ReplicateIgnoreDb = []*replicationv1.SchemaRule{{TableSchema: "empty"}}
		},
		"job.src_task.gtid":              func(c *replicationv1.JobConfig) { c.SrcTask.Gtid = "0-1-1" },
		"job.src_task.auto_gtid":         func(c *replicationv1.JobConfig) { c.SrcTask.AutoGtid = true },
		"job.src_task.replicate_objects": func(c *replicationv1.JobConfig) { c.SrcTask.ReplicateObjects = []string{"views"} },
	} {
		_, err := m.update(request(t, "real", between(source, target), change).GetJob())
		requireFault(t, err, codes.InvalidArgument, "JOB_BEGUN", "cannot change once the job has begun")
		require.ErrorContains(t, err, field)
	}
	_, err = m.jobs(admin).PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	_, err = m.update(request(t, "real", between(source, target)).GetJob())
	require.NoError(t, err)
	require.Equal(t, "paused", m.status(id))
}
