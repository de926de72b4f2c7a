// Package wake lets the manager wake worker nodes over NATS, so that they need not wait for their next interval.
package wake

import (
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/bus"
)

// everybody is the subject that all nodes listen on.
const everybody = "replication.nodes"

func subject(node string) string { return "replication.node." + node }

// Waker wakes nodes.
type Waker struct {
	bus *bus.Conn
	log *zap.Logger
}

// New returns a waker that speaks over conn.
func New(conn *bus.Conn, log *zap.Logger) *Waker { return &Waker{bus: conn, log: log} }

// Wake wakes a node by its id; "" wakes all. A wake-up that is lost costs an interval, no more.
func (w *Waker) Wake(node string) {
	to := everybody
	if node != "" {
		to = subject(node)
	}
	if err := w.bus.Wake(to); err != nil {
		w.log.Warn("waking worker nodes", zap.Error(err))
	}
}

// Listen calls woken whenever a node is woken, until stop is called.
func Listen(conn *bus.Conn, node string, woken func()) (stop func(), err error) {
	stopOwn, err := conn.OnWake(subject(node), woken)
	if err != nil {
		return nil, err
	}
	stopAll, err := conn.OnWake(everybody, woken)
	if err != nil {
		stopOwn()
		return nil, err
	}
	return func() { stopOwn(); stopAll() }, nil
}
