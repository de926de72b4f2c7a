package zone

import (
	"context"
	"maps"
	"slices"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// fewNames is up to how many names are looked at one by one. Of more, the server may as well look at the whole zone.
const fewNames = 100

// reshapes reports whether an edit alters what a server derives from the zone as a whole: which names are empty but have names below
// them (RFC 4592, 2.2.2), and which stand at or below a delegation. It may say so without need. What stands below a name, disabled or not, is read from
// an index: the zone's size does not matter.
func (e *Edit) reshapes(ctx context.Context, changes []rrset.Change, touched map[string]bool) (bool, error) {
	if len(touched) > fewNames {
		return true, nil
	}
	delegates := func(c rrset.Change) bool {
		return c.Key().Name != e.Domain.Name && (c.Key().Type == "NS" || c.Key().Type == "DS")
	}
	if slices.ContainsFunc(changes, delegates) {
		return true, nil
	}
	moved, parents, cuts := e.moved(touched), map[string]bool{}, map[string]bool{}
	for name := range touched {
		for _, above := range e.upwards(name) {
			cuts[above] = true
		}
	}
	for _, name := range moved {
		if above := e.upwards(name); len(above) > 1 {
			parents[above[1]] = true
		}
	}
	var yes bool
	err := e.tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM dns.records WHERE domain_id = $1 AND reverse(name) COLLATE "C" = ANY ($2) AND type = 'NS')
			OR EXISTS (SELECT FROM unnest($3::text[]) AS n (name) WHERE EXISTS (
				SELECT FROM dns.records AS r WHERE r.domain_id = $1
					AND reverse(r.name) COLLATE "C" >= reverse('.' || n.name) AND reverse(r.name) COLLATE "C" < reverse('.' || n.name) || chr(127)))
			OR EXISTS (SELECT FROM unnest($4::text[]) AS p (name) WHERE NOT EXISTS (
				SELECT FROM dns.records AS r WHERE r.domain_id = $1 AND reverse(r.name) COLLATE "C" = reverse(p.name) AND NOT r.disabled AND r.name <> ALL ($3))
				AND NOT EXISTS (
				SELECT FROM dns.records AS r WHERE r.domain_id = $1 AND NOT r.disabled AND r.name <> ALL ($3)
					AND reverse(r.name) COLLATE "C" >= reverse('.' || p.name) AND reverse(r.name) COLLATE "C" < reverse('.' || p.name) || chr(127)))`,
		e.Domain.ID, backwards(slices.Collect(maps.Keys(cuts))), moved, slices.Collect(maps.Keys(parents))).Scan(&yes)
	return yes, pg.Fault(err, "RECORDS", "look at the names around a change of %s", e.Domain.Name)
}

// moved returns those of the names that come into being or cease to be, as names with records or as names that are served.
func (e *Edit) moved(touched map[string]bool) []string {
	type presence struct{ stored, served bool }
	before, after := map[string]presence{}, map[string]presence{}
	add := func(to map[string]presence, r Row) {
		if touched[r.Name] {
			p := to[r.Name]
			to[r.Name] = presence{true, p.served || !r.Disabled}
		}
	}
	for _, r := range e.before {
		add(before, r)
	}
	for _, rows := range e.now {
		for _, r := range rows {
			add(after, r)
		}
	}
	moved := []string{}
	for name := range touched {
		if before[name] != after[name] {
			moved = append(moved, name)
		}
	}
	return moved
}

// upwards returns a name and the names above it, up to the zone's own, which is left out.
func (e *Edit) upwards(name string) []string {
	var all []string
	for _, at := range dns.Split(name) {
		if name[at:] == e.Domain.Name {
			break
		}
		all = append(all, name[at:])
	}
	return all
}

// reshape lets the server look at the whole zone after each pending change of a domain: what they were held against is no more.
func reshape(ctx context.Context, db Querier, domain int64) error {
	_, err := db.Exec(ctx, `UPDATE dns.changes SET reshapes = true WHERE domain_id = $1 AND state = 'pending'`, domain)
	return pg.Fault(err, "CHANGE", "note that the names of domain %d have changed", domain)
}
