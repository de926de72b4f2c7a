package bind

import (
	"strings"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// message returns the update that makes changes under their prerequisites (RFC 2136, 2.4 and 2.5). With p.soa, the zone must not have
// moved since that was read, which is all when the push follows it.
func (p *push) message(changes []rrset.Change) (*dns.Msg, error) {
	m, zone, soa := new(dns.Msg).SetUpdate(p.zone), p.zone, p.soa
	if soa != nil {
		m.Used([]dns.RR{dns.Copy(soa)})
	}
	if !p.follows {
		if err := requireSets(m, changes); err != nil {
			return nil, err
		}
	}
	// What goes comes first: named passes in silence over a CNAME that would not stand alone when its turn comes, and over what would stand beside one.
	for _, c := range changes {
		if err := withdraw(m, zone, c); err != nil {
			return nil, err
		}
	}
	for _, c := range changes {
		if err := insert(m, soa, c); err != nil {
			return nil, err
		}
	}
	// But the last NS of a zone is never removed, so the new ones come before.
	for _, c := range changes {
		if c.Key() == (rrset.Key{Name: zone, Type: "NS"}) {
			if err := discard(m, c); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// requireSets adds what changes are made from.
func requireSets(m *dns.Msg, changes []rrset.Change) error {
	for _, c := range changes {
		if err := requireSet(m, c); err != nil {
			return err
		}
	}
	requireAliases(m, changes)
	return nil
}

// requireSet adds what a change is made from.
func requireSet(m *dns.Msg, c rrset.Change) error {
	if c.Before.Live() == nil {
		m.RRsetNotUsed([]dns.RR{empty(c.Key())})
		return nil
	}
	if c.Key().Type == "SOA" { // the serial is counted by the server; message requires the whole record as it was read
		return nil
	}
	records, err := wire(c.Before)
	if err != nil {
		return err
	}
	m.Used(records)
	return nil
}

// requireAliases adds that nothing else stands beside a CNAME after the changes.
func requireAliases(m *dns.Msg, changes []rrset.Change) {
	changed := map[rrset.Key]bool{}
	for _, c := range changes {
		changed[c.Key()] = true
	}
	required := map[rrset.Key]bool{}
	absent := func(name, typ string) {
		if key := (rrset.Key{Name: name, Type: typ}); !changed[key] && !required[key] {
			required[key] = true
			m.RRsetNotUsed([]dns.RR{empty(key)})
		}
	}
	for _, c := range changes {
		switch key := c.Key(); {
		case c.After.Live() == nil:
		case key.Type != "CNAME":
			absent(key.Name, "CNAME")
		default:
			for _, typ := range rrset.Types {
				if typ != "SOA" {
					absent(key.Name, typ)
				}
			}
		}
	}
}

// withdraw removes the records that a change leaves out, except of the zone's NS.
func withdraw(m *dns.Msg, zone string, c rrset.Change) error {
	if key := c.Key(); key == (rrset.Key{Name: zone, Type: "NS"}) || key.Type == "SOA" {
		return nil
	}
	return discard(m, c)
}

func discard(m *dns.Msg, c rrset.Change) error {
	if c.Before.Live() == nil {
		return nil
	}
	kept := map[string]bool{}
	for _, e := range c.After.Live().Entries() {
		kept[e.Value] = true
	}
	gone := rrset.Set{Key: c.Key()}
	for _, e := range c.Before.Live().Entries() {
		if !kept[e.Value] {
			gone.Records = append(gone.Records, e.Record)
		}
	}
	records, err := wire(&gone)
	if err != nil {
		return err
	}
	m.Remove(records)
	return nil
}

// insert adds all records that are to be there: one that is there already gets the TTL. An SOA gets the next serial, or it would be
// passed over as old.
func insert(m *dns.Msg, soa *dns.SOA, c rrset.Change) error {
	records, err := wire(c.After)
	if err != nil {
		return err
	}
	for _, rr := range records {
		if next, ok := rr.(*dns.SOA); ok && soa != nil {
			next.Serial = soa.Serial + 1
		}
	}
	m.Insert(records)
	return nil
}

// empty stands for a whole set.
func empty(key rrset.Key) dns.RR {
	return &dns.ANY{Hdr: dns.RR_Header{Name: key.Name, Rrtype: dns.StringToType[key.Type]}}
}

// size estimates what a change adds to an update, in bytes, with or without the prerequisites about its sets: names are compressed to what they have in
// front of the zone's, values are not.
func size(zone string, c rrset.Change, sets bool) int {
	const head = 2 + 10 // pointer, type, class, TTL and length
	owner := len(strings.TrimSuffix(c.Key().Name, zone)) + head
	weigh := func(s *rrset.Set) (total int) {
		if s == nil {
			return 0
		}
		for _, r := range s.Records {
			if !r.Disabled {
				total += owner + max(len(r.Value), 16) + 2
			}
		}
		return total
	}
	total := weigh(c.Before) + weigh(c.After)
	if sets {
		total += weigh(c.Before) + 2*owner // one about the CNAME, and one about the set
		if c.Key().Type == "CNAME" {
			total += len(rrset.Types) * owner
		}
	}
	return total
}
