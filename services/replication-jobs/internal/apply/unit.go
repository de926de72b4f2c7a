package apply

import (
	"context"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// unit is what an executor does in one go: a target transaction, a part of one, or a definition. Units take effect in the order in which
// they were built; see flight for what may be done ahead of that.
type unit struct {
	// early are statements on rows that no unit under way at the time of building changes; they may be executed before those commit.
	early      []statement
	statements []statement
	definition *definition
	applied    progress.Applied
	// first and last say whether the target transaction begins and ends with the unit.
	first, last bool
	// large is set for a transaction that is marked at its beginning.
	large bool
	// touched are the keys of the rows that the unit changes in tables of independent rows. An alone unit changes more than they tell.
	touched map[*table]map[string]*change
	alone   bool

	before *unit
	// done is closed when the unit has taken effect, blocked when somebody's locks are in its way.
	done, blocked chan struct{}
	gaveWay       bool
}

// settled reports whether the unit has taken effect.
func (u *unit) settled() bool {
	select {
	case <-u.done:
		return true
	default:
		return false
	}
}

// turn waits until all units before this one have taken effect. When one of them is blocked, those behind it may be what blocks it: giveWay
// is then called, before the wait goes on.
func (u *unit) turn(ctx context.Context, giveWay func()) error {
	before := u.before
	if before == nil {
		return nil
	}
	u.before = nil // or the units would hold each other in memory for ever
	blocked := before.blocked
	for {
		select {
		case <-before.done:
			return nil
		case <-blocked:
			blocked = nil
			giveWay()
			u.block()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// block tells those behind to let go of their locks. Only the unit's executor calls it.
func (u *unit) block() {
	if !u.gaveWay {
		u.gaveWay = true
		close(u.blocked)
	}
}

// flight are the units that may be under way, in order.
//
// Several sessions execute units at the same time, and commit them one after the other. What a unit changes in rows that none of those
// before it touches is done early. That this comes to the same as doing all in order does not rest on the keys alone, which a collation may
// take for equal while they differ: both units then need the lock on one row. If the later one got it first, the earlier one runs into it,
// and the later one gives way (unit.block); if it found the row in a state of before its time, the number of rows is wrong or a key is
// double, and the unit begins again at its turn (executor.ahead).
type flight []*unit

// add makes u the last.
func (f *flight) add(u *unit) {
	f.prune()
	if n := len(*f); n > 0 {
		u.before = (*f)[n-1]
	}
	u.done, u.blocked = make(chan struct{}), make(chan struct{})
	*f = append(*f, u)
}

// prune forgets what has taken effect.
func (f *flight) prune() {
	n := 0
	for n < len(*f) && (*f)[n].settled() {
		n++
	}
	*f = append(flight(nil), (*f)[n:]...)
}

// last is the newest unit, nil when all have taken effect.
func (f *flight) last() *unit {
	f.prune()
	if len(*f) == 0 {
		return nil
	}
	return (*f)[len(*f)-1]
}

// split tells the rows that can be changed before the units under way have taken effect from the others. Rows whose keys may be equal though
// they differ depend on each other, and are not told apart.
func (f *flight) split(c *changes) (early, late []*change) {
	f.prune()
	if len(*f) == 0 || c.mode != progress.Strict || !c.table.independent() {
		return nil, c.rows
	}
	for _, u := range *f {
		if u.alone {
			return nil, c.rows
		}
	}
	for _, row := range c.rows {
		if f.touches(c.table, row.key) {
			late = append(late, row)
		} else {
			early = append(early, row)
		}
	}
	if len(late) > 0 && !c.table.exact() {
		return nil, c.rows
	}
	return early, late
}

func (f *flight) touches(t *table, key string) bool {
	for _, u := range *f {
		if u.touched[t][key] != nil {
			return true
		}
	}
	return false
}
