package verify

import (
	"context"
	"slices"
	"sync"
	"time"
)

// State is how a verification does.
type State string

// The states of a verification; Pending is one that waits for the job to follow the binary log.
const (
	Pending      State = "pending"
	Running      State = "running"
	PausedForLag State = "paused-for-lag"
	Finished     State = "finished"
	Failed       State = "failed"
)

// Order is what somebody wants verified.
type Order struct {
	// Number tells it from other orders, also of other times; 0 is none.
	Number int64
	// Repair makes the target's rows what the source's are.
	Repair bool
	// Continuous begins again at the end.
	Continuous bool
	// RowsPerSecond is the rate at which rows of the source are read, at least 1.
	RowsPerSecond int
	// MaxLag is the lag of the job above which nothing is read.
	MaxLag time.Duration
}

// Progress is where a verification is.
type Progress struct {
	State State
	// Pass counts from 1; the other figures are of this pass.
	Pass int64
	// Table and Key are behind what is done, in the order of names and of the key.
	Table string
	Key   []byte
	// TablesDone of TablesTotal are done. Chunks and Rows of the source were compared, differences Found and Repaired.
	TablesDone, TablesTotal, Chunks, Rows, Found, Repaired int64
	Started                                                time.Time
	// Error is the last one, empty if there was none.
	Error string
}

// Difference is a row, or a table without key, that is not the same at both ends.
type Difference struct {
	// Pass and Number, from 1 in each pass, tell it from others.
	Pass, Number int64
	// Table is its name at the source, as schema.table.
	Table string
	// Key is that of the row, for a person; empty for a whole table.
	Key string
	// Kind is "missing" or "extra" at the target, "different", or "table" for a whole table.
	Kind string
	// Columns are those that differ, Note is what there is to say of a whole table.
	Columns  []string
	Note     string
	Repaired bool
}

// MaxKept is how many differences of a pass are listed; the others are counted.
const MaxKept = 1000

// Desk is where a run's orders come in, and where it is told how they are carried out. It outlives failures of the run.
type Desk struct {
	mu      sync.Mutex
	order   Order
	at      Progress
	unsent  []Difference
	stop    context.CancelFunc // of the order at work; nil if there is none
	changed chan struct{}
}

// NewDesk returns a desk without an order.
func NewDesk() *Desk { return &Desk{changed: make(chan struct{}, 1)} }

// Place gives an order, which goes on behind from; the zero Order takes back the one there is. An order that is known changes nothing.
func (d *Desk) Place(o Order, from Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o.Number == d.order.Number {
		return
	}
	if d.stop != nil {
		d.stop()
		d.stop = nil
	}
	d.order, d.at, d.unsent = o, from, nil
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// Report returns the order at hand, where it is, and the differences that were not stored yet; the three belong together.
func (d *Desk) Report() (Order, Progress, []Difference) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.order, d.at, slices.Clone(d.unsent)
}

// Stored forgets differences of an order up to the given one.
func (d *Desk) Stored(order, pass, number int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if order == d.order.Number {
		d.unsent = slices.DeleteFunc(d.unsent, func(x Difference) bool { return x.Pass < pass || x.Pass == pass && x.Number <= number })
	}
}

// next waits for an order that is not done, and returns a context that ends when it is taken back.
func (d *Desk) next(ctx context.Context) (Order, Progress, context.Context, error) {
	for {
		d.mu.Lock()
		if d.order.Number != 0 && d.at.State != Finished && d.at.State != Failed {
			work, stop := context.WithCancel(ctx)
			d.stop = stop
			order, at := d.order, d.at
			d.mu.Unlock()
			return order, at, work, nil
		}
		d.mu.Unlock()
		select {
		case <-ctx.Done():
			return Order{}, Progress{}, nil, context.Cause(ctx)
		case <-d.changed:
		}
	}
}

// tell takes what a verifier says, unless its order was taken back.
func (d *Desk) tell(order int64, at Progress, found []Difference) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if order != d.order.Number {
		return
	}
	d.at = at
	d.unsent = append(d.unsent, found...)
	if surplus := len(d.unsent) - MaxKept; surplus > 0 { // of a pass before, while the manager was away
		d.unsent = d.unsent[surplus:]
	}
}
