package powerdns

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/dns/internal/endpoint"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Reading by name costs a request each, so many names are cheaper read with the whole zone.
const (
	manyNames   = 256
	parallelism = 4
)

// wireSet is a set as the API writes it.
type wireSet struct {
	Name       string       `json:"name"`
	Type       string       `json:"type"`
	TTL        uint32       `json:"ttl"`
	ChangeType string       `json:"changetype,omitempty"`
	Records    []wireRecord `json:"records,omitempty"`
}

type wireRecord struct {
	Content  string `json:"content"`
	Disabled bool   `json:"disabled,omitempty"`
}

func wire(s *rrset.Set) wireSet {
	w := wireSet{Name: s.Name, Type: s.Type, TTL: s.TTL, Records: make([]wireRecord, len(s.Records))}
	for i, r := range s.Records {
		w.Records[i] = wireRecord{Content: r.Value, Disabled: r.Disabled}
	}
	return w
}

func wireSets(sets []rrset.Set) []wireSet {
	all := make([]wireSet, len(sets))
	for i := range sets {
		all[i] = wire(&sets[i])
	}
	return all
}

// set returns the canonical form. Content that is not in the format of RFC 1035, as of PowerDNS' own types, stays as it is.
func (w wireSet) set() rrset.Set {
	s := rrset.Set{Key: rrset.Key{Name: dns.CanonicalName(w.Name), Type: w.Type}, TTL: w.TTL}
	for _, r := range w.Records {
		value := r.Content
		if rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", w.Name, w.TTL, w.Type, r.Content)); err == nil && rr != nil {
			value = rrset.Value(rr)
		}
		s.Records = append(s.Records, rrset.Record{Value: value, Disabled: r.Disabled})
	}
	s.Sort()
	return s
}

// Sets reads by name, up to 256 names; for more it reads the whole zone.
func (d *Driver) Sets(ctx context.Context, zone string, keys []rrset.Key) ([]rrset.Set, error) {
	names := map[string]bool{}
	for _, k := range keys {
		names[k.Name] = true
	}
	found, err := d.live(ctx, zone, names)
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

// live returns what is served under the names, of all types.
func (d *Driver) live(ctx context.Context, zone string, names map[string]bool) (map[rrset.Key]*rrset.Set, error) {
	found := map[rrset.Key]*rrset.Set{}
	if len(names) > manyNames {
		return found, d.Transfer(ctx, zone, func(s rrset.Set) error {
			if live := s.Live(); live != nil && names[s.Name] {
				found[s.Key] = live
			}
			return nil
		})
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelism)
	for name := range names {
		group.Go(func() error {
			sets, err := d.name(ctx, zone, name)
			mu.Lock()
			defer mu.Unlock()
			for _, s := range sets {
				if live := s.Live(); live != nil {
					found[s.Key] = live
				}
			}
			return err
		})
	}
	return found, group.Wait()
}

// name reads the sets of one name.
func (d *Driver) name(ctx context.Context, zone, name string) ([]rrset.Set, error) {
	var answer struct {
		zoneInfo
		Sets []wireSet `json:"rrsets"`
	}
	request := endpoint.Request{
		Method: http.MethodGet, Path: zonePath(zone), Query: url.Values{"rrset_name": {name}}, Doing: fmt.Sprintf("read %s of the zone %s", name, zone),
	}
	if err := d.api.Fetch(ctx, request, smallAnswer, &answer); err != nil {
		return nil, unknown(err)
	}
	var sets []rrset.Set
	for _, w := range answer.Sets {
		sets = append(sets, w.set())
	}
	return sets, nil
}
