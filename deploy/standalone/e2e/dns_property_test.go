package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// rounds is how many random sequences of changes the property test makes.
const rounds = 200

// zoneModel is what a zone should be: its records by id.
type zoneModel struct {
	*dnsStage

	random  *rand.Rand
	records map[int64]record
	apex    []string // lines of the NS that came with the zone
}

// kindsOfRecords makes a value of each type that can stand at names of its own, in canonical spelling.
var kindsOfRecords = []struct {
	typ, name string
	value     func(n int) string
}{
	{"A", "host-%d", func(n int) string { return fmt.Sprintf("192.0.2.%d", n) }},
	{"AAAA", "host-%d", func(n int) string { return fmt.Sprintf("2001:db8::%d", n) }},
	{"TXT", "host-%d", func(n int) string { return fmt.Sprintf(`"text \"%d\"; with ; signs"`, n) }},
	{"MX", "host-%d", func(n int) string { return fmt.Sprintf("%d mail.example.net.", n) }},
	{"CAA", "host-%d", func(n int) string { return fmt.Sprintf(`0 issue "ca-%d.example.net"`, n) }},
	{"CNAME", "alias-%d", func(n int) string { return fmt.Sprintf("target-%d.example.net.", n) }},
	{"NS", "child-%d", func(n int) string { return fmt.Sprintf("ns%d.example.net.", n) }},
	{"SRV", "_sip._tcp.host-%d", func(n int) string { return fmt.Sprintf("%d 5 5060 sip.example.net.", n) }},
	{"PTR", "pointer-%d", func(n int) string { return fmt.Sprintf("host-%d.example.net.", n) }},
}

// A zone that is changed at random through HTTP is at every moment what the changes say, and nothing else.
func TestDNSRandomChanges(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	onEach(t, func(t *testing.T, start func(t testing.TB) *nameServer) {
		s := newDNSStage(t, o, start(t))
		m := &zoneModel{dnsStage: s, random: rand.New(rand.NewPCG(seed(t), 53)), records: map[int64]record{}, apex: s.transfer(t)}
		require.Len(t, m.apex, 1)
		for round := range rounds {
			for range 1 + m.random.IntN(4) {
				key := m.step(t)
				require.Equal(t, m.served(key), m.dig(t, key.Name, key.Type), "seed %d, round %d", seed(t), round)
			}
			require.Equal(t, m.lines(), m.transfer(t), "seed %d, round %d", seed(t), round)
		}
		for _, r := range m.list(t) {
			if r.Type != "SOA" && r.Name != m.zone {
				require.Equal(t, m.records[r.ID], r)
				delete(m.records, r.ID)
			}
		}
		require.Empty(t, m.records, "the list shows every record")
	})
}

// step makes one change and returns a record of the set that it changed.
func (m *zoneModel) step(t testing.TB) record {
	t.Helper()
	ids := slices.Sorted(maps.Keys(m.records))
	if len(ids) < 3 || m.random.IntN(3) == 0 {
		return m.create(t)
	}
	r := m.records[ids[m.random.IntN(len(ids))]]
	switch m.random.IntN(5) {
	case 0:
		m.ok(t, apitest.HTTP{Method: "DELETE", Path: m.dnsStage.records(fmt.Sprint(r.ID)), JSON: nil}, &object{})
		delete(m.records, r.ID)
	case 1:
		m.toggle(t, r, "disable", false)
	case 2:
		if !m.clashes(r) {
			m.toggle(t, r, "enable", true)
		}
	case 3:
		m.setTTL(t, r)
	default:
		m.setValue(t, r)
	}
	return r
}

func (m *zoneModel) create(t testing.TB) record {
	t.Helper()
	kind := kindsOfRecords[m.random.IntN(len(kindsOfRecords))]
	r := record{Name: fmt.Sprintf(kind.name, m.random.IntN(4)) + "." + m.zone, Type: kind.typ, Value: kind.value(1 + m.random.IntN(200)), TTL: 3600, Enabled: true}
	for _, other := range m.records {
		if other.Name == r.Name && other.Type == r.Type {
			r.TTL = other.TTL
			if r.Type == "CNAME" || other.Value == r.Value {
				return other // it may not be added
			}
		}
	}
	made := m.add(t, r.Name, r.Type, r.Value, nil)
	r.ID = made.ID
	require.Equal(t, r, made)
	m.records[r.ID] = r
	return r
}

// clashes reports that a CNAME cannot be enabled, because another one stands at its name.
func (m *zoneModel) clashes(r record) bool {
	for _, other := range m.records {
		if r.Type == "CNAME" && other.ID != r.ID && other.Name == r.Name && other.Enabled {
			return true
		}
	}
	return false
}

func (m *zoneModel) toggle(t testing.TB, r record, action string, on bool) {
	t.Helper()
	m.ok(t, apitest.HTTP{Method: "POST", Path: m.dnsStage.records("actions/" + action + "/"), JSON: []object{{"id": r.ID}}}, &object{})
	r.Enabled = on
	m.records[r.ID] = r
}

func (m *zoneModel) setTTL(t testing.TB, r record) {
	t.Helper()
	ttl := int64(60 * (1 + m.random.IntN(60)))
	m.ok(t, apitest.HTTP{Method: "PATCH", Path: m.dnsStage.records(fmt.Sprint(r.ID)), JSON: object{"ttl": ttl}}, &object{})
	for id, other := range m.records {
		if other.Name == r.Name && other.Type == r.Type {
			other.TTL = ttl // a set has one TTL
			m.records[id] = other
		}
	}
}

func (m *zoneModel) setValue(t testing.TB, r record) {
	t.Helper()
	for _, kind := range kindsOfRecords {
		if kind.typ == r.Type {
			r.Value = kind.value(201 + m.random.IntN(54))
		}
	}
	for _, other := range m.records {
		if other.Name == r.Name && other.Type == r.Type && other.Value == r.Value {
			return // a duplicate
		}
	}
	var got record
	m.ok(t, apitest.HTTP{Method: "PATCH", Path: m.dnsStage.records(fmt.Sprint(r.ID)), JSON: object{"value": r.Value}}, &got)
	require.Equal(t, r, got)
	m.records[r.ID] = r
}

// served returns what the server should answer for a record's set.
func (m *zoneModel) served(key record) []string {
	lines := []string{}
	for _, r := range m.records {
		if r.Name == key.Name && r.Type == key.Type && r.Enabled {
			lines = append(lines, fmt.Sprintf("%d %s %s", r.TTL, r.Type, r.Value))
		}
	}
	slices.Sort(lines)
	return lines
}

// lines returns what a transfer should give.
func (m *zoneModel) lines() []string {
	lines := slices.Clone(m.apex)
	for _, r := range m.records {
		if r.Enabled {
			lines = append(lines, r.line())
		}
	}
	slices.Sort(lines)
	return lines
}
