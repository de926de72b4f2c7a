// Package plan changes domains as a whole: it says first what a change would do, holds a threshold against it, makes it in one push, and
// rolls it back.
package plan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

const (
	// replaceable is how many records a domain may have to be planned as a whole.
	replaceable = 100000
	// smallDomain is how many sets a domain has that the threshold means: of fewer, one is too large a part.
	smallDomain = 10
)

// desired is what a domain should become.
type desired struct {
	sets    []rrset.Set
	delete  []rrset.Key
	replace bool // the sets are the whole domain
}

// want turns entries, keys to delete and a mode into what is desired. Errors: RECORD_INVALID.
func want(entries []rrset.Entry, remove []rrset.Key, replace bool) (desired, error) {
	sets, problems := rrset.Collect(entries)
	return desired{sets: sets, delete: remove, replace: replace}, zone.Invalid(problems)
}

// load brings what a desired state touches into an edit. Errors: DOMAIN_TOO_LARGE.
func (d desired) load(ctx context.Context, e *zone.Edit) error {
	if d.replace {
		return e.LoadAll(ctx, replaceable)
	}
	var names []string
	for _, s := range d.sets {
		names = append(names, s.Name)
	}
	for _, key := range d.delete {
		names = append(names, key.Name)
	}
	return e.Load(ctx, names...)
}

// apply makes an edit what is desired.
func (d desired) apply(e *zone.Edit) {
	kept := map[rrset.Key]bool{}
	for i := range d.sets {
		key := d.sets[i].Key
		kept[key] = true
		if there := e.Set(key); !d.sets[i].Equal(there) { // the serial of an SOA is the server's
			e.SetTo(key, &d.sets[i])
		}
	}
	for _, key := range d.delete {
		e.SetTo(key, nil)
	}
	if !d.replace {
		return
	}
	for _, key := range e.Keys() {
		authority := key.Name == e.Domain.Name && (key.Type == "SOA" || key.Type == "NS")
		if !kept[key] && !authority {
			e.SetTo(key, nil)
		}
	}
}

// plan is what an edit would do.
type plan struct {
	changes                   []rrset.Change
	created, updated, deleted int64
	percent                   float64
	over                      bool
	fingerprint               string
}

// planned looks at an edit. threshold is in percent.
func planned(ctx context.Context, db zone.Querier, e *zone.Edit, threshold float64) (plan, error) {
	p := plan{changes: e.Changes()}
	hash := sha256.New()
	fmt.Fprintf(hash, "domain %d\n", e.Domain.ID)
	encoder := json.NewEncoder(hash)
	for _, c := range p.changes {
		switch {
		case c.Before == nil:
			p.created++
		case c.After == nil:
			p.deleted++
		default:
			p.updated++
		}
		if err := encoder.Encode([]any{c.Key(), zone.ImageOf(c.Before), zone.ImageOf(c.After)}); err != nil {
			return p, fmt.Errorf("fingerprint of a plan: %w", err)
		}
	}
	p.fingerprint = hex.EncodeToString(hash.Sum(nil))
	if p.updated+p.deleted == 0 {
		return p, nil
	}
	var sets int64
	err := db.QueryRow(ctx, `
		SELECT count(*) FROM (SELECT DISTINCT name, type FROM dns.records WHERE domain_id = $1) AS sets`, e.Domain.ID).Scan(&sets)
	if err != nil {
		return p, pg.Fault(err, "RECORDS", "count the sets of %s", zone.Shown(e.Domain.Name))
	}
	p.percent = 100 * float64(p.updated+p.deleted) / float64(max(sets, 1))
	p.over = sets >= smallDomain && p.percent > threshold
	return p, nil
}

// allow refuses a plan that is over the threshold, unless the caller insists. Errors: OVER_THRESHOLD.
func (p plan) allow(override bool, threshold float64) error {
	if !p.over || override {
		return nil
	}
	return fault.Precondition("OVER_THRESHOLD", "the change would update or delete %.1f %% of the domain's record sets, more than %g %%: say override if that is meant",
		p.percent, threshold).Chinese("该变更将修改或删除 %.1f%% 的记录集，超过 %g%%：若确有此意，请指定 override", p.percent, threshold)
}

// toProto prints a plan with at most limit sets in each list.
func (p plan) toProto(limit int) *dnsv1.Plan {
	answer := &dnsv1.Plan{Fingerprint: p.fingerprint, ChangedPercent: p.percent, OverThreshold: p.over}
	for _, c := range p.changes {
		key := c.Key()
		set := &dnsv1.PlannedSet{Name: zone.Shown(key.Name), Type: key.Type, Before: Image(c.Before), After: Image(c.After)}
		list := &answer.Updates
		switch {
		case c.Before == nil:
			list = &answer.Creates
		case c.After == nil:
			list = &answer.Deletes
		}
		if len(*list) < limit {
			*list = append(*list, set)
		}
	}
	return answer
}

// Image prints a set; nil for nil.
func Image(s *rrset.Set) *dnsv1.SetImage {
	if s == nil {
		return nil
	}
	image := &dnsv1.SetImage{Ttl: int64(s.TTL)}
	for _, r := range s.Records {
		if r.Disabled {
			image.DisabledValues = append(image.DisabledValues, r.Value)
		} else {
			image.Values = append(image.Values, r.Value)
		}
	}
	return image
}

// keys returns canonical keys of sets to delete. Errors: RECORD_INVALID, for the first that breaks a rule.
func keys(d zone.Domain, refs []*dnsv1.SetRef) ([]rrset.Key, error) {
	all := make([]rrset.Key, len(refs))
	for i, ref := range refs {
		key, err := zone.ParseKey(d, ref.GetName(), ref.GetType())
		if err != nil {
			return nil, err
		}
		all[i] = key
	}
	return all, nil
}
