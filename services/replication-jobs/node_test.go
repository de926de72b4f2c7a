package replication_test

import (
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
)

// node is a scripted worker node.
type node struct {
	m      *manager
	id     string
	name   string
	client replicationv1.WorkerServiceClient
	last   []*replicationv1.Assignment // the newest answer
	ends   []*replicationv1.SourceEnd  // of the newest answer
}

func (m *manager) node(name string) *node {
	m.t.Helper()
	return &node{m: m, id: uuid.NewString(), name: name, client: replicationv1.NewWorkerServiceClient(m.as(asWorker))}
}

func (n *node) reconcile(runs ...*replicationv1.RunReport) []*replicationv1.Assignment {
	n.m.t.Helper()
	return n.call(&replicationv1.ReconcileRequest{Runs: runs})
}

func (n *node) call(r *replicationv1.ReconcileRequest) []*replicationv1.Assignment {
	n.m.t.Helper()
	r.NodeId, r.NodeName, r.NodeAddress, r.Datacenter, r.Version = n.id, n.name, "10.0.0.1", "dc1", "1.2.3"
	answer, err := n.client.Reconcile(n.m.t.Context(), r)
	require.NoError(n.m.t, err)
	n.last, n.ends = answer.GetAssignments(), answer.GetSourceEnds()
	return n.last
}

// carrying reports that the sources' ends of the last answer work, with figures.
func (n *node) carrying(figures ...*replicationv1.TaskStatus) {
	n.m.t.Helper()
	r := &replicationv1.ReconcileRequest{}
	for _, e := range n.ends {
		end := &replicationv1.SourceEndReport{JobId: e.GetJobId(), Epoch: e.GetEpoch(), Figures: &replicationv1.TaskStatus{Tunnel: &replicationv1.TunnelStatus{}}}
		for _, f := range figures {
			end.Figures = f
		}
		r.SourceEnds = append(r.SourceEnds, end)
	}
	n.call(r)
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

// silent makes a node one that was last heard long ago.
func (n *node) silent() {
	n.m.t.Helper()
	_, err := n.m.pool.Exec(n.m.t.Context(), `UPDATE replication.nodes SET seen = now() - interval '1 day' WHERE id = $1`, n.id)
	require.NoError(n.m.t, err)
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
