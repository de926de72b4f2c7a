package replication_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// split makes a job that wants its two ends on two nodes.
func split(source, target *node) func(*replicationv1.JobConfig) {
	return func(c *replicationv1.JobConfig) { c.SrcTask.NodeId, c.DestTask.NodeId = source.id, target.id }
}

func pinned(c *replicationv1.JobConfig) { c.Failover = proto.Bool(false) }

// sides are the nodes of a job's ends, as its detail shows them.
func (m *manager) sides(id string) [2]string {
	m.t.Helper()
	where := m.detail(admin, id).GetBasicTaskProfile().GetDtleNodeInfos()
	if len(where) == 0 {
		return [2]string{}
	}
	return [2]string{where[0].GetNodeId(), where[1].GetNodeId()}
}

func TestEndsOnTwoNodes(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	source, target, other := m.node("source"), m.node("target"), m.node("other")
	for _, n := range []*node{source, target, other} {
		n.reconcile()
	}
	id := m.create(alice, "split", all, split(source, target), func(c *replicationv1.JobConfig) {
		c.SrcTask.MysqlConnectionConfig.MysqlAddresses = []string{"10.186.63.19:33061"}
	})
	require.Empty(t, source.reconcile(), "the node of the target runs it")
	require.Empty(t, source.ends)
	placed := target.reconcile()
	require.Len(t, placed, 1)
	require.Equal(t, "source", placed[0].GetSource().GetNodeName())
	require.Len(t, placed[0].GetSource().GetKey(), 32)
	require.Equal(t, [2]string{source.id, target.id}, m.sides(id))
	other.reconcile()
	require.Empty(t, other.ends, "the job is none of its business")
	require.Empty(t, target.ends)

	require.Empty(t, source.reconcile())
	requireProto(t, &replicationv1.SourceEnd{
		JobId: id, Epoch: placed[0].GetEpoch(), Incarnation: placed[0].GetIncarnation(), Key: placed[0].GetSource().GetKey(),
		Addresses: []string{"10.186.63.18:33061", "10.186.63.19:33061"},
	}, source.ends[0])
	source.carrying()
	requireProto(t, &replicationv1.SourceEnd{JobId: id, Epoch: placed[0].GetEpoch(), Incarnation: placed[0].GetIncarnation()}, source.ends[0])
	require.Nil(t, target.working()[0].GetSource(), "what a node has is not told again")
	require.Empty(t, m.node("late").reconcile())

	_, err := m.jobs(alice).PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	source.carrying()
	require.Empty(t, source.ends, "of a paused job nothing is carried")
}

func TestAnUpdateMovesTheEnds(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	a, b := m.node("a"), m.node("b")
	a.reconcile()
	b.reconcile()
	id := m.create(admin, "demo", split(a, b))
	b.reconcile()
	require.Equal(t, [2]string{a.id, b.id}, m.sides(id))
	for _, nodes := range [][2]*node{{b, a}, {a, a}, {a, b}} {
		c := request(t, "demo", split(nodes[0], nodes[1])).GetJob()
		_, err := m.update(c)
		require.NoError(t, err)
		a.carrying()
		b.carrying()
		require.Equal(t, [2]string{nodes[0].id, nodes[1].id}, m.sides(id))
	}
}

func TestASubscriptionOnTwoNodes(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	source, target := m.node("source"), m.node("target")
	source.reconcile()
	target.reconcile()
	_, err := m.subscriptions(alice).CreateSubscription(t.Context(), &replicationv1.CreateSubscriptionRequest{
		Job: subscription(t, "demo", func(c *replicationv1.SubscriptionConfig) { c.SrcTask.NodeId, c.DestTask.NodeId = source.id, target.id }),
	})
	require.NoError(t, err)
	run := target.reconcile()[0]
	require.NotNil(t, run.GetSubscription())
	require.Equal(t, "source", run.GetSource().GetNodeName())
	source.reconcile()
	require.Equal(t, []string{"db:3306"}, source.ends[0].GetAddresses())
	require.Equal(t, run.GetSource().GetKey(), source.ends[0].GetKey())
}

func TestTheSourceNodeTellsWhatItCarries(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	source, target := m.node("source"), m.node("target")
	source.reconcile()
	id := m.create(alice, "split", all, split(source, target))
	run := report(target.reconcile()[0], replicationv1.RunState_RUN_STATE_RUNNING)
	run.Source = &replicationv1.TaskStatus{ReadMasterRowCount: 7, NatsMessageStatus: &replicationv1.MessageStatus{InMessages: 1, Reconnects: 1}}
	target.reconcile(run)
	source.reconcile()
	refused := &replicationv1.TunnelStatus{Error: "nats: permissions violation"}
	carried := &replicationv1.TunnelStatus{Connections: 3, ReadBytes: 1000, WrittenBytes: 20, SentBytes: 300, ReceivedBytes: 40, BytesPerSecond: 5}
	for _, tunnel := range []*replicationv1.TunnelStatus{refused, refused, carried, carried} {
		source.carrying(&replicationv1.TaskStatus{Tunnel: tunnel, NatsMessageStatus: &replicationv1.MessageStatus{InMessages: 9}})
	}
	thief := m.node("thief")
	thief.ends = source.ends
	thief.carrying(&replicationv1.TaskStatus{Tunnel: &replicationv1.TunnelStatus{Error: "forged"}})

	d := m.detail(alice, id)
	src := d.GetTaskLogs()[0]
	require.Equal(t, source.id, src.GetNodeId())
	require.Equal(t, []string{
		"Driver: carries no connections to the source: nats: permissions violation", "Driver: carries connections to the source",
	}, log(src)[3:], "once each")
	figures, err := replicationv1.NewMonitorServiceClient(m.as(alice)).GetTaskStatus(t.Context(), &replicationv1.GetTaskStatusRequest{
		AllocationId: src.GetAllocationId(), TaskName: "src",
	})
	require.NoError(t, err)
	requireProto(t, &replicationv1.TaskStatus{
		ReadMasterRowCount: 7, Tunnel: carried, NatsMessageStatus: &replicationv1.MessageStatus{InMessages: 9},
	}, figures.GetTasksStatus())
}

// With failover the source's end goes to another node while its own is silent, and comes back when the job needs it.
func TestASilentSourceNodeIsReplaced(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	source, target, other := m.node("source"), m.node("target"), m.node("other")
	for _, n := range []*node{source, target, other} {
		n.reconcile()
	}
	id := m.create(alice, "split", all, split(source, target))
	first := target.reconcile()[0]
	source.silent()
	require.Eventually(t, func() bool {
		other.carrying()
		target.working()
		return m.sides(id) == [2]string{other.id, target.id}
	}, patience, moment, "the node of the source is silent")
	second := target.last[0]
	require.Greater(t, second.GetEpoch(), first.GetEpoch())
	require.NotEqual(t, first.GetSource().GetKey(), second.GetSource().GetKey())
	require.Contains(t, log(m.detail(alice, id).GetTaskLogs()[0])[3], "Killed: node source has been silent since")
	var keys int
	require.NoError(t, m.pool.QueryRow(t.Context(), `SELECT count(*) FROM replication.allocations WHERE tunnel_key IS NOT NULL`).Scan(&keys))
	require.Equal(t, 1, keys, "the key of the first placement is forgotten")

	source.reconcile()
	require.Empty(t, source.ends, "a job that works stays where it is")
	require.Eventually(t, func() bool {
		source.carrying()
		other.carrying()
		var runs []*replicationv1.RunReport
		for _, a := range target.last {
			runs = append(runs, report(a, replicationv1.RunState_RUN_STATE_RETRYING))
		}
		target.reconcile(runs...)
		return m.sides(id) == [2]string{source.id, target.id}
	}, patience, moment, "a job that fails goes back")
}

// While there is no other node, the target's node does both ends.
func TestTheTargetNodeTakesTheSourceAsWell(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	source, target := m.node("source"), m.node("target")
	source.reconcile()
	target.reconcile()
	id := m.create(alice, "split", all, split(source, target))
	target.reconcile()
	source.silent()
	require.Eventually(t, func() bool {
		target.working()
		return m.sides(id) == [2]string{target.id, target.id}
	}, patience, moment)
	require.Nil(t, target.last[0].GetSource())
}

func TestASilentTargetNodeIsReplaced(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	source, target, other := m.node("source"), m.node("target"), m.node("other")
	for _, n := range []*node{source, target} {
		n.reconcile()
	}
	id := m.create(alice, "split", all, split(source, target))
	target.reconcile()
	target.silent()
	require.Eventually(t, func() bool {
		other.working()
		return m.sides(id) == [2]string{source.id, other.id}
	}, patience, moment)
	source.reconcile()
	require.Equal(t, other.last[0].GetSource().GetKey(), source.ends[0].GetKey())
}

func TestAJobPinnedToTwoNodesWaitsForBoth(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	source, target, other := m.node("source"), m.node("target"), m.node("other")
	source.reconcile()
	target.reconcile()
	id := m.create(alice, "pinned", all, split(source, target), pinned)
	target.reconcile()
	require.Equal(t, [2]string{source.id, target.id}, m.sides(id))
	source.silent()
	require.Eventually(t, func() bool {
		other.reconcile()
		target.working()
		return m.status(id) == "pending"
	}, patience, moment, "the node of the source is silent, and no other may do")
	require.Empty(t, target.reconcile())
	require.Empty(t, other.reconcile())
	source.reconcile()
	require.Len(t, target.reconcile(), 1)
	require.Equal(t, [2]string{source.id, target.id}, m.sides(id))
}
