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
)

// Apply implements nameserver.Driver; see Driver for changes that are larger than one update.
func (d *Driver) Apply(ctx context.Context, zone string, changes []rrset.Change) error {
	changes = slices.DeleteFunc(slices.Clone(changes), func(c rrset.Change) bool {
		return c.Before.Live().Equal(c.After.Live()) // only disabled records differ
	})
	if len(changes) == 0 {
		return nil
	}
	parts := nameserver.Split(changes, func(c rrset.Change) int { return size(zone, c) }, maxUpdate)
	if len(parts) > 1 {
		var err error
		if parts, err = d.pending(ctx, zone, parts); err != nil {
			return err
		}
	}
	return nameserver.Push(ctx, parts, func(ctx context.Context, part []rrset.Change) error { return d.part(ctx, zone, part) })
}

// pending compares all parts with one transfer of the zone, before anything is written, and leaves out those that are made already.
func (d *Driver) pending(ctx context.Context, zone string, parts [][]rrset.Change) ([][]rrset.Change, error) {
	var keys []rrset.Key
	for _, part := range parts {
		for _, c := range part {
			keys = append(keys, c.Key())
		}
	}
	found, err := d.read(ctx, zone, keys)
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

func judge(changes []rrset.Change, found content) (done bool, err error) {
	done, err = nameserver.Judge(changes, found)
	if err == nil && !done {
		err = nameserver.Alias(changes, found)
	}
	return done, err
}

// part makes changes that fit into one update. Creations alone need no reading: their prerequisites say all. Whenever named finds one
// of them broken, the names are read to see what stands there.
func (d *Driver) part(ctx context.Context, zone string, changes []rrset.Change) error {
	var keys []rrset.Key
	onlyNew := true
	for _, c := range changes {
		keys = append(keys, c.Key())
		onlyNew = onlyNew && c.Before.Live() == nil
	}
	for attempt := range attempts {
		var soa *dns.SOA
		if !onlyNew || attempt > 0 {
			var err error
			if soa, err = d.soa(ctx, zone); err != nil {
				return err
			}
			found, err := d.read(ctx, zone, keys)
			if err != nil {
				return err
			}
			if done, err := judge(changes, found); done || err != nil {
				return err
			}
		}
		update, err := message(zone, soa, changes)
		if err != nil {
			return err
		}
		rcode, err := d.update(ctx, zone, update)
		if err != nil || rcode == dns.RcodeSuccess {
			return err
		}
	}
	return &nameserver.Unreachable{Server: d.api.Host(), Doing: "change the zone " + zone, Cause: errors.New("others change the zone all the time")}
}

// update sends an update and returns its rcode: success, or which kind of prerequisite is broken.
func (d *Driver) update(ctx context.Context, zone string, update *dns.Msg) (rcode int, err error) {
	doing := "change the zone " + zone
	update.Compress = true
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
