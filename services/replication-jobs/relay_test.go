package replication_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// relaying reports runs, and the relay logs on the node's disk; the answer says which of those to delete.
func (n *node) relaying(on []string, runs ...*replicationv1.RunReport) []string {
	n.m.t.Helper()
	answer, err := n.client.Reconcile(n.m.t.Context(), &replicationv1.ReconcileRequest{
		NodeId: n.id, NodeName: n.name, NodeAddress: "10.0.0.1", Datacenter: "dc1", Version: "1.2.3", Runs: runs, Relays: on,
	})
	require.NoError(n.m.t, err)
	n.last = answer.GetAssignments()
	return answer.GetDropRelays()
}

// writing is a report of a run that has written its relay log.
func writing(a *replicationv1.Assignment) *replicationv1.RunReport {
	r := report(a, replicationv1.RunState_RUN_STATE_RUNNING)
	r.Source = &replicationv1.TaskStatus{Relay: &replicationv1.RelayLog{Bytes: 5 << 20, MaxBytes: 64 << 20, Behind: 3, Waits: "it is full"}}
	return r
}

func withRelay(c *replicationv1.JobConfig) {
	c.TaskStepName, c.SrcTask.BinlogRelay = "all", true
}

// TestARelayLogKeepsItsJob: a job goes where its relay log is while that node lives; a node deletes what nobody will need.
func TestARelayLogKeepsItsJob(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	first, second := m.node("first"), m.node("second")
	id := m.create(alice, "relayed", withRelay)
	mine := first.reconcile()[0]
	require.Equal(t, int32(10240), mine.GetJob().GetSrcTask().GetBinlogRelayMaxMib())
	require.Empty(t, mine.GetRelayNode())
	here, orphan := mine.GetIncarnation(), uuid.NewString()
	require.Equal(t, []string{orphan}, first.relaying([]string{here, orphan}, writing(mine)))
	d := m.detail(alice, id)
	require.True(t, d.GetBasicTaskProfile().GetConfiguration().GetBinlogRelay())
	requireProto(t, &replicationv1.RelayLog{Bytes: 5 << 20, MaxBytes: 64 << 20, Behind: 3, Waits: "it is full"}, d.GetRelay())

	// An update frees the job; it is for the node that has the log, also while others live and are free.
	update := request(t, id, withRelay).GetJob()
	update.DestTask.ParallelWorkers, update.SrcTask.NodeId, update.DestTask.NodeId = proto.Int32(2), "", ""
	_, err := m.jobs(alice).UpdateJob(t.Context(), &replicationv1.UpdateJobRequest{JobType: "migration", Job: update})
	require.NoError(t, err)
	require.Empty(t, second.reconcile())
	require.Empty(t, first.relaying([]string{here}))
	require.Len(t, first.last, 1)
	require.Equal(t, here, first.last[0].GetIncarnation())
	first.relaying([]string{here}, writing(first.last[0]))

	// It dies. The other one is told that it has the log, which it keeps until the other one has its own.
	first.silent()
	require.Eventually(t, func() bool {
		second.working()
		return len(second.last) == 1
	}, patience, moment)
	require.Equal(t, "first", second.last[0].GetRelayNode())
	theirs := second.last[0]
	second.relaying(nil, report(theirs, replicationv1.RunState_RUN_STATE_RUNNING))
	require.Empty(t, first.relaying([]string{here}))
	second.relaying([]string{here}, writing(theirs))
	require.Equal(t, []string{here}, first.relaying([]string{here}))

	// A paused job keeps its log, a deleted one does not.
	_, err = m.jobs(alice).PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	require.Empty(t, second.relaying([]string{here}))
	require.Empty(t, second.last)
	_, err = m.jobs(alice).DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	require.Equal(t, []string{here}, second.relaying([]string{here}))
}

// TestARelayLogTakesItsJobBack: a job that fails on another node, which has begun no relay log, goes back to the one that has it once that lives again.
func TestARelayLogTakesItsJobBack(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	first, second := m.node("first"), m.node("second")
	id := m.create(alice, "relayed", withRelay, func(c *replicationv1.JobConfig) { c.SrcTask.NodeId, c.DestTask.NodeId = "", "" })
	mine := first.reconcile()[0]
	here := mine.GetIncarnation()
	first.relaying([]string{here}, writing(mine))
	first.silent()
	require.Eventually(t, func() bool { return len(second.reconcile()) == 1 }, patience, moment)
	theirs := second.last[0]
	require.Equal(t, "first", theirs.GetRelayNode())
	failing := report(theirs, replicationv1.RunState_RUN_STATE_RETRYING)
	failing.Error = "the source has purged what follows"
	second.relaying([]string{here}, failing) // whose directory is there, and empty
	require.Len(t, second.last, 1, "the other node is still away")

	var dropped []string
	require.Eventually(t, func() bool {
		dropped = append(dropped, first.relaying([]string{here})...)
		return len(first.last) == 1
	}, patience, moment)
	require.Empty(t, dropped, "what the job may need is kept")
	var told []string
	for _, l := range m.detail(alice, id).GetTaskLogs() {
		told = append(told, log(l)...)
	}
	require.Contains(t, told, "Killed: node first, which has its relay log, is back")
	require.Equal(t, []string{here}, second.relaying([]string{here}), "and what it has left elsewhere is not")
	require.Empty(t, second.last)
	require.Empty(t, first.last[0].GetRelayNode(), "the log is here")
}

// TestRelaySwitchedOff: a job that does without from now on has its log deleted.
func TestRelaySwitchedOff(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	n := m.node("n")
	id := m.create(alice, "relayed", withRelay)
	a := n.reconcile()[0]
	require.Empty(t, n.relaying([]string{a.GetIncarnation()}, writing(a)))
	update := request(t, id, all).GetJob()
	_, err := m.jobs(alice).UpdateJob(t.Context(), &replicationv1.UpdateJobRequest{JobType: "migration", Job: update})
	require.NoError(t, err)
	require.Equal(t, []string{a.GetIncarnation()}, n.relaying([]string{a.GetIncarnation()}))
	require.Nil(t, m.detail(alice, id).GetRelay())
}
