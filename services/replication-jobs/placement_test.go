package replication_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/placement"
)

func TestFailover(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	first, second := m.node("first"), m.node("second")
	id := m.create(alice, "moving", all)
	old := first.reconcile()[0]
	require.Empty(t, second.reconcile())
	first.silent()
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
	m := startManager(t)
	home, other := m.node("home"), m.node("other")
	require.Empty(t, home.reconcile())
	id := m.create(alice, "pinned", all, func(c *replicationv1.JobConfig) {
		c.Failover, c.SrcTask.NodeId, c.DestTask.NodeId = proto.Bool(false), home.id, home.id
	})
	require.Empty(t, other.reconcile())
	require.Equal(t, "pending", m.status(id))
	require.Len(t, home.reconcile(), 1)
	home.silent()
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
	m := startManager(t)
	a, b := m.node("a"), m.node("b")
	a.reconcile()
	b.reconcile()
	for _, name := range []string{"1", "2", "3", "4", "5", "6"} {
		m.create(alice, name, all)
	}
	m.create(alice, "7", all, split(b, b))
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

func TestAJobThatCannotBeReadHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	broken, sound := m.create(alice, "broken", all), m.create(alice, "sound", all)
	var sealed []byte
	require.NoError(t, m.pool.QueryRow(t.Context(), `
		UPDATE replication.jobs AS j SET source_password = '\x01' FROM replication.jobs AS before
		WHERE j.id = $1 AND before.id = j.id RETURNING before.source_password`, broken).Scan(&sealed))
	n := m.node("n1")
	require.Equal(t, sound, n.reconcile()[0].GetJob().GetJobId())
	require.Len(t, n.reconcile(), 1)
	require.Equal(t, "retrying", m.status(broken))
	events := m.detail(alice, broken).GetTaskLogs()[0].GetTaskEvents()
	require.Len(t, events, 4)
	require.Contains(t, events[3].GetSetupError(), "cannot be opened")

	_, err := m.pool.Exec(t.Context(), `UPDATE replication.jobs SET source_password = $2 WHERE id = $1`, broken, sealed)
	require.NoError(t, err)
	require.Len(t, n.reconcile(), 2)
	n.working()
	require.Equal(t, "running", m.status(broken))
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

func TestAnswersHaveNoMoreConfigurationsThanFit(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	const jobs = 20
	for i := range jobs {
		m.create(alice, fmt.Sprintf("large-%02d", i), all, func(c *replicationv1.JobConfig) {
			for range 10000 {
				c.SrcTask.ReplicateDoDb = append(c.SrcTask.ReplicateDoDb, &replicationv1.SchemaRule{TableSchema: strings.Repeat("s", 64)})
			}
		})
	}
	n := m.node("n1")
	n.reconcile()
	running := map[string]*replicationv1.RunReport{}
	for calls := 0; len(running) < jobs; calls++ {
		require.Less(t, calls, jobs)
		require.Len(t, n.last, jobs, "those without a configuration are not to be stopped")
		require.Less(t, proto.Size(&replicationv1.ReconcileResponse{Assignments: n.last}), 3<<20)
		for _, a := range n.last {
			_, known := running[a.GetJob().GetJobId()]
			if known {
				require.Nil(t, a.GetJob().GetSrcTask(), "a node has the configuration of what it runs")
			} else if a.GetJob().GetSrcTask() != nil {
				running[a.GetJob().GetJobId()] = report(a, replicationv1.RunState_RUN_STATE_RUNNING)
			}
		}
		n.reconcile(slices.Collect(maps.Values(running))...)
	}
}

func TestNodesAreForgotten(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	gone, busy, pinned, live := m.node("gone"), m.node("busy"), m.node("pinned"), m.node("live")
	pinned.reconcile()
	gone.reconcile()
	m.create(alice, "placed", all)
	require.Len(t, busy.reconcile(), 1)
	m.create(alice, "waiting", all, func(c *replicationv1.JobConfig) { c.SrcTask.NodeId = pinned.id })
	_, err := m.pool.Exec(t.Context(), `UPDATE replication.nodes SET seen = now() - interval '31 days'`)
	require.NoError(t, err)
	live.reconcile()

	require.NoError(t, placement.NewService(m.pool, nil, nil, nil, placement.Config{}, nil).Forget(t.Context()))

	answer, err := replicationv1.NewNodeServiceClient(m.as(anyone)).ListNodes(t.Context(), &replicationv1.ListNodesRequest{})
	require.NoError(t, err)
	var names []string
	for _, n := range answer.GetNodes() {
		names = append(names, n.GetNodeName())
	}
	require.Equal(t, []string{"busy", "live", "pinned"}, names)
}

func TestEpochsRiseBeyondThoseOfABackup(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	before := time.Now().UnixMilli() - time.Minute.Milliseconds()
	answer, err := m.jobs(admin).CreateJob(t.Context(), request(t, "restored"))
	require.NoError(t, err)
	require.Greater(t, answer.GetJobModifyIndex(), before, "the targets may have seen any epoch up to now")
}
