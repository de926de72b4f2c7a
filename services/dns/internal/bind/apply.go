package bind

import (
	"context"
	"errors"
	"slices"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

const (
	// maxUpdate is the most bytes of changes in one update, as estimated; the message of at most 65,535 bytes has a head and a signature too.
	maxUpdate = 60_000
	// smallUpdate is the same for each of several updates: named compares every record of an update with all those before it.
	smallUpdate = 25_000
	attempts    = 5
)

// Apply implements nameserver.Driver; see Driver for changes that are larger than one update.
func (d *Driver) Apply(ctx context.Context, zone string, _ bool, changes []rrset.Change) error {
	_, err := d.Follow(ctx, zone, 0, changes)
	return err
}

// Follow implements nameserver.Follower.
func (d *Driver) Follow(ctx context.Context, zone string, from uint32, changes []rrset.Change) (to uint32, err error) {
	changes = slices.DeleteFunc(slices.Clone(changes), func(c rrset.Change) bool {
		return c.Before.Live().Equal(c.After.Live()) // only disabled records differ
	})
	if len(changes) == 0 {
		return from, nil
	}
	p := push{driver: d, zone: zone}
	if err := p.follow(ctx, from); err != nil {
		return 0, err
	}
	if !p.follows {
		return 0, p.compared(ctx, changes)
	}
	p.parts = p.split(changes)
	if err := nameserver.Push(ctx, p.parts, p.followed); err != nil || !p.follows {
		return 0, err
	}
	return p.soa.Serial, nil
}

// push is one Apply. soa is that of the zone in the state that the changes were last compared with, counted on with every update of ours;
// nil when nothing was read.
type push struct {
	driver  *Driver
	zone    string
	soa     *dns.SOA
	follows bool // the zone held at soa all that the changes are made from
	parts   [][]rrset.Change
	ahead   *draft // of the part after the one that is being made; nil: none
}

// follow looks whether the zone is still at a serial, unless that is 0.
func (p *push) follow(ctx context.Context, from uint32) error {
	if from == 0 {
		return nil
	}
	soa, err := p.driver.soa(ctx, p.zone)
	if err == nil && soa.Serial == from {
		p.soa, p.follows = soa, true
	}
	return err
}

// split cuts changes into parts of which each fits into one update. Where several are cut does not depend on what is compared, so that a push that was
// cut off finds the parts that were made.
func (p *push) split(changes []rrset.Change) [][]rrset.Change {
	measure := func(sets bool) func(rrset.Change) int {
		return func(c rrset.Change) int { return size(p.zone, c, sets) }
	}
	if whole := nameserver.Split(changes, measure(!p.follows), maxUpdate); len(whole) == 1 {
		return whole
	}
	return nameserver.Split(changes, measure(true), smallUpdate)
}

// followed makes changes that fit into one update under the zone's serial alone, and as compared does from the moment on in which the zone has moved.
func (p *push) followed(ctx context.Context, changes []rrset.Change) error {
	if p.follows {
		made, err := p.try(ctx, changes)
		if made || err != nil {
			return err
		}
		p.follows = false
	}
	return p.compared(ctx, changes)
}

// compared makes changes whose sets are compared with what the zone holds, all of them before the first is made.
func (p *push) compared(ctx context.Context, changes []rrset.Change) (err error) {
	p.soa = nil
	parts := p.split(changes)
	if len(parts) > 1 {
		if parts, err = p.pending(ctx, parts); err != nil {
			return err
		}
	}
	return nameserver.Push(ctx, parts, p.part)
}

// try sends the update of changes. It is false when a prerequisite does not hold.
func (p *push) try(ctx context.Context, changes []rrset.Change) (made bool, err error) {
	update, err := p.sealed(ctx, changes)
	if err != nil {
		return false, err
	}
	rcode, err := p.driver.post(ctx, p.zone, update)
	if err != nil || rcode != dns.RcodeSuccess {
		return false, err
	}
	if p.soa != nil {
		p.soa.Serial++ // if named counts otherwise, the next part reads again
	}
	return true, nil
}

// pending compares all parts with the zone, before anything is written, and leaves out those that are made already. Creations alone are
// compared by named, the others with one reading.
func (p *push) pending(ctx context.Context, parts [][]rrset.Change) ([][]rrset.Change, error) {
	if !slices.ContainsFunc(parts, touchesExisting) {
		if free, err := p.free(ctx, parts); free || err != nil {
			return parts, err
		}
	}
	found, err := p.read(ctx, slices.Concat(parts...))
	if err != nil {
		return nil, err
	}
	var pending [][]rrset.Change
	for _, part := range parts {
		done, err := judge(part, found)
		if err != nil {
			return nil, err
		}
		if !done {
			pending = append(pending, part)
		}
	}
	return pending, nil
}

// free asks named whether every prerequisite holds, by updates that update nothing.
func (p *push) free(ctx context.Context, parts [][]rrset.Change) (bool, error) {
	for _, part := range parts {
		probe := new(dns.Msg).SetUpdate(p.zone)
		if err := requireSets(probe, part); err != nil {
			return false, err
		}
		if rcode, err := p.driver.update(ctx, p.zone, probe); err != nil || rcode != dns.RcodeSuccess {
			return false, err
		}
	}
	return true, nil
}

// touchesExisting reports whether a change is made from something, so that its TTL must be compared.
func touchesExisting(changes []rrset.Change) bool {
	return slices.ContainsFunc(changes, func(c rrset.Change) bool { return c.Before.Live() != nil })
}

// read returns what stands under the names that change; the zone is at soa or later.
func (p *push) read(ctx context.Context, changes []rrset.Change) (content, error) {
	var err error
	if p.soa, err = p.driver.soa(ctx, p.zone); err != nil {
		return nil, err
	}
	keys := make([]rrset.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key()
	}
	return p.driver.read(ctx, p.zone, keys)
}

func judge(changes []rrset.Change, found content) (done bool, err error) {
	done, err = nameserver.Judge(changes, found)
	if err == nil && !done {
		err = nameserver.Alias(changes, found)
	}
	return done, err
}

// part makes changes that fit into one update. Creations alone need no reading: their prerequisites say all. Whenever named finds one
// of them broken, the names are read to see what stands there.
func (p *push) part(ctx context.Context, changes []rrset.Change) error {
	unread := p.soa == nil && touchesExisting(changes)
	for attempt := range attempts {
		if unread || attempt > 0 {
			found, err := p.read(ctx, changes)
			if err != nil {
				return err
			}
			if done, err := judge(changes, found); done || err != nil {
				return err
			}
		}
		if made, err := p.try(ctx, changes); made || err != nil {
			return err
		}
	}
	return &nameserver.Unreachable{Server: p.driver.api.Host(), Doing: "change the zone " + p.zone, Cause: errors.New("others change the zone all the time")}
}
