package nameserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Judge compares what a server serves with what changes are made from and lead to. done reports that every After is served already
// although not every Before is: the changes were made earlier. The error is *Conflict when neither holds. found has the sets
// that exist, of the keys that change.
func Judge(changes []rrset.Change, found map[rrset.Key]*rrset.Set) (done bool, err error) {
	before, after := true, true
	var conflict *Conflict
	for _, c := range changes {
		now := found[c.Key()].Live()
		isBefore, isAfter := c.Before.Live().Equal(now), c.After.Live().Equal(now)
		before, after = before && isBefore, after && isAfter
		if !isBefore && (conflict == nil || !isAfter) {
			conflict = &Conflict{Key: c.Key(), Found: now}
		}
	}
	switch {
	case before:
		return false, nil
	case after:
		return true, nil
	}
	return false, conflict
}

// Created decides about a zone that is there already: nil when it holds exactly the sets, so that it is what an earlier call made;
// ErrZoneExists when it does not.
func Created(ctx context.Context, d Driver, zone string, sets []rrset.Set) error {
	want := map[rrset.Key]*rrset.Set{}
	for i := range sets {
		want[sets[i].Key] = sets[i].Live()
	}
	err := d.Transfer(ctx, zone, func(s rrset.Set) error {
		if live := s.Live(); live != nil {
			if !live.Equal(want[s.Key]) {
				return ErrZoneExists
			}
			delete(want, s.Key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, missing := range want {
		if missing != nil {
			return ErrZoneExists
		}
	}
	return nil
}

// Partial says that a push of several parts failed between them and that what had been made could not be undone: the zone holds
// some of the changes. The next comparison with the server shows them.
type Partial struct {
	Cause error // why a later part was not made
	Undo  error // why the earlier ones are still there
}

func (p *Partial) Error() string {
	return fmt.Sprintf("some of the changes were made and could not be undone (%v), after: %v", p.Undo, p.Cause)
}

func (p *Partial) Unwrap() []error { return []error{p.Cause, p.Undo} }

const undoTimeout = time.Minute

// Push makes changes that do not fit into one message part by part, where apply makes one part as Driver.Apply does. When a part is in
// conflict or refused, the parts before it are undone, last first. When the server becomes unreachable the parts stay: the repeated
// push finds them made and goes on.
func Push(ctx context.Context, parts [][]rrset.Change, apply func(context.Context, []rrset.Change) error) error {
	for i, part := range parts {
		err := apply(ctx, part)
		var unreachable *Unreachable
		switch {
		case err == nil:
		case i == 0 || errors.As(err, &unreachable):
			return err
		default:
			if undo := undo(ctx, parts[:i], apply); undo != nil {
				return &Partial{Cause: err, Undo: undo}
			}
			return err
		}
	}
	return nil
}

func undo(ctx context.Context, parts [][]rrset.Change, apply func(context.Context, []rrset.Change) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	for _, part := range slices.Backward(parts) {
		inverse := make([]rrset.Change, len(part))
		for i, c := range part {
			inverse[i] = c.Inverse()
		}
		if err := apply(ctx, inverse); err != nil {
			return err
		}
	}
	return nil
}

// Split cuts changes into parts of at most limit, by a measure of each, in the order of their names. All changes of one name are in the same part, which
// alone may exceed the limit. The same changes are always cut in the same way.
func Split(changes []rrset.Change, measure func(rrset.Change) int, limit int) [][]rrset.Change {
	sorted, order := changes, func(a, b rrset.Change) int { return a.Key().Compare(b.Key()) }
	if !slices.IsSortedFunc(changes, order) {
		sorted = slices.Clone(changes)
		slices.SortStableFunc(sorted, order)
	}
	var parts [][]rrset.Change
	start, name, part := 0, 0, 0 // where the part and the name start; measure of the part
	inName := 0                  // measure of the name's changes so far
	for i, c := range sorted {
		if c.Key().Name != sorted[name].Key().Name {
			name, inName = i, 0
		}
		size := measure(c)
		if part+size > limit && name > start {
			parts = append(parts, sorted[start:name])
			start, part = name, inName
		}
		part += size
		inName += size
	}
	return append(parts, sorted[start:])
}

// Alias reports as *Conflict a set that the changes do not name and that would stand beside a CNAME after them, or is one. Servers handle
// that differently, and some pass over it in silence. found has all sets that are served under the names that change.
func Alias(changes []rrset.Change, found map[rrset.Key]*rrset.Set) error {
	byName := map[string]map[string]*rrset.Set{}
	for key, set := range found {
		put(byName, key, set)
	}
	changed := map[rrset.Key]bool{}
	for _, c := range changes {
		changed[c.Key()] = true
		put(byName, c.Key(), c.After.Live())
	}
	for name, types := range byName {
		if types["CNAME"] == nil {
			continue
		}
		for typ, set := range types {
			if key := (rrset.Key{Name: name, Type: typ}); set != nil && len(types) > 1 && !changed[key] && !signature(typ) && crowded(types) {
				return &Conflict{Key: key, Found: found[key]}
			}
		}
	}
	return nil
}

func put(byName map[string]map[string]*rrset.Set, key rrset.Key, set *rrset.Set) {
	if byName[key.Name] == nil {
		byName[key.Name] = map[string]*rrset.Set{}
	}
	byName[key.Name][key.Type] = set
}

// crowded reports whether more than the CNAME stands at a name.
func crowded(types map[string]*rrset.Set) bool {
	n := 0
	for typ, set := range types {
		if set != nil && !signature(typ) {
			n++
		}
	}
	return n > 1
}

// signature reports the types of DNSSEC that may stand beside a CNAME (RFC 4034, 2.5).
func signature(typ string) bool { return typ == "RRSIG" || typ == "NSEC" }
