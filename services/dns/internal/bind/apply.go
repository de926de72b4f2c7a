package bind

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

const (
	// maxUpdate is the most bytes of changes in one update, as estimated; the message of at most 65,535 bytes has a head and a signature too.
	maxUpdate = 60_000
	attempts  = 5
	// signature is room for the TSIG in a message.
	signature = 512
)

// Apply implements nameserver.Driver; see Driver for changes that are larger than one update.
func (d *Driver) Apply(ctx context.Context, zone string, _ bool, changes []rrset.Change) error {
	changes = slices.DeleteFunc(slices.Clone(changes), func(c rrset.Change) bool {
		return c.Before.Live().Equal(c.After.Live()) // only disabled records differ
	})
	if len(changes) == 0 {
		return nil
	}
	parts := nameserver.Split(changes, func(c rrset.Change) int { return size(zone, c) }, maxUpdate)
	p := push{driver: d, zone: zone}
	if len(parts) > 1 {
		var err error
		if parts, err = p.pending(ctx, parts); err != nil {
			return err
		}
	}
	return nameserver.Push(ctx, parts, p.part)
}

// push is one Apply. soa is that of the zone in the state that the changes were last compared with, counted on with every update of ours;
// nil when nothing was read.
type push struct {
	driver *Driver
	zone   string
	soa    *dns.SOA
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
		probe, err := message(p.zone, nil, part)
		if err != nil {
			return false, err
		}
		probe.Ns = nil
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
		update, err := message(p.zone, p.soa, changes)
		if err != nil {
			return err
		}
		rcode, err := p.driver.update(ctx, p.zone, update)
		if err != nil {
			return err
		}
		if rcode == dns.RcodeSuccess {
			if p.soa != nil {
				p.soa.Serial++ // if named counts otherwise, the next part reads again
			}
			return nil
		}
	}
	return &nameserver.Unreachable{Server: p.driver.api.Host(), Doing: "change the zone " + p.zone, Cause: errors.New("others change the zone all the time")}
}

// update sends an update and returns its rcode: success, or which kind of prerequisite is broken.
func (d *Driver) update(ctx context.Context, zone string, update *dns.Msg) (rcode int, err error) {
	doing := "change the zone " + zone
	update.Compress = true
	if n := update.Len(); n > dns.MaxMsgSize-signature {
		return 0, &nameserver.Refused{Server: d.api.Host(), Doing: doing, Reason: fmt.Sprintf("what changes at one name takes %d bytes, more than the %d of an update", n, dns.MaxMsgSize-signature)}
	}
	answer, err := d.exchange(ctx, update, doing)
	if err != nil {
		return 0, err
	}
	switch answer.Rcode {
	case dns.RcodeSuccess, dns.RcodeYXDomain, dns.RcodeYXRrset, dns.RcodeNXRrset, dns.RcodeNameError:
		return answer.Rcode, nil
	case dns.RcodeNotAuth:
		return 0, nameserver.ErrZoneUnknown
	case dns.RcodeServerFailure:
		return 0, &nameserver.Unreachable{Server: d.api.Host(), Doing: doing, Cause: errors.New("named failed; its log says why")}
	}
	reason := dns.RcodeToString[answer.Rcode] + "; named's log says why. The zone's allow-update must name the TSIG key, and check-names and check-integrity hold rules of their own"
	if configuration := d.configuration(ctx, zone); configuration != "" {
		reason += fmt.Sprintf(". The zone is configured as: %.500s", configuration)
	}
	return 0, &nameserver.Refused{Server: d.api.Host(), Doing: doing, Reason: reason}
}
