package run

import (
	"context"
	"time"

	"go.uber.org/zap"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
)

const (
	// firstInterval and firstLease hold until the manager has said better.
	firstInterval = time.Second
	firstLease    = 10 * time.Second
	// callTimeout bounds one call: a manager that hangs must not eat the lease.
	callTimeout = 3 * time.Second
	// gather is the least time between two calls of which news are the cause: later ones keep the first of them company.
	gather = 50 * time.Millisecond
	// stopWait is how long a report may wait for runs that end.
	stopWait = 2 * time.Second
)

// Identity is what a node says of itself.
type Identity struct {
	ID, Name, Address, Datacenter, Version string
}

// Node keeps what runs on this machine equal to what the manager wants.
type Node struct {
	identity Identity
	manager  replicationv1.WorkerServiceClient
	engine   Engine
	relays   relay.Store
	tunnels  Tunnels
	traffic  Traffic
	log      *zap.Logger

	news     chan struct{}
	runs     map[string]*run
	ends     map[string]*end // sources' ends of runs on other nodes
	interval time.Duration
	lease    time.Duration
	called   time.Time // when the last call began
	heard    time.Time // when the last one that was answered began
}

// Traffic counts the messages that the node has exchanged over NATS.
type Traffic func() *replicationv1.MessageStatus

// NewNode returns a node without runs, which has the relay logs that are in a store.
func NewNode(
	identity Identity, manager replicationv1.WorkerServiceClient, engine Engine, relays relay.Store, tunnels Tunnels, traffic Traffic, log *zap.Logger,
) *Node {
	return &Node{
		identity: identity, manager: manager, engine: engine, relays: relays, tunnels: tunnels, traffic: traffic, log: log,
		news: make(chan struct{}, 1), runs: map[string]*run{}, ends: map[string]*end{}, interval: firstInterval, lease: firstLease,
	}
}

// Wake makes the node call the manager at once.
func (n *Node) Wake() {
	select {
	case n.news <- struct{}{}:
	default: // it will call anyway
	}
}

// Run reports and obeys until ctx ends; then it stops all runs.
func (n *Node) Run(ctx context.Context) error {
	defer n.stopAll()
	n.heard = time.Now()
	for ctx.Err() == nil {
		n.step(ctx)
		n.wait(ctx)
	}
	return nil
}

// step calls the manager once. A node that is not answered for the length of the lease stops its runs: the manager may
// have given them away.
func (n *Node) step(ctx context.Context) {
	n.called = time.Now()
	err := n.reconcile(ctx)
	switch {
	case err == nil:
		n.heard = n.called
	case ctx.Err() != nil:
	default:
		n.log.Warn("the manager does not answer", zap.Error(err), zap.Duration("since", time.Since(n.heard)))
		if time.Since(n.heard) > n.lease && len(n.runs)+len(n.ends) > 0 {
			n.log.Warn("stopping all runs: the manager may have given them to other nodes", zap.Int("runs", len(n.runs)), zap.Int("sources", len(n.ends)))
			n.stopAll()
		}
	}
}

func (n *Node) reconcile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request := &replicationv1.ReconcileRequest{
		NodeId: n.identity.ID, NodeName: n.identity.Name, NodeAddress: n.identity.Address,
		Datacenter: n.identity.Datacenter, Version: n.identity.Version,
	}
	var err error
	if request.Relays, err = n.relays.List(); err != nil {
		n.log.Warn("the manager is not told of relay logs", zap.Error(err))
	}
	for _, r := range n.runs {
		request.Runs = append(request.Runs, r.report(n.traffic()))
	}
	for _, e := range n.ends {
		request.SourceEnds = append(request.SourceEnds, e.report(n.traffic()))
	}
	answer, err := n.manager.Reconcile(ctx, request)
	if err != nil {
		return err
	}
	for _, sent := range request.GetRuns() {
		n.runs[sent.GetJobId()].stored(sent)
	}
	n.interval, n.lease = answer.GetInterval().AsDuration(), answer.GetLease().AsDuration()
	n.obeyEnds(answer.GetSourceEnds())
	n.obey(answer.GetAssignments())
	n.drop(answer.GetDropRelays())
	return nil
}

// drop deletes relay logs that no run uses.
func (n *Node) drop(incarnations []string) {
	used := make(map[string]bool, len(n.runs))
	for _, r := range n.runs {
		used[r.relay] = true
	}
	for _, incarnation := range incarnations {
		if used[incarnation] {
			continue // its run has not ended yet
		}
		n.log.Info("deleting the relay log of a job that does not need it any more", zap.String("incarnation", incarnation))
		if err := n.relays.Remove(incarnation); err != nil {
			n.log.Warn("the relay log is still there", zap.Error(err))
		}
	}
}

// obey stops what is not wanted and starts what is missing. A run of another epoch is not wanted.
func (n *Node) obey(assignments []*replicationv1.Assignment) {
	wanted := make(map[string]int64, len(assignments))
	for _, a := range assignments {
		wanted[a.GetJob().GetJobId()] = a.GetEpoch()
	}
	var surplus []*run
	for id, r := range n.runs {
		if epoch, ok := wanted[id]; !ok || epoch != r.epoch {
			surplus = append(surplus, r)
		}
	}
	n.stop(surplus)
	for _, a := range assignments {
		if a.GetJob().GetSrcTask() == nil && a.GetSubscription() == nil {
			if r := n.runs[a.GetJob().GetJobId()]; r != nil {
				r.obey(a)
			}
			continue // it runs, or this answer had no room for its configuration
		}
		if _, ok := n.runs[a.GetJob().GetJobId()]; !ok { // else its forerunner has not ended yet
			n.runs[a.GetJob().GetJobId()] = start(a, n.engine, n.tunnels, n.Wake, n.log)
		}
	}
}

// stop ends runs and forgets those that have ended in time; the others stay, and are stopped again next time.
func (n *Node) stop(runs []*run) {
	if len(runs) == 0 {
		return
	}
	for _, r := range runs {
		r.cancel()
	}
	limit := time.NewTimer(stopWait)
	defer limit.Stop()
	for _, r := range runs {
		select {
		case <-r.done:
			delete(n.runs, r.id)
		case <-limit.C:
			n.log.Warn("run does not end", zap.String("job", r.id))
			return
		}
	}
}

// stopAll ends all runs and what others have here, however long that takes.
func (n *Node) stopAll() {
	for _, r := range n.runs {
		r.cancel()
	}
	for _, e := range n.ends {
		n.stopEnd(e)
	}
	for id, r := range n.runs {
		<-r.done
		delete(n.runs, id)
	}
}

// wait returns after the interval, or when there is news: at once, unless the last call was just now.
func (n *Node) wait(ctx context.Context) {
	interval := time.NewTimer(n.interval)
	defer interval.Stop()
	select {
	case <-ctx.Done():
	case <-interval.C:
	case <-n.news:
		interval.Reset(gather - time.Since(n.called))
		select {
		case <-ctx.Done():
		case <-interval.C:
		}
	}
}
