package bind

import (
	"context"
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// draft is an update that is being packed and signed.
type draft struct {
	first  *rrset.Change
	serial uint32 // that it requires, 0 for none
	done   chan struct{}
	letter letter
	err    error
}

// begin packs and signs the update of changes on the side.
func (p push) begin(ctx context.Context, changes []rrset.Change) *draft {
	d := &draft{first: &changes[0], serial: p.serial(), done: make(chan struct{})}
	go func() {
		defer close(d.done)
		message, err := p.message(changes)
		if err == nil {
			d.letter, err = p.driver.sign(ctx, message, changing(p.zone))
		}
		d.err = err
	}()
	return d
}

func (p push) serial() uint32 {
	if p.soa == nil {
		return 0
	}
	return p.soa.Serial
}

// sealed returns the signed update of changes. Those of the part behind are made ready meanwhile, and while named makes these: it will have moved
// the serial by one, and if not, they are made ready again.
func (p *push) sealed(ctx context.Context, changes []rrset.Change) (letter, error) {
	own := p.ahead
	if own == nil || own.first != &changes[0] || own.serial != p.serial() {
		own = p.begin(ctx, changes)
	}
	p.ahead = nil
	for i, part := range p.parts {
		if p.follows && &part[0] == &changes[0] && i+1 < len(p.parts) {
			after, soa := *p, *p.soa
			soa.Serial++
			after.soa = &soa
			p.ahead = after.begin(ctx, p.parts[i+1])
		}
	}
	<-own.done
	return own.letter, own.err
}

// update sends an update and returns its rcode: success, or which kind of prerequisite is broken.
func (d *Driver) update(ctx context.Context, zone string, update *dns.Msg) (rcode int, err error) {
	l, err := d.sign(ctx, update, changing(zone))
	if err != nil {
		return 0, err
	}
	return d.post(ctx, zone, l)
}

func changing(zone string) string { return "change the zone " + zone }

// post is update for an update that is signed.
func (d *Driver) post(ctx context.Context, zone string, update letter) (rcode int, err error) {
	doing := changing(zone)
	answer, err := d.send(ctx, update, doing)
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
