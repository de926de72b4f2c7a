package apply

import (
	"sync"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// gate stands between the stream and the builder. It is open unless somebody holds the applier.
type gate struct {
	mu   sync.Mutex
	hold hold
}

// hold is what the gate does at a moment.
type hold struct {
	closed bool
	// goal is the place up to which transactions pass a closed gate; nil for none of them.
	goal *mysql.Point
	// changed is closed when the gate does something else.
	changed chan struct{}
}

// Hold keeps the applier from beginning another transaction of the source, until HoldAt or Release.
func (a *Applier) Hold() { a.gate.set(true, nil) }

// HoldAt lets the applier go on up to the goal and no further, until Release. All that was taken before a Hold must lie before the goal: the
// target is then exactly what the source was there as soon as Stats has reached it.
func (a *Applier) HoldAt(goal mysql.Point) { a.gate.set(true, &goal) }

// Release lets the applier go on.
func (a *Applier) Release() { a.gate.set(false, nil) }

func (g *gate) set(closed bool, goal *mysql.Point) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold.changed != nil {
		close(g.hold.changed)
	}
	g.hold = hold{closed: closed, goal: goal, changed: make(chan struct{})}
}

func (g *gate) now() hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold.changed == nil {
		g.hold.changed = make(chan struct{})
	}
	return g.hold
}

// stops reports whether nothing passes.
func (h hold) stops() bool { return h.closed && h.goal == nil }

// lets reports whether a transaction passes.
func (h hold) lets(flavor mysql.Flavor, t *binlog.Transaction) (bool, error) {
	if !h.closed || h.goal == nil {
		return !h.closed, nil
	}
	at, err := mysql.ParsePoint(flavor, mysql.Position{File: t.Position.File, Offset: t.Position.Offset, GTIDSet: t.GTID})
	return err == nil && h.goal.Covers(at), err
}
