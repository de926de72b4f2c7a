// Package rrset is the vocabulary of zone content: record sets, changes to them, and the rules that both must keep.
//
// Names are absolute, in lower case, with A-labels and a trailing dot ("www.example.org."). Values are in the presentation
// format of RFC 1035, in one canonical spelling, so that equal data is equal text.
package rrset

import (
	"cmp"
	"slices"
	"strings"
)

// Types are the record types that opsdeck manages, in the order in which they are documented.
var Types = []string{"A", "AAAA", "CNAME", "MX", "NS", "TXT", "SRV", "CAA", "PTR", "SOA"}

// Key names a record set within a zone.
type Key struct {
	Name string // absolute owner name: lower case, A-labels, trailing dot
	Type string // for example "AAAA"; one of Types when Managed
}

// Managed reports whether opsdeck manages sets of this type. A server may hold others, for instance DNSKEY in a signed zone:
// they are reported by transfers and never changed.
func (k Key) Managed() bool { return slices.Contains(Types, k.Type) }

// Compare orders keys by name, label by label from the root, then by type, with SOA and NS of a name in front of its other types.
func (k Key) Compare(o Key) int {
	return cmp.Or(compareNames(k.Name, o.Name), cmp.Compare(rank(k.Type), rank(o.Type)), cmp.Compare(k.Type, o.Type))
}

func (k Key) String() string { return k.Name + " " + k.Type }

func rank(typ string) int {
	switch typ {
	case "SOA":
		return 0
	case "NS":
		return 1
	}
	return 2
}

// compareNames is the canonical order of RFC 4034, 6.1, for names without escapes: the first labels from the root that differ decide.
func compareNames(a, b string) int {
	if m, n := strings.IndexByte(a, '.'), strings.IndexByte(b, '.'); m >= 0 && n >= 0 && a[m:] == b[n:] {
		return cmp.Compare(a[:m], b[:n]) // side by side, as most are
	}
	i, j := len(a), len(b) // where the common end starts
	for i > 0 && j > 0 && a[i-1] == b[j-1] {
		i, j = i-1, j-1
	}
	switch {
	case i == 0 && (j == 0 || b[j-1] == '.'):
		return -min(j, 1) // equal, or a is above b
	case j == 0 && a[i-1] == '.':
		return 1
	}
	return cmp.Compare(labelAround(a, i), labelAround(b, j))
}

// labelAround returns the label of a name that a place lies in, or ends at.
func labelAround(name string, at int) string {
	end := len(name)
	if dot := strings.IndexByte(name[at:], '.'); dot >= 0 {
		end = at + dot
	}
	return name[strings.LastIndexByte(name[:at], '.')+1 : end]
}

// Record is one record of a set.
type Record struct {
	Value    string // canonical RFC 1035 presentation, for instance "10 mail.example.org."
	Disabled bool   // kept, but not served
}

// Set is all records of one name and type, served under one TTL.
type Set struct {
	Key
	TTL     uint32 // seconds, at most MaxTTL
	Records []Record
}

// Sort puts the records in canonical order, by value.
func (s *Set) Sort() {
	slices.SortFunc(s.Records, func(a, b Record) int { return cmp.Compare(a.Value, b.Value) })
}

// Live returns the part of the set that is served, in canonical order: the records that are not disabled. It is nil when there are
// none, and for nil. It is not to be changed: often it is the set itself.
func (s *Set) Live() *Set {
	if s == nil {
		return nil
	}
	if len(s.Records) == 1 && !s.Records[0].Disabled {
		return s
	}
	live := Set{Key: s.Key, TTL: s.TTL}
	for _, r := range s.Records {
		if !r.Disabled {
			live.Records = append(live.Records, r)
		}
	}
	if len(live.Records) == 0 {
		return nil
	}
	live.Sort()
	return &live
}

// Equal reports whether two sets hold the same, in whatever order: key, TTL, values and what is disabled. The serial of an SOA is
// left out, because the server counts it. Two nil sets are equal.
func (s *Set) Equal(o *Set) bool {
	if s == nil || o == nil {
		return s == o
	}
	if s.Key != o.Key || s.TTL != o.TTL || len(s.Records) != len(o.Records) {
		return false
	}
	return s.Type != "SOA" && slices.Equal(s.Records, o.Records) || slices.Equal(s.comparable(), o.comparable())
}

func (s *Set) comparable() []Record {
	c := Set{Key: s.Key, Records: slices.Clone(s.Records)}
	if s.Type == "SOA" {
		for i := range c.Records {
			c.Records[i].Value = withoutSerial(c.Records[i].Value)
		}
	}
	c.Sort()
	return c.Records
}

// serialField is the place of the serial in the value of an SOA.
const serialField = 2

// withoutSerial sets the serial in the value of an SOA to 0.
func withoutSerial(soa string) string {
	f := strings.Fields(soa)
	if len(f) > serialField {
		f[serialField] = "0"
	}
	return strings.Join(f, " ")
}

// Change replaces one record set by another; both are whole sets with the same key.
type Change struct {
	Before *Set // what must be there; nil: the set must not exist
	After  *Set // what is there afterwards; nil: the set is deleted
}

// Key returns the key of the set that changes.
func (c Change) Key() Key {
	if c.Before != nil {
		return c.Before.Key
	}
	return c.After.Key
}

// Inverse returns the change that undoes c.
func (c Change) Inverse() Change { return Change{Before: c.After, After: c.Before} }
