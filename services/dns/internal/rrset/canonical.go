package rrset

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// Value returns the canonical spelling of a record's data, whoever sent it: names in lower case, everything else as the dns package prints it. It
// holds no rule against the record.
func Value(rr dns.RR) string {
	if a, ok := rr.(*dns.A); ok && a.A != nil { // most records are
		return a.A.String()
	}
	rr = dns.Copy(rr)
	switch r := rr.(type) {
	case *dns.CNAME:
		r.Target = dns.CanonicalName(r.Target)
	case *dns.NS:
		r.Ns = dns.CanonicalName(r.Ns)
	case *dns.PTR:
		r.Ptr = dns.CanonicalName(r.Ptr)
	case *dns.MX:
		r.Mx = dns.CanonicalName(r.Mx)
	case *dns.SRV:
		r.Target = dns.CanonicalName(r.Target)
	case *dns.SOA:
		r.Ns, r.Mbox = dns.CanonicalName(r.Ns), dns.CanonicalName(r.Mbox)
	case *dns.CAA:
		r.Tag = strings.ToLower(r.Tag)
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}

// FromRR returns a record that a server sent as an entry in canonical form.
func FromRR(rr dns.RR) Entry {
	h := rr.Header()
	return Entry{
		Key:    Key{Name: dns.CanonicalName(h.Name), Type: dns.Type(h.Rrtype).String()},
		TTL:    h.Ttl,
		Record: Record{Value: Value(rr)},
	}
}

// RR returns an entry for the wire. Its value is canonical, so an error means that it does not come from Parse or FromRR.
func (e Entry) RR() (dns.RR, error) {
	if address, err := netip.ParseAddr(e.Value); err == nil && e.Type == "A" { // most records are, and the parser of zone files is slow
		return &dns.A{Hdr: dns.RR_Header{Name: e.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: e.TTL}, A: address.AsSlice()}, nil
	}
	rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", e.Name, e.TTL, e.Type, e.Value))
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", e, err)
	}
	return rr, nil
}

// Serial returns the serial of an SOA, 0 for nil.
func (s *Set) Serial() uint32 {
	if s == nil || s.Type != "SOA" || len(s.Records) == 0 {
		return 0
	}
	fields := strings.Fields(s.Records[0].Value)
	if len(fields) < serialField+1 {
		return 0
	}
	serial, _ := strconv.ParseUint(fields[serialField], 10, 32) // canonical; 0 otherwise
	return uint32(serial)
}

// Entries returns the records of a set, one by one.
func (s *Set) Entries() []Entry {
	if s == nil {
		return nil
	}
	all := make([]Entry, len(s.Records))
	for i, r := range s.Records {
		all[i] = Entry{Key: s.Key, TTL: s.TTL, Record: r}
	}
	return all
}
