package nameserver_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// TestRandomChanges makes random changes, some of them from a state that the server is not in, and compares the whole zone with a model.
func TestRandomChanges(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		const seed, rounds = 5, 120
		random := rand.New(rand.NewPCG(seed, seed))
		model := map[rrset.Key]rrset.Set{}
		for _, s := range apex(zone) {
			model[s.Key] = s
		}
		require.NoError(t, r.CreateZone(t.Context(), zone, slices.Collect(maps.Values(model))))
		for round := range rounds {
			changes, next := randomChanges(random, model)
			stale := random.IntN(5) == 0 && len(changes) > 0
			if stale {
				i := random.IntN(len(changes))
				changes[i].Before = wrong(changes[i])
			}
			err := r.Apply(t.Context(), zone, true, changes)
			var conflict *nameserver.Conflict
			if stale {
				require.ErrorAs(t, err, &conflict, "seed %d, round %d: %v", seed, round, changes)
			} else {
				require.NoError(t, err, "seed %d, round %d: %v", seed, round, changes)
				model = next
			}
			if round%10 == 9 {
				requireContent(t, r, zone, slices.Collect(maps.Values(model))...)
			}
		}
	})
}

// randomChanges returns changes to up to four names and the model after them. Each name keeps either a CNAME or other types.
func randomChanges(random *rand.Rand, model map[rrset.Key]rrset.Set) ([]rrset.Change, map[rrset.Key]rrset.Set) {
	next := maps.Clone(model)
	var changes []rrset.Change
	for _, n := range random.Perm(8)[:1+random.IntN(4)] {
		name := fmt.Sprintf("n%d.%s", n, zone)
		wanted := map[string]*rrset.Set{"A": nil, "AAAA": nil, "TXT": nil, "MX": nil, "CNAME": nil}
		if random.IntN(3) == 0 {
			alias := set(name, "CNAME", random.Uint32N(3), fmt.Sprintf("t%d.example.net.", random.IntN(3)))
			wanted["CNAME"] = &alias
		} else {
			for typ, value := range map[string]string{"A": "192.0.2.%d", "AAAA": "2001:db8::%d", "TXT": `"v\";%d" "x"`, "MX": "%d mail.example.net."} {
				s := rrset.Set{Key: rrset.Key{Name: name, Type: typ}, TTL: random.Uint32N(3)}
				for _, i := range random.Perm(4)[:random.IntN(4)] {
					s.Records = append(s.Records, rrset.Record{Value: fmt.Sprintf(value, i+1)})
				}
				wanted[typ] = s.Live()
			}
		}
		for typ, after := range wanted {
			key := rrset.Key{Name: name, Type: typ}
			var before *rrset.Set
			if s, ok := model[key]; ok {
				before = &s
			}
			if before.Equal(after) {
				continue
			}
			changes = append(changes, rrset.Change{Before: before, After: after})
			if after == nil {
				delete(next, key)
			} else {
				next[key] = *after
			}
		}
	}
	return changes, next
}

// wrong returns a state that the set of a change is not in, and that the change does not lead to.
func wrong(c rrset.Change) *rrset.Set {
	value := map[string]string{"A": "192.0.2.99", "AAAA": "2001:db8::99", "TXT": `"other"`, "MX": "99 other.example.net.", "CNAME": "other.example.net."}[c.Key().Type]
	s := set(c.Key().Name, c.Key().Type, 99, value)
	return &s
}
