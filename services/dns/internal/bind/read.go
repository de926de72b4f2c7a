package bind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Reading by name costs a question each, so many names are cheaper read with the whole zone.
const (
	manyNames   = 256
	parallelism = 4
)

// content is what a server holds under some names.
type content map[rrset.Key]*rrset.Set

// Transfer reads the zone by AXFR.
func (d *Driver) Transfer(ctx context.Context, zone string, yield func(rrset.Set) error) error {
	return d.transfer(ctx, zone, func(string) bool { return true }, yield)
}

// transfer yields the sets of the wanted names, which come as named writes them.
func (d *Driver) transfer(ctx context.Context, zone string, wanted func(name string) bool, yield func(rrset.Set) error) error {
	if _, err := d.soa(ctx, zone); err != nil { // a refused transfer does not tell that there is no zone
		return err
	}
	doing := "transfer the zone " + zone
	addr, key, err := d.target(ctx)
	if err != nil {
		return err
	}
	conn, err := d.dial(ctx, addr, doing)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the transfer is over
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	request := new(dns.Msg).SetAxfr(zone)
	request.SetTsig(key.Name, key.Algorithm, fudge, time.Now().Unix())
	transfer := dns.Transfer{Conn: &dns.Conn{Conn: conn}, DialTimeout: dialTimeout, ReadTimeout: readTimeout, WriteTimeout: readTimeout, TsigSecret: map[string]string{key.Name: secretOf(key)}}
	envelopes, err := transfer.In(request, addr)
	if err != nil {
		return d.unreachable(addr, doing, err)
	}
	g := grouper{wanted: wanted, yield: yield}
	var failed error
	for envelope := range envelopes { // drained to its end, or its sender would wait for ever
		if failed != nil {
			continue
		}
		if failed = envelope.Error; failed != nil {
			failed = d.notTransferred(ctx, addr, doing, failed)
		} else if failed = g.add(envelope.RR); failed != nil {
			_ = conn.Close() // nothing more is wanted
		}
	}
	if failed != nil {
		return failed
	}
	return g.flush()
}

// notTransferred tells a cut connection from a refusal, which the dns package reports as text.
func (d *Driver) notTransferred(ctx context.Context, addr, doing string, cause error) error {
	if refusal := (*dns.Error)(nil); errors.As(cause, &refusal) && ctx.Err() == nil {
		return &nameserver.Refused{Server: addr, Doing: doing, Reason: fmt.Sprintf("%v; the zone's allow-transfer must name the TSIG key", cause)}
	}
	if ctx.Err() != nil {
		cause = ctx.Err()
	}
	return d.unreachable(addr, doing, cause)
}

// grouper makes sets of records that come one after the other; named sends those of a set together.
type grouper struct {
	wanted func(name string) bool
	yield  func(rrset.Set) error
	set    rrset.Set
	soa    bool // the first one has been seen; the last record of a transfer repeats it
}

func (g *grouper) add(records []dns.RR) error {
	for _, rr := range records {
		if !g.wanted(rr.Header().Name) {
			continue
		}
		e := rrset.FromRR(rr)
		if e.Type == "SOA" {
			if g.soa {
				continue
			}
			g.soa = true
		}
		if e.Key != g.set.Key {
			if err := g.flush(); err != nil {
				return err
			}
			g.set = rrset.Set{Key: e.Key, TTL: e.TTL}
		}
		g.set.Records = append(g.set.Records, e.Record)
	}
	return nil
}

func (g *grouper) flush() error {
	if len(g.set.Records) == 0 {
		return nil
	}
	done := g.set
	g.set = rrset.Set{}
	done.Sort()
	return g.yield(done)
}

// Sets asks for up to 256 names each by a question; for more it transfers the zone, and also when a name lies at or below a delegation or
// is made up by a wildcard, because then answers do not show what the zone holds.
func (d *Driver) Sets(ctx context.Context, zone string, keys []rrset.Key) ([]rrset.Set, error) {
	if _, err := d.soa(ctx, zone); err != nil {
		return nil, err
	}
	found, err := d.read(ctx, zone, keys)
	if err != nil {
		return nil, err
	}
	var sets []rrset.Set
	for _, k := range keys {
		if s := found[k]; s != nil {
			sets = append(sets, *s)
		}
	}
	return sets, nil
}

// read returns the sets under the names of keys, of all types.
func (d *Driver) read(ctx context.Context, zone string, keys []rrset.Key) (content, error) {
	names := map[string][]string{}
	for _, k := range keys {
		names[k.Name] = append(names[k.Name], k.Type)
	}
	if len(names) <= manyNames {
		found, plain, err := d.ask(ctx, names)
		if err != nil {
			return nil, err
		}
		if plain {
			plain, err = d.holds(ctx, zone, found)
		}
		if plain || err != nil {
			return found, err
		}
	}
	found := content{}
	wanted := func(name string) bool { return names[dns.CanonicalName(name)] != nil }
	return found, d.transfer(ctx, zone, wanted, func(s rrset.Set) error {
		found[s.Key] = &s
		return nil
	})
}

// ask puts one question per name. plain is false when an answer does not show what the zone holds.
func (d *Driver) ask(ctx context.Context, names map[string][]string) (found content, plain bool, err error) {
	found, plain = content{}, true
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelism)
	for name, types := range names {
		group.Go(func() error {
			question := new(dns.Msg).SetQuestion(name, dns.TypeANY)
			question.RecursionDesired = false
			answer, err := d.exchange(ctx, question, "tell what stands at "+name)
			if err != nil {
				return err
			}
			records := answer.Answer
			if !answer.Authoritative {
				records = answer.Ns // a referral
			}
			onlyServers := !slices.ContainsFunc(types, func(typ string) bool { return typ != "NS" })
			mu.Lock()
			defer mu.Unlock()
			plain = plain && (answer.Authoritative || onlyServers && len(records) > 0 && dns.CanonicalName(records[0].Header().Name) == name)
			found.add(name, records)
			return nil
		})
	}
	return found, plain, group.Wait()
}

// add puts the records of a name into sets.
func (c content) add(name string, records []dns.RR) {
	for _, rr := range records {
		e := rrset.FromRR(rr)
		if e.Name != name {
			continue
		}
		if c[e.Key] == nil {
			c[e.Key] = &rrset.Set{Key: e.Key, TTL: e.TTL}
		}
		c[e.Key].Records = append(c[e.Key].Records, e.Record)
	}
}

// holds asks whether the zone itself holds what was answered, by an update that has prerequisites only: an answer made from a wildcard
// looks like one of the zone.
func (d *Driver) holds(ctx context.Context, zone string, found content) (bool, error) {
	update := new(dns.Msg).SetUpdate(zone)
	for _, s := range found {
		if !s.Managed() || s.Type == "SOA" { // signatures are not compared; the serial may move at any time
			continue
		}
		records, err := wire(s)
		if err != nil {
			return false, err
		}
		update.Used(records)
	}
	if len(update.Answer) == 0 {
		return true, nil
	}
	rcode, err := d.update(ctx, zone, update)
	return rcode == dns.RcodeSuccess, err
}

// wire returns the served records of a set.
func wire(s *rrset.Set) ([]dns.RR, error) {
	entries := s.Live().Entries()
	records := make([]dns.RR, len(entries))
	for i, e := range entries {
		rr, err := e.RR()
		if err != nil {
			return nil, err
		}
		records[i] = rr
	}
	return records, nil
}

// Holds implements nameserver.Confirmer, by an update that has prerequisites only.
func (d *Driver) Holds(ctx context.Context, zone string, changes []rrset.Change) (bool, error) {
	update := new(dns.Msg).SetUpdate(zone)
	weight := 0
	for _, c := range changes {
		if weight += size(zone, c, true); weight > maxUpdate {
			break
		}
		switch {
		case c.Key().Type == "SOA":
		case c.After.Live() == nil:
			update.RRsetNotUsed([]dns.RR{empty(c.Key())})
		default:
			records, err := wire(c.After)
			if err != nil {
				return false, err
			}
			update.Used(records)
		}
	}
	rcode, err := d.update(ctx, zone, update)
	return rcode == dns.RcodeSuccess, err
}
