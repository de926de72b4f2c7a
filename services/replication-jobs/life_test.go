package replication_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// act pauses, resumes or deletes a job.
type act func(ctx context.Context, jobs replicationv1.JobServiceClient, id string) error

func pause(ctx context.Context, jobs replicationv1.JobServiceClient, id string) error {
	_, err := jobs.PauseJob(ctx, &replicationv1.PauseJobRequest{JobType: "migration", JobId: id})
	return err
}

func resume(ctx context.Context, jobs replicationv1.JobServiceClient, id string) error {
	_, err := jobs.ResumeJob(ctx, &replicationv1.ResumeJobRequest{JobType: "migration", JobId: id})
	return err
}

func remove(ctx context.Context, jobs replicationv1.JobServiceClient, id string) error {
	_, err := jobs.DeleteJob(ctx, &replicationv1.DeleteJobRequest{JobType: "migration", JobId: id})
	return err
}

func (m *manager) do(do act, id string) {
	m.t.Helper()
	require.NoError(m.t, do(m.t.Context(), m.jobs(admin), id))
}

func TestReportsShow(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "life", all)
	require.Equal(t, "pending", m.status(id))
	n := m.node("n1")
	runs := n.reconcile()
	require.Len(t, runs, 1)
	require.Equal(t, "source secret", runs[0].GetJob().GetSrcTask().GetMysqlConnectionConfig().GetMysqlPassword())
	require.NotEmpty(t, runs[0].GetIncarnation())
	require.Equal(t, "running", m.status(id))

	r := report(runs[0], replicationv1.RunState_RUN_STATE_RUNNING)
	r.Stage, r.CopiedPercent = "job_stage_full", 25
	r.Events = []*replicationv1.RunEvent{said(1, "src", "Driver", "job_stage_full"), said(2, "dst", "Driver", "job_stage_full")}
	r.Target = &replicationv1.TaskStatus{DelayCount: &replicationv1.DelayCount{Num: 3, Time: 7}, ProgressPct: "25.0", Backlog: "3/128"}
	require.EqualValues(t, 2, n.reconcile(r)[0].GetStoredSequence())
	n.reconcile(r) // the answer was lost: the node says it again

	d := m.detail(alice, id)
	base := d.GetBasicTaskProfile().GetJobBaseInfo()
	require.EqualValues(t, 7, base.GetDelay())
	require.Equal(t, []string{"start", "waiting"}, []string{base.GetJobSteps()[0].GetStepStatus(), base.GetJobSteps()[1].GetStepStatus()})
	require.InDelta(t, 25, base.GetJobSteps()[0].GetStepSchedule(), 0)
	require.Len(t, d.GetTaskLogs(), 2)
	require.Equal(t, []string{"src", "dst"}, []string{d.GetTaskLogs()[0].GetTarget(), d.GetTaskLogs()[1].GetTarget()})
	start := []string{"Received: Task received by client", "Task Setup: Building Task Directory", "Started: Task started by client", "Driver: job_stage_full"}
	require.Equal(t, start, log(d.GetTaskLogs()[0]))
	require.Equal(t, start, log(d.GetTaskLogs()[1]))
	where := d.GetBasicTaskProfile().GetDtleNodeInfos()
	requireProto(t, &replicationv1.TaskNode{NodeAddr: "10.0.0.1", NodeId: n.id, DataSource: "10.186.63.18:33061", Source: "src"}, where[0])
	requireProto(t, &replicationv1.TaskNode{NodeAddr: "10.0.0.1", NodeId: n.id, DataSource: "10.186.63.18:33062", Source: "dst"}, where[1])

	status, err := replicationv1.NewMonitorServiceClient(m.as(alice)).GetTaskStatus(t.Context(), &replicationv1.GetTaskStatusRequest{
		AllocationId: d.GetTaskLogs()[1].GetAllocationId(), TaskName: "dest",
	})
	require.NoError(t, err)
	requireProto(t, r.GetTarget(), status.GetTasksStatus())
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "life", all)
	n := m.node("n1")
	run := n.reconcile()[0]
	r := report(run, replicationv1.RunState_RUN_STATE_RUNNING)
	n.reconcile(r)
	m.do(pause, id)
	m.do(pause, id) // pausing a paused job succeeds
	require.Empty(t, n.reconcile(r), "a paused job runs nowhere")
	require.Equal(t, "paused", m.status(id), "whatever a late report says")
	m.do(resume, id)
	m.do(resume, id)
	require.Equal(t, "running", m.status(id))
	require.Equal(t, run.GetEpoch(), n.reconcile()[0].GetEpoch(), "the run goes on where it was")
	require.Equal(t, []string{"Signaling: Task being sent a signal", "Signaling: Task being sent a signal"}, log(m.detail(alice, id).GetTaskLogs()[0])[3:])

	unplaced := m.create(alice, "unplaced", all)
	m.do(pause, unplaced)
	require.Len(t, n.working(), 1)
	require.Equal(t, "paused", m.status(unplaced))
	m.do(resume, unplaced)
	require.Equal(t, "pending", m.status(unplaced))
}

func TestFailureAndRecovery(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "life", all)
	n := m.node("n1")
	run := n.reconcile()[0]
	r := report(run, replicationv1.RunState_RUN_STATE_RETRYING)
	r.Error, r.Stage = "the source is away", "job_stage_full"
	r.Events = []*replicationv1.RunEvent{said(1, "dst", "Terminated", "Exit Code: 2, Exit Message: \"the source\x00 is away\"")}
	n.reconcile(r)
	require.Equal(t, "retrying", m.status(id))
	require.Equal(t, "failed", m.detail(alice, id).GetBasicTaskProfile().GetJobBaseInfo().GetJobSteps()[0].GetStepStatus())
	require.Contains(t, log(m.detail(alice, id).GetTaskLogs()[1]), `Terminated: Exit Code: 2, Exit Message: "the source is away"`)

	r = report(run, replicationv1.RunState_RUN_STATE_RUNNING)
	r.Stage, r.CopiedPercent = "job_stage_incr", 100
	n.reconcile(r)
	steps := m.detail(alice, id).GetBasicTaskProfile().GetJobBaseInfo().GetJobSteps()
	require.Equal(t, "finished", steps[0].GetStepStatus())
	require.Equal(t, "start", steps[1].GetStepStatus())
	require.InDelta(t, 100, steps[1].GetStepSchedule(), 0, "it has caught up")
}

func TestADeletedJobIsGone(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "life", all)
	n := m.node("n1")
	run := n.reconcile()[0]
	n.working()
	m.do(remove, id)
	require.Empty(t, n.working())
	_, err := m.jobs(alice).GetJob(t.Context(), &replicationv1.GetJobRequest{JobType: "migration", JobId: id})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", id)
	m.create(alice, "life", all)
	again := n.reconcile()[0]
	require.Greater(t, again.GetEpoch(), run.GetEpoch())
	require.NotEqual(t, run.GetIncarnation(), again.GetIncarnation())
}

func TestEveryChangeIsPublished(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "life", all)
	n := m.node("n1")
	run := n.reconcile()[0]
	n.working()
	m.do(pause, id)
	m.do(resume, id)
	for _, state := range []replicationv1.RunState{replicationv1.RunState_RUN_STATE_RETRYING, replicationv1.RunState_RUN_STATE_RUNNING} {
		n.reconcile(report(run, state))
	}
	m.do(remove, id)
	require.Equal(t, []string{
		"opsdeck.replication.job.created", "opsdeck.replication.job.status running", "opsdeck.replication.job.paused", "opsdeck.replication.job.resumed",
		"opsdeck.replication.job.status retrying", "opsdeck.replication.job.status running", "opsdeck.replication.job.deleted",
	}, m.published())
}

func TestAJobThatOnlyCopiesFinishes(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "copy")
	n := m.node("n1")
	done := report(n.reconcile()[0], replicationv1.RunState_RUN_STATE_FINISHED)
	done.Stage, done.CopiedPercent = "job_stage_full", 100
	require.Empty(t, n.reconcile(done))
	base := m.detail(alice, id).GetBasicTaskProfile()
	require.Equal(t, "finished", base.GetJobBaseInfo().GetJobStatus())
	require.Equal(t, "finished", base.GetJobBaseInfo().GetJobSteps()[0].GetStepStatus())
	require.Empty(t, base.GetDtleNodeInfos())
	require.Len(t, m.detail(alice, id).GetTaskLogs(), 2)
	_, err := m.jobs(alice).PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: id})
	requireFault(t, err, codes.FailedPrecondition, "JOB_FINISHED", id)
	_, err = m.jobs(alice).ResumeJob(t.Context(), &replicationv1.ResumeJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	require.Empty(t, n.reconcile())
}

func TestMonitorOfUnknownTasks(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "a", all)
	m.node("n1").reconcile()
	monitor := replicationv1.NewMonitorServiceClient(m.as(alice))
	allocation := m.detail(alice, id).GetTaskLogs()[0].GetAllocationId()
	for name, r := range map[string]*replicationv1.GetTaskStatusRequest{
		"no uuid":    {AllocationId: "x", TaskName: "src"},
		"unknown":    {AllocationId: uuid.NewString(), TaskName: "src"},
		"other task": {AllocationId: allocation, TaskName: "dest"},
	} {
		_, err := monitor.GetTaskStatus(t.Context(), r)
		requireFault(t, err, codes.NotFound, "ALLOCATION_NOT_FOUND", r.GetAllocationId())
		require.ErrorContains(t, err, r.GetTaskName(), name)
	}
	status, err := monitor.GetTaskStatus(t.Context(), &replicationv1.GetTaskStatusRequest{AllocationId: allocation, TaskName: "src"})
	require.NoError(t, err)
	require.Nil(t, status.GetTasksStatus().GetCurrentCoordinates(), "nothing was reported yet")
	require.NotNil(t, status.GetTasksStatus().GetBufferStatus())
}
