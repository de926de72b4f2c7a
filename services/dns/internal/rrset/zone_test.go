package rrset_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is a record of a test's zone.
type line struct {
	name, typ, value string
	ttl              int64
	disabled         bool
}

func entries(t *testing.T, lines ...line) []rrset.Entry {
	t.Helper()
	all := make([]rrset.Entry, len(lines))
	for i, l := range lines {
		ttl := max(l.ttl, 60)
		e, err := rrset.Parse(zone, 300, rrset.Draft{Name: l.name, Type: l.typ, Value: l.value, TTL: &ttl, Disabled: l.disabled})
		require.NoError(t, err)
		all[i] = e
	}
	return all
}

func rules(problems rrset.Problems) []rrset.Rule {
	var all []rrset.Rule
	for _, p := range problems {
		all = append(all, p.Rule)
	}
	return all
}

var (
	soa = line{name: "example.org", typ: "SOA", value: "ns1.example.org hostmaster.example.org 1 3600 600 86400 60"}
	ns  = line{name: "example.org", typ: "NS", value: "ns1.example.org"}
)

func TestCheckZone(t *testing.T) {
	t.Parallel()
	a := line{name: "www.example.org", typ: "A", value: "192.0.2.1"}
	alias := line{name: "www.example.org", typ: "CNAME", value: "web.example.org"}
	off := func(l line) line { l.disabled = true; return l }
	for name, c := range map[string]struct {
		lines []line
		want  []rrset.Rule
	}{
		"good":                       {[]line{soa, ns, a}, nil},
		"empty":                      {nil, []rrset.Rule{rrset.RuleAuthority, rrset.RuleApexServers}},
		"no SOA":                     {[]line{ns}, []rrset.Rule{rrset.RuleAuthority}},
		"SOA disabled":               {[]line{off(soa), ns}, []rrset.Rule{rrset.RuleAuthority}},
		"two SOA":                    {[]line{soa, {name: "example.org", typ: "SOA", value: "ns2.example.org hostmaster.example.org 1 3600 600 86400 60"}, ns}, []rrset.Rule{rrset.RuleAuthority}},
		"no NS":                      {[]line{soa}, []rrset.Rule{rrset.RuleApexServers}},
		"NS disabled":                {[]line{soa, off(ns)}, []rrset.Rule{rrset.RuleApexServers}},
		"alias and address":          {[]line{soa, ns, a, alias}, []rrset.Rule{rrset.RuleAlias}},
		"alias and disabled address": {[]line{soa, ns, off(a), alias}, nil},
		"disabled alias":             {[]line{soa, ns, a, off(alias)}, nil},
		"two aliases":                {[]line{soa, ns, alias, {name: "www.example.org", typ: "CNAME", value: "x.example.org"}}, []rrset.Rule{rrset.RuleAlias}},
		"alias at the apex":          {[]line{soa, ns, {name: "example.org", typ: "CNAME", value: "x.example.org"}}, []rrset.Rule{rrset.RuleAliasAtApex}},
		"MX to an alias":             {[]line{soa, ns, alias, {name: "example.org", typ: "MX", value: "1 www.example.org"}}, []rrset.Rule{rrset.RuleTargetAlias}},
		"MX to a disabled alias":     {[]line{soa, ns, off(alias), {name: "example.org", typ: "MX", value: "1 www.example.org"}}, nil},
		"NS to an alias":             {[]line{soa, ns, alias, {name: "sub.example.org", typ: "NS", value: "www.example.org"}}, []rrset.Rule{rrset.RuleTargetAlias}},
		"SRV to an alias":            {[]line{soa, ns, alias, {name: "_a._tcp.example.org", typ: "SRV", value: "1 1 1 www.example.org"}}, []rrset.Rule{rrset.RuleTargetAlias}},
		"alias to an alias":          {[]line{soa, ns, alias, {name: "x.example.org", typ: "CNAME", value: "www.example.org"}}, nil},
		"null MX with company":       {[]line{soa, ns, {name: "example.org", typ: "MX", value: "0 ."}, {name: "example.org", typ: "MX", value: "1 m.example.net"}}, []rrset.Rule{rrset.RuleNullTarget}},
	} {
		sets, problems := rrset.Collect(entries(t, c.lines...))
		require.Empty(t, problems, name)
		require.Equal(t, c.want, rules(rrset.CheckZone(zone, sets)), name)
	}
}

func TestCheckNameBoundsSets(t *testing.T) {
	t.Parallel()
	s := rrset.Set{Key: rrset.Key{Name: "a.example.org.", Type: "A"}}
	for i := range rrset.MaxRecords {
		s.Records = append(s.Records, rrset.Record{Value: fmt.Sprintf("192.0.2.%d", i)}, rrset.Record{Value: fmt.Sprintf("198.51.100.%d", i), Disabled: true})
	}
	require.Empty(t, rrset.CheckName(zone, s.Name, []rrset.Set{s}))
	s.Records[1].Disabled = false
	require.Equal(t, []rrset.Rule{rrset.RuleTooLong}, rules(rrset.CheckName(zone, s.Name, []rrset.Set{s})))
}

func TestCollect(t *testing.T) {
	t.Parallel()
	sets, problems := rrset.Collect(entries(t,
		line{name: "b.example.org", typ: "A", value: "192.0.2.2"}, line{name: "a.b.example.org", typ: "TXT", value: "x"}, ns,
		line{name: "b.example.org", typ: "A", value: "192.0.2.1", disabled: true}, soa, line{name: "a.example.org", typ: "A", value: "192.0.2.1"},
	))
	require.Empty(t, problems)
	var keys []string
	for _, s := range sets {
		keys = append(keys, s.String())
	}
	require.Equal(t, []string{"example.org. SOA", "example.org. NS", "a.example.org. A", "b.example.org. A", "a.b.example.org. TXT"}, keys)
	require.Equal(t, []rrset.Record{{Value: "192.0.2.1", Disabled: true}, {Value: "192.0.2.2"}}, sets[3].Records)

	_, problems = rrset.Collect(entries(t,
		line{name: "a.example.org", typ: "A", value: "192.0.2.1"}, line{name: "A.example.org", typ: "A", value: "192.0.2.1", disabled: true},
		line{name: "a.example.org", typ: "A", value: "192.0.2.2", ttl: 61},
	))
	require.Equal(t, []rrset.Rule{rrset.RuleDuplicate, rrset.RuleOneTTL}, rules(problems))
	require.ErrorContains(t, problems, "a.example.org. A 192.0.2.2")
}

func TestEqual(t *testing.T) {
	t.Parallel()
	set := func(ttl uint32, typ string, values ...string) *rrset.Set {
		s := &rrset.Set{Key: rrset.Key{Name: zone, Type: typ}, TTL: ttl}
		for _, v := range values {
			s.Records = append(s.Records, rrset.Record{Value: v})
		}
		return s
	}
	disabled := set(1, "A", "192.0.2.1")
	disabled.Records[0].Disabled = true
	require.True(t, (*rrset.Set)(nil).Equal(nil))
	require.False(t, set(1, "A", "192.0.2.1").Equal(nil))
	require.False(t, (*rrset.Set)(nil).Equal(set(1, "A", "192.0.2.1")))
	require.True(t, set(1, "A", "192.0.2.1", "192.0.2.2").Equal(set(1, "A", "192.0.2.2", "192.0.2.1")))
	require.False(t, set(1, "A", "192.0.2.1").Equal(set(2, "A", "192.0.2.1")))
	require.False(t, set(1, "A", "192.0.2.1").Equal(set(1, "AAAA", "192.0.2.1")))
	require.False(t, set(1, "A", "192.0.2.1", "192.0.2.1").Equal(set(1, "A", "192.0.2.1", "192.0.2.2")))
	require.False(t, set(1, "A", "192.0.2.1").Equal(disabled))
	require.Nil(t, disabled.Live())
	require.True(t, set(1, "SOA", "a. b. 1 2 3 4 5").Equal(set(1, "SOA", "a. b. 9 2 3 4 5")))
	require.False(t, set(1, "SOA", "a. b. 1 2 3 4 5").Equal(set(1, "SOA", "a. b. 1 2 3 4 6")))
}

func TestTargets(t *testing.T) {
	t.Parallel()
	sets, _ := rrset.Collect(entries(t, line{name: "example.org", typ: "MX", value: "1 a.example.org"}, line{name: "example.org", typ: "MX", value: "1 a.example.net"},
		line{name: "example.org", typ: "MX", value: "1 b.example.org", disabled: true}))
	require.Equal(t, []string{"a.example.org."}, rrset.Targets(zone, &sets[0]))
}

func TestKeysAreInCanonicalOrder(t *testing.T) {
	t.Parallel()
	ordered := []string{".", "org.", "example.org.", "a.example.org.", "b.a.example.org.", "ab.example.org.", "b.example.org.", "xab.example.org.", "aexample.org.", "x.aexample.org."}
	want := []string{".", "org.", "aexample.org.", "x.aexample.org.", "example.org.", "a.example.org.", "b.a.example.org.", "ab.example.org.", "b.example.org.", "xab.example.org."}
	slices.SortFunc(ordered, func(a, b string) int { return rrset.Key{Name: a}.Compare(rrset.Key{Name: b}) })
	require.Equal(t, want, ordered)
	for i, a := range want {
		for j, b := range want {
			require.Equal(t, cmp.Compare(i, j), rrset.Key{Name: a}.Compare(rrset.Key{Name: b}), "%s and %s", a, b)
		}
	}
}
