package run

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/tunnel"
)

// Tunnels are the ways between the two ends of a job that are on two nodes.
type Tunnels struct {
	// Dial opens a connection to an address of the source, by its number, through the node of the source's end.
	Dial func(ctx context.Context, route tunnel.Route, address byte) (net.Conn, error)
	// Carry takes such connections to the addresses, and counts them, until ctx ends or it cannot.
	Carry func(ctx context.Context, route tunnel.Route, addresses []string, traffic *tunnel.Traffic) error
}

const (
	// carryAgain is how long an end that cannot carry waits before it tries again.
	carryAgain = time.Second
	// rateOver is the number of reports over which an end measures its rate.
	rateOver = 5
)

// through has a job reach its source by way of the node on which the manager has placed that end.
func (t Tunnels) through(job engine.Job, a *replicationv1.Assignment) engine.Job {
	if a.GetSource() == nil {
		return job
	}
	route := routeOf(a.GetIncarnation(), a.GetEpoch(), a.GetSource().GetKey())
	way := func(address byte) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) {
			conn, err := t.Dial(ctx, route, address)
			if err != nil {
				return nil, fmt.Errorf("through the node %s: %w", a.GetSource().GetNodeName(), err)
			}
			return conn, nil
		}
	}
	job.Source.Dial = way(0)
	for i := range job.Alternates {
		job.Alternates[i].Dial = way(byte(i + 1))
	}
	return job
}

// routeOf returns the route of a placement; it has no key, and is refused, if what the manager sent is none.
func routeOf(incarnation string, epoch int64, key []byte) tunnel.Route {
	route := tunnel.Route{Run: incarnation, Epoch: epoch}
	if len(key) == len(route.Key) {
		copy(route.Key[:], key)
	}
	return route
}

// end is the source's end of a run on another node.
type end struct {
	id      string
	epoch   int64
	traffic *tunnel.Traffic
	cancel  context.CancelFunc
	done    chan struct{}
	samples []sample // of report

	mu      sync.Mutex
	failure string
}

// sample is how much had been carried at a moment, in bytes.
type sample struct {
	at    time.Time
	bytes int64
}

// begin carries the connections of a run until the end is cancelled.
func (t Tunnels) begin(of *replicationv1.SourceEnd, log *zap.Logger) *end {
	ctx, cancel := context.WithCancel(context.Background())
	e := &end{id: of.GetJobId(), epoch: of.GetEpoch(), traffic: &tunnel.Traffic{}, cancel: cancel, done: make(chan struct{})}
	log = log.With(zap.String("job", e.id), zap.Int64("epoch", e.epoch))
	log.Info("carrying connections to a source", zap.Strings("addresses", of.GetAddresses()))
	route := routeOf(of.GetIncarnation(), of.GetEpoch(), of.GetKey())
	go func() {
		defer close(e.done)
		defer cancel()
		e.keepOn(ctx, func() error { return t.Carry(ctx, route, of.GetAddresses(), e.traffic) }, log)
		log.Info("a source is carried no more")
	}()
	return e
}

// keepOn carries again and again until ctx ends.
func (e *end) keepOn(ctx context.Context, carry func() error, log *zap.Logger) {
	for {
		well := time.AfterFunc(settled, func() { e.fail("") })
		err := carry()
		well.Stop()
		if ctx.Err() != nil {
			return
		}
		log.Warn("connections to a source cannot be carried", zap.Error(err))
		e.fail(err.Error())
		select {
		case <-ctx.Done():
			return
		case <-time.After(carryAgain):
		}
	}
}

func (e *end) fail(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failure = limited(why)
}

// report tells what the end has carried. The node calls it for one report at a time.
func (e *end) report(messages *replicationv1.MessageStatus) *replicationv1.SourceEndReport {
	e.mu.Lock()
	failure := e.failure
	e.mu.Unlock()
	f := e.traffic.Figures()
	return &replicationv1.SourceEndReport{JobId: e.id, Epoch: e.epoch, Figures: &replicationv1.TaskStatus{
		NatsMessageStatus: messages,
		Tunnel: &replicationv1.TunnelStatus{
			Connections: f.Connections, ReadBytes: f.Read, WrittenBytes: f.Written, SentBytes: f.Sent, ReceivedBytes: f.Received,
			BytesPerSecond: e.rate(sample{time.Now(), f.Read + f.Written}), Error: failure,
		},
	}}
}

// rate is the bytes per second over the last reports.
func (e *end) rate(now sample) int64 {
	e.samples = append(e.samples, now)
	if len(e.samples) > rateOver {
		e.samples = e.samples[1:]
	}
	first := e.samples[0]
	seconds := now.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return int64(float64(now.bytes-first.bytes) / seconds)
}

// obeyEnds carries the source's ends that are wanted, and no others.
func (n *Node) obeyEnds(wanted []*replicationv1.SourceEnd) {
	epochs := make(map[string]int64, len(wanted))
	for _, e := range wanted {
		epochs[e.GetJobId()] = e.GetEpoch()
	}
	for id, e := range n.ends {
		if epoch, ok := epochs[id]; !ok || epoch != e.epoch {
			n.stopEnd(e)
		}
	}
	for _, e := range wanted {
		if n.ends[e.GetJobId()] == nil && len(e.GetKey()) > 0 { // else it is carried, or was when the report left
			n.ends[e.GetJobId()] = n.tunnels.begin(e, n.log)
		}
	}
}

// stopEnd ends what an end carries: its connections break.
func (n *Node) stopEnd(e *end) {
	e.cancel()
	<-e.done
	delete(n.ends, e.id)
}
