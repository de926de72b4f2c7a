package rrset

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Value returns the canonical spelling of a record's data, whoever sent it: names in lower case, everything else as the dns package prints it. It
// holds no rule against the record.
func Value(rr dns.RR) string {
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
	rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", e.Name, e.TTL, e.Type, e.Value))
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", e, err)
	}
	return rr, nil
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
