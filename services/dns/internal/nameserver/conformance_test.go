package nameserver_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

const zone = "example.org."

func TestCheck(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		require.NoError(t, r.Check(t.Context()))
		var refused *nameserver.Refused
		require.ErrorAs(t, r.stranger.Check(t.Context()), &refused)
		var unreachable *nameserver.Unreachable
		require.ErrorAs(t, r.lost.Check(t.Context()), &unreachable)
	})
}

func TestZones(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		ctx := t.Context()
		_, found, err := r.Serial(ctx, zone)
		require.NoError(t, err)
		require.False(t, found)
		require.ErrorIs(t, r.Transfer(ctx, zone, func(rrset.Set) error { return nil }), nameserver.ErrZoneUnknown)
		require.ErrorIs(t, r.Apply(ctx, zone, true, []rrset.Change{create(set("a."+zone, "A", 60, "192.0.2.1"))}), nameserver.ErrZoneUnknown)
		_, err = r.Sets(ctx, zone, []rrset.Key{{Name: zone, Type: "SOA"}})
		require.ErrorIs(t, err, nameserver.ErrZoneUnknown)
		require.NoError(t, r.DeleteZone(ctx, zone))
		require.Nil(t, dig(t, r.addr, rrset.Key{Name: zone, Type: "SOA"}))

		require.NoError(t, r.CreateZone(ctx, zone, apex(zone)))
		requireContent(t, r, zone, apex(zone)...)
		require.NoError(t, r.CreateZone(ctx, zone, apex(zone)), "the answer to the first call was lost")
		require.ErrorIs(t, r.CreateZone(ctx, zone, apex(zone)[:2]), nameserver.ErrZoneExists)
		require.ErrorIs(t, r.CreateZone(ctx, zone, append(apex(zone), set("a."+zone, "A", 60, "192.0.2.1"))), nameserver.ErrZoneExists)
		require.NoError(t, r.CreateZone(ctx, "xn--fiqs8s.test.", apex("xn--fiqs8s.test.")))
		serial, found, err := r.Serial(ctx, zone)
		require.NoError(t, err)
		require.True(t, found)
		require.NotZero(t, serial)
		require.ElementsMatch(t, []string{zone, "xn--fiqs8s.test."}, zones(t, r))

		require.NoError(t, r.DeleteZone(ctx, zone))
		require.Nil(t, dig(t, r.addr, rrset.Key{Name: zone, Type: "SOA"}))
		require.Equal(t, []string{"xn--fiqs8s.test."}, zones(t, r))
		require.NoError(t, r.CreateZone(ctx, zone, apex(zone)), "the same name again, at once")
		requireContent(t, r, zone, apex(zone)...)
	})
}

func zones(t *testing.T, d nameserver.Driver) []string {
	t.Helper()
	var all []string
	require.NoError(t, d.Zones(t.Context(), func(zone string) error {
		all = append(all, zone)
		return nil
	}))
	return all
}

func TestCallersErrorsPass(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		require.NoError(t, r.CreateZone(t.Context(), zone, apex(zone)))
		enough := errors.New("enough")
		require.ErrorIs(t, r.Zones(t.Context(), func(string) error { return enough }), enough)
		require.ErrorIs(t, r.Transfer(t.Context(), zone, func(rrset.Set) error { return enough }), enough)
		require.NoError(t, r.Check(t.Context()))
	})
}

// every is one set of each type that is managed, besides the apex.
func every() []rrset.Set {
	return []rrset.Set{
		set("www."+zone, "A", 60, "192.0.2.1", "192.0.2.2"), set("www."+zone, "AAAA", 61, "2001:db8::1", "2001:db8::2"),
		set("*.wild."+zone, "A", 60, "192.0.2.9"), set("alias."+zone, "CNAME", 0, "www.example.net."),
		set(zone, "MX", 62, "10 www."+zone, "20 mail.example.net."), set("sub."+zone, "NS", 63, "ns.example.net.", "ns1."+zone),
		set(zone, "TXT", 64, `"v=spf1 -all"`, `"a\"b\\c;d" "\228\184\173\010" ""`), set("_sip._udp."+zone, "SRV", 65, "1 2 5060 www."+zone, "0 0 0 ."),
		set(zone, "CAA", 66, `0 issue "ca.example.net; policy=x"`, `128 iodef "mailto:ops@example.org"`), set("9."+zone, "PTR", 67, "host.example.net."),
	}
}

func TestApplyEveryType(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		require.NoError(t, r.CreateZone(t.Context(), zone, apex(zone)))
		var changes, back []rrset.Change
		for _, s := range every() {
			require.Nil(t, dig(t, r.addr, s.Key), "asked before, so that caches know that it is not there")
			changes = append(changes, create(s))
			back = append(back, remove(s))
		}
		before := serial(t, r)
		require.NoError(t, r.Apply(t.Context(), zone, true, changes))
		requireContent(t, r, zone, append(apex(zone), every()...)...)
		after := serial(t, r)
		require.Greater(t, after, before)
		require.NoError(t, r.Apply(t.Context(), zone, true, changes), "pushed again after a lost answer")
		require.Equal(t, after, serial(t, r))
		require.NoError(t, r.Apply(t.Context(), zone, true, back))
		requireContent(t, r, zone, apex(zone)...)
	})
}

func serial(t *testing.T, d nameserver.Driver) uint32 {
	t.Helper()
	serial, found, err := d.Serial(t.Context(), zone)
	require.NoError(t, err)
	require.True(t, found)
	return serial
}

// TestApplyChanges makes changes one after the other; each leads to the next.
func TestApplyChanges(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		www := "www." + zone
		a := set(www, "A", 60, "192.0.2.1", "192.0.2.2")
		retimed := set(www, "A", 90, "192.0.2.1", "192.0.2.2")
		moved := set(www, "A", 90, "192.0.2.2", "192.0.2.3")
		alias := set(www, "CNAME", 90, "a.example.net.")
		other := set(www, "CNAME", 30, "b.example.net.")
		require.NoError(t, r.CreateZone(t.Context(), zone, apex(zone)))
		ns, servers := apex(zone)[1], set(zone, "NS", 600, "ns3.example.net.")
		soa, timed := apex(zone)[0], set(zone, "SOA", 400, "ns2."+zone+" admin."+zone+" 1 1800 300 43200 30")
		for name, c := range [][]rrset.Change{
			{create(a)},
			{replace(a, retimed)},
			{replace(retimed, moved)},
			{remove(moved), create(alias)},
			{replace(alias, other)},
			{remove(other), create(a), create(set(www, "TXT", 5, `"x"`))},
			{replace(ns, servers)},
			{replace(servers, ns)},
			{replace(soa, timed)},
		} {
			before := serial(t, r)
			require.NoError(t, r.Apply(t.Context(), zone, true, c), name)
			for _, change := range c {
				require.True(t, change.After.Equal(dig(t, r.addr, change.Key())), "%d: want %v, got %v", name, change.After, dig(t, r.addr, change.Key()))
			}
			require.Greater(t, serial(t, r), before, name)
			require.NoError(t, r.Apply(t.Context(), zone, true, c), name)
		}
		requireContent(t, r, zone, append(apex(zone)[1:], timed, a, set(www, "TXT", 5, `"x"`))...)
	})
}

func TestApplyFindsConflicts(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		require.NoError(t, r.CreateZone(t.Context(), zone, apex(zone)))
		www, mail := set("www."+zone, "A", 60, "192.0.2.1"), set("mail."+zone, "A", 60, "192.0.2.2")
		text, alias := set("text."+zone, "TXT", 60, `"x"`), set("alias."+zone, "CNAME", 60, "a.example.net.")
		require.NoError(t, r.Apply(t.Context(), zone, true, []rrset.Change{create(www), create(mail), create(text), create(alias)}))
		now := append(apex(zone), www, mail, text, alias)
		at := func(s rrset.Set, ttl uint32, values ...string) rrset.Set { return set(s.Name, s.Type, ttl, values...) }
		before := serial(t, r)
		for name, c := range map[string]struct {
			changes []rrset.Change
			key     rrset.Key
			found   *rrset.Set
		}{
			"created by somebody":     {[]rrset.Change{create(set("new."+zone, "A", 60, "192.0.2.9")), create(at(www, 60, "192.0.2.7"))}, www.Key, &www},
			"deleted by somebody":     {[]rrset.Change{replace(set("none."+zone, "A", 60, "192.0.2.9"), set("none."+zone, "A", 60, "192.0.2.8"))}, rrset.Key{Name: "none." + zone, Type: "A"}, nil},
			"deleted before deletion": {[]rrset.Change{remove(set("none."+zone, "A", 60, "192.0.2.9")), replace(www, at(www, 60, "192.0.2.9"))}, rrset.Key{Name: "none." + zone, Type: "A"}, nil},
			"another value":           {[]rrset.Change{remove(mail), replace(at(www, 60, "192.0.2.8"), at(www, 60, "192.0.2.9"))}, www.Key, &www},
			"another value added":     {[]rrset.Change{replace(at(www, 60, "192.0.2.1", "192.0.2.8"), at(www, 60, "192.0.2.9"))}, www.Key, &www},
			"another TTL":             {[]rrset.Change{replace(at(www, 61, "192.0.2.1"), at(www, 61, "192.0.2.9"))}, www.Key, &www},
			"another TTL, deletion":   {[]rrset.Change{remove(at(www, 61, "192.0.2.1")), remove(mail)}, www.Key, &www},
			"a CNAME beside others":   {[]rrset.Change{create(set("text."+zone, "CNAME", 60, "a.example.net."))}, text.Key, &text},
			"a type beside a CNAME":   {[]rrset.Change{create(set("alias."+zone, "A", 60, "192.0.2.9")), remove(mail)}, alias.Key, &alias},
			"half of it is made":      {[]rrset.Change{create(www), create(set("new."+zone, "A", 60, "192.0.2.9")), remove(at(text, 60, `"y"`))}, text.Key, &text},
			"the SOA":                 {[]rrset.Change{replace(set(zone, "SOA", 300, "ns9."+zone+" hostmaster."+zone+" 1 3600 600 86400 60"), set(zone, "SOA", 300, "ns8."+zone+" hostmaster."+zone+" 1 3600 600 86400 60"))}, rrset.Key{Name: zone, Type: "SOA"}, dig(t, r.addr, rrset.Key{Name: zone, Type: "SOA"})},
		} {
			err := r.Apply(t.Context(), zone, true, c.changes)
			var conflict *nameserver.Conflict
			require.ErrorAs(t, err, &conflict, name)
			require.Equal(t, c.key, conflict.Key, name)
			require.True(t, c.found.Equal(conflict.Found), "%s: %v", name, err)
			require.Contains(t, err.Error(), c.key.Name)
		}
		require.Equal(t, before, serial(t, r))
		requireContent(t, r, zone, now...)
	})
}

func TestSets(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		require.NoError(t, r.CreateZone(t.Context(), zone, append(apex(zone), every()...)))
		var keys []rrset.Key
		for _, s := range every() {
			keys = append(keys, s.Key)
		}
		keys = append(keys, rrset.Key{Name: "none." + zone, Type: "A"}, rrset.Key{Name: "alias." + zone, Type: "A"}, rrset.Key{Name: "x.wild." + zone, Type: "A"},
			rrset.Key{Name: "below.sub." + zone, Type: "A"}, rrset.Key{Name: "www." + zone, Type: "TXT"})
		sets, err := r.Sets(t.Context(), zone, keys)
		require.NoError(t, err)
		require.Len(t, sets, len(every()))
		for i, want := range every() {
			require.True(t, want.Equal(&sets[i]), "want %v, got %v", want, sets[i])
		}
	})
}

func TestDisabledRecords(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		require.NoError(t, r.CreateZone(t.Context(), zone, apex(zone)))
		both := set("www."+zone, "A", 60, "192.0.2.1", "192.0.2.2")
		one, none := set("www."+zone, "A", 60, "192.0.2.1", "192.0.2.2"), set("www."+zone, "A", 60, "192.0.2.1", "192.0.2.2")
		one.Records[1].Disabled = true
		none.Records[0].Disabled, none.Records[1].Disabled = true, true
		for _, step := range []rrset.Change{create(one), replace(one, both), replace(both, none), replace(none, one), remove(one), create(none), replace(none, both), replace(both, none), remove(none)} {
			require.NoError(t, r.Apply(t.Context(), zone, true, []rrset.Change{step}))
			require.NoError(t, r.Apply(t.Context(), zone, true, []rrset.Change{step}))
			require.True(t, step.After.Live().Equal(dig(t, r.addr, both.Key)))
			kept, want := content(t, r, zone)[both.Key], step.After
			if !r.KeepsDisabled() {
				want = want.Live()
			}
			if want == nil {
				require.Empty(t, kept.Records)
			} else {
				require.True(t, want.Equal(&kept), "want %v, got %v", want, kept)
			}
		}
	})
}

func TestMany(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		require.NoError(t, r.CreateZone(t.Context(), zone, apex(zone)))
		const n = 5000
		var changes, back []rrset.Change
		for i := range n {
			s := set(fmt.Sprintf("host-with-a-rather-long-name-%05d.%s", i, zone), "A", 60, fmt.Sprintf("10.0.%d.%d", i/256, i%256))
			changes = append(changes, create(s))
			back = append(back, remove(s))
		}
		require.NoError(t, r.Apply(t.Context(), zone, true, changes))
		require.Len(t, content(t, r, zone), n+len(apex(zone)))
		require.NoError(t, r.Apply(t.Context(), zone, true, changes))

		// A conflict in the last of many leaves the others alone.
		wrong := set(changes[n-1].After.Name, "A", 60, "192.0.2.99")
		var conflict *nameserver.Conflict
		require.ErrorAs(t, r.Apply(t.Context(), zone, true, append(back[:n-1:n-1], remove(wrong))), &conflict)
		require.Equal(t, wrong.Key, conflict.Key)
		require.Len(t, content(t, r, zone), n+len(apex(zone)))
		require.NoError(t, r.Apply(t.Context(), zone, true, back))
		requireContent(t, r, zone, apex(zone)...)
	})
}

func TestUnmanagedTypesAreReported(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		tlsa := set("_443._tcp."+zone, "TLSA", 60, "3 1 1 "+"aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899")
		require.NoError(t, r.CreateZone(t.Context(), zone, append(apex(zone), tlsa)))
		got, ok := content(t, r, zone)[tlsa.Key]
		require.True(t, ok)
		require.True(t, tlsa.Equal(&got))
		require.False(t, got.Managed())
	})
}

func TestNewNamesAreVisibleAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		key := rrset.Key{Name: "new." + zone, Type: "A"}
		ask := func() int {
			answer, err := exchange(t.Context(), r.addr, new(dns.Msg).SetQuestion(key.Name, dns.TypeA))
			require.NoError(t, err)
			return answer.Rcode
		}
		for range 2 { // the second answer comes from the cache where there is one
			require.Equal(t, dns.RcodeRefused, ask())
		}
		require.NoError(t, r.CreateZone(t.Context(), zone, apex(zone)))
		for range 2 {
			require.Equal(t, dns.RcodeNameError, ask())
		}
		s := set(key.Name, key.Type, 60, "192.0.2.1")
		require.NoError(t, r.Apply(t.Context(), zone, true, []rrset.Change{create(s)}))
		require.Equal(t, &s, dig(t, r.addr, key))
		require.NoError(t, r.Apply(t.Context(), zone, true, []rrset.Change{remove(s)}))
		require.Equal(t, dns.RcodeNameError, ask())
		require.NoError(t, r.DeleteZone(t.Context(), zone))
		require.Equal(t, dns.RcodeRefused, ask())
	})
}
