package replication_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"

	replication "github.com/opsdeck/opsdeck/services/replication-jobs"
)

// node is a scripted worker node.
type node struct {
	m      *manager
	id     string
	name   string
	client replicationv1.WorkerServiceClient
	last   []*replicationv1.Assignment // the newest answer
}

func (m *manager) node(name string) *node {
	m.t.Helper()
	return &node{m: m, id: uuid.NewString(), name: name, client: replicationv1.NewWorkerServiceClient(m.as(asWorker))}
}

func (n *node) reconcile(runs ...*replicationv1.RunReport) []*replicationv1.Assignment {
	n.m.t.Helper()
	answer, err := n.client.Reconcile(n.m.t.Context(), &replicationv1.ReconcileRequest{
		NodeId: n.id, NodeName: n.name, NodeAddress: "10.0.0.1", Datacenter: "dc1", Version: "1.2.3", Runs: runs,
	})
	require.NoError(n.m.t, err)
	n.last = answer.GetAssignments()
	return n.last
}

// working reports that all runs of the last answer work.
func (n *node) working() []*replicationv1.Assignment {
	n.m.t.Helper()
	var runs []*replicationv1.RunReport
	for _, a := range n.last {
		runs = append(runs, report(a, replicationv1.RunState_RUN_STATE_RUNNING))
	}
	return n.reconcile(runs...)
}

func report(a *replicationv1.Assignment, state replicationv1.RunState) *replicationv1.RunReport {
	return &replicationv1.RunReport{JobId: a.GetJob().GetJobId(), Epoch: a.GetEpoch(), State: state}
}

func said(sequence int64, target, kind, message string) *replicationv1.RunEvent {
	return &replicationv1.RunEvent{Sequence: sequence, Target: target, EventType: kind, Message: message, Time: timestamppb.Now()}
}

func (m *manager) detail(p authn.Principal, id string) *replicationv1.GetJobResponse {
	m.t.Helper()
	answer, err := m.jobs(p).GetJob(m.t.Context(), &replicationv1.GetJobRequest{JobType: "migration", JobId: id})
	require.NoError(m.t, err)
	return answer
}

func (m *manager) status(id string) string {
	m.t.Helper()
	return m.detail(admin, id).GetBasicTaskProfile().GetJobBaseInfo().GetJobStatus()
}

// log returns "type: message" of the events of one placement.
func log(l *replicationv1.TaskLog) []string {
	var all []string
	for _, e := range l.GetTaskEvents() {
		all = append(all, e.GetEventType()+": "+e.GetMessage())
	}
	return all
}

// published returns the types of the events that were handed to the outbox, oldest first.
func (m *manager) published() []string {
	m.t.Helper()
	rows, err := m.pool.Query(m.t.Context(), `
		SELECT (args->'event'->>'type') || coalesce(' ' || (args->'event'->'data'->>'newStatus'), '')
		FROM replication.river_job WHERE kind = 'bus.publish' ORDER BY id`)
	require.NoError(m.t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		require.NoError(m.t, rows.Scan(&text))
		all = append(all, text)
	}
	require.NoError(m.t, rows.Err())
	return all
}

func all(c *replicationv1.JobConfig) { c.TaskStepName = "all" }

func TestLifeOfAJob(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	jobs := m.jobs(alice)
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

	_, err = jobs.PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	_, err = jobs.PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err, "pausing a paused job succeeds")
	require.Empty(t, n.reconcile(r), "a paused job runs nowhere")
	require.Equal(t, "paused", m.status(id), "whatever a late report says")
	_, err = jobs.ResumeJob(t.Context(), &replicationv1.ResumeJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	require.Equal(t, "running", m.status(id))
	require.Equal(t, runs[0].GetEpoch(), n.reconcile()[0].GetEpoch(), "the run goes on where it was")

	r = report(runs[0], replicationv1.RunState_RUN_STATE_RETRYING)
	r.Error, r.Stage = "the source is away", "job_stage_full"
	r.Events = []*replicationv1.RunEvent{said(3, "dst", "Terminated", "Exit Code: 2, Exit Message: \"the source\x00 is away\"")}
	n.reconcile(r)
	require.Equal(t, "retrying", m.status(id))
	require.Equal(t, "failed", m.detail(alice, id).GetBasicTaskProfile().GetJobBaseInfo().GetJobSteps()[0].GetStepStatus())
	require.Contains(t, log(m.detail(alice, id).GetTaskLogs()[1]), `Terminated: Exit Code: 2, Exit Message: "the source is away"`)
	r = report(runs[0], replicationv1.RunState_RUN_STATE_RUNNING)
	r.Stage, r.CopiedPercent = "job_stage_incr", 100
	n.reconcile(r)
	steps := m.detail(alice, id).GetBasicTaskProfile().GetJobBaseInfo().GetJobSteps()
	require.Equal(t, "finished", steps[0].GetStepStatus())
	require.Equal(t, "start", steps[1].GetStepStatus())
	require.InDelta(t, 100, steps[1].GetStepSchedule(), 0, "it has caught up")

	_, err = jobs.DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	require.Empty(t, n.reconcile(r))
	_, err = jobs.GetJob(t.Context(), &replicationv1.GetJobRequest{JobType: "migration", JobId: id})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", id)
	require.Equal(t, []string{
		"opsdeck.replication.job.created", "opsdeck.replication.job.status running", "opsdeck.replication.job.paused", "opsdeck.replication.job.resumed",
		"opsdeck.replication.job.status retrying", "opsdeck.replication.job.status running", "opsdeck.replication.job.deleted",
	}, m.published())

	m.create(alice, "life", all)
	again := n.reconcile()
	require.Greater(t, again[0].GetEpoch(), runs[0].GetEpoch())
	require.NotEqual(t, runs[0].GetIncarnation(), again[0].GetIncarnation())
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

func TestFailover(t *testing.T) {
	t.Parallel()
	m := startManager(t, func(c *replication.Config) { c.Lease, c.Interval = time.Second, 50*time.Millisecond })
	first, second := m.node("first"), m.node("second")
	id := m.create(alice, "moving", all)
	old := first.reconcile()[0]
	require.Empty(t, second.reconcile())
	require.Eventually(t, func() bool { return len(second.working()) == 1 }, patience, moment, "the first node is silent")
	taken := second.last[0]
	require.Greater(t, taken.GetEpoch(), old.GetEpoch())
	require.Equal(t, old.GetIncarnation(), taken.GetIncarnation())
	second.working()

	late := report(old, replicationv1.RunState_RUN_STATE_RETRYING)
	late.Error, late.Events = "late", []*replicationv1.RunEvent{said(1, "src", "Terminated", "late")}
	require.Empty(t, first.reconcile(late), "the job is not its any more")
	d := m.detail(alice, id)
	require.Equal(t, "running", d.GetBasicTaskProfile().GetJobBaseInfo().GetJobStatus())
	require.Len(t, d.GetTaskLogs(), 4)
	var sides []string
	for _, l := range d.GetTaskLogs() {
		sides = append(sides, l.GetTarget()+" on "+map[string]string{first.id: "first", second.id: "second"}[l.GetNodeId()])
		require.NotContains(t, log(l), "Terminated: late")
	}
	require.Equal(t, []string{"src on first", "src on second", "dst on first", "dst on second"}, sides)
	killed := d.GetTaskLogs()[0].GetTaskEvents()[3]
	require.Equal(t, "Killed", killed.GetEventType())
	require.Contains(t, killed.GetMessage(), "node first has been silent since")
	require.Equal(t, []string{
		"opsdeck.replication.job.created", "opsdeck.replication.job.status running",
		"opsdeck.replication.job.status pending", "opsdeck.replication.job.status running",
	}, m.published())
}

func TestAPinnedJobWaitsForItsNode(t *testing.T) {
	t.Parallel()
	m := startManager(t, func(c *replication.Config) { c.Lease, c.Interval = time.Second, 50*time.Millisecond })
	home, other := m.node("home"), m.node("other")
	id := m.create(alice, "pinned", all, func(c *replicationv1.JobConfig) {
		c.Failover, c.SrcTask.NodeId, c.DestTask.NodeId = proto.Bool(false), home.id, home.id
	})
	require.Empty(t, other.reconcile())
	require.Equal(t, "pending", m.status(id))
	require.Len(t, home.reconcile(), 1)
	require.Eventually(t, func() bool {
		require.Empty(t, other.reconcile())
		return m.status(id) == "pending"
	}, patience, moment, "its node is silent")
	nodes, err := replicationv1.NewNodeServiceClient(m.as(anyone)).ListNodes(t.Context(), &replicationv1.ListNodesRequest{})
	require.NoError(t, err)
	require.Len(t, nodes.GetNodes(), 2)
	down, ready := nodes.GetNodes()[0], nodes.GetNodes()[1]
	require.Equal(t, "down", down.GetNodeStatus())
	require.Contains(t, down.GetNodeStatusDescription(), "no word from it since")
	requireProto(t, &replicationv1.Node{
		NodeAddress: "10.0.0.1", NodeName: "other", NodeId: other.id, NodeStatus: "ready", Datacenter: "dc1", NomadVersion: "dev", DtleVersion: "1.2.3",
	}, ready)
	require.Len(t, home.reconcile(), 1)
	require.Equal(t, "running", m.status(id))
}

func TestJobsSpreadOverNodes(t *testing.T) {
	t.Parallel()
	m := startManager(t, func(c *replication.Config) { c.Lease = time.Minute })
	a, b := m.node("a"), m.node("b")
	a.reconcile()
	b.reconcile()
	for _, name := range []string{"1", "2", "3", "4", "5", "6"} {
		m.create(alice, name, all)
	}
	m.create(alice, "7", all, func(c *replicationv1.JobConfig) { c.SrcTask.NodeId = b.id })
	require.Len(t, a.reconcile(), 3)
	require.Len(t, b.reconcile(), 4)
	require.Len(t, a.working(), 3)
}

func TestARestartedWorkerStartsAnew(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "again", all)
	n := m.node("n1")
	before := n.reconcile()[0].GetEpoch()
	require.Equal(t, before, n.reconcile()[0].GetEpoch(), "not yet started, not yet lost")
	require.Equal(t, before, n.working()[0].GetEpoch())
	require.Greater(t, n.reconcile()[0].GetEpoch(), before, "the process has forgotten its run")
	d := m.detail(alice, id)
	require.Len(t, d.GetTaskLogs(), 4)
	require.Contains(t, log(d.GetTaskLogs()[0]), "Killed: the worker process ended: n1 starts the task anew")
	require.Equal(t, "running", m.status(id))
}

func TestLogsAreBounded(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "busy", all)
	n := m.node("n1")
	r := report(n.reconcile()[0], replicationv1.RunState_RUN_STATE_RUNNING)
	for i := range 300 {
		r.Events = append(r.Events, said(int64(i+1), "dst", "Driver", "event"))
	}
	r.Events[299].Message = "the newest"
	n.reconcile(r)
	events := log(m.detail(alice, id).GetTaskLogs()[1])
	require.Len(t, events, 100)
	require.Equal(t, "Driver: the newest", events[99])
	for range 25 {
		n.working()
		n.reconcile()
	}
	require.Len(t, m.detail(alice, id).GetTaskLogs(), 40)
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
