package bind_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/dns/dnstest"
	"github.com/opsdeck/opsdeck/services/dns/internal/bind"
	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rndc"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const zone = "example.org."

// rig is a server with an agent and what a driver needs to know of them.
type rig struct {
	*dnstest.Named
	bind.Config
}

func start(t *testing.T) rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "ops-") // t.TempDir is closed to the server's user
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	named, err := dnstest.StartNamed(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, named.Stop()) })
	agent, err := dnstest.StartAgent(t.Context(), named)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, agent.Stop()) })
	key, err := keyfile.Read(named.UpdateKeyFile())
	require.NoError(t, err)
	return rig{Named: named, Config: bind.Config{Endpoint: agent.URL(), Token: agent.Token(), Key: key}}
}

func driver(t *testing.T, cfg bind.Config) *bind.Driver {
	t.Helper()
	d, err := bind.New(cfg)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	r := start(t)
	unnamed, token, name, secret := r.Config, r.Config, r.Config, r.Config
	unnamed.Key.Name = ""
	require.NoError(t, driver(t, unnamed).Check(t.Context()), "the agent tells the key's name")
	token.Token, name.Key.Name, secret.Key.Secret = "wrong", "other.", []byte("not the secret of this server")
	for text, cfg := range map[string]bind.Config{"status 401": token, "(BADKEY)": name, "(BADSIG)": secret} {
		err := driver(t, cfg).Check(t.Context())
		var refused *nameserver.Refused
		require.ErrorAs(t, err, &refused)
		require.ErrorContains(t, err, text)
	}
}

func TestZonesThatAreNotOursToChange(t *testing.T) {
	t.Parallel()
	r := start(t)
	key, err := keyfile.Read(r.ControlKeyFile())
	require.NoError(t, err)
	content := "@ 60 SOA ns h 1 3600 600 86400 60\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
	require.NoError(t, os.WriteFile(filepath.Join(r.Zones(), "example.org.db"), []byte(content), 0o644))
	_, err = rndc.Client{Addr: r.ControlAddr(), Key: key}.Do(t.Context(), `addzone example.org { type primary; file "example.org.db"; allow-transfer { none; }; };`)
	require.NoError(t, err)
	d := driver(t, r.Config)
	a := rrset.Set{Key: rrset.Key{Name: "a." + zone, Type: "A"}, TTL: 60, Records: []rrset.Record{{Value: "192.0.2.1"}}}
	var refused *nameserver.Refused
	err = d.Apply(t.Context(), zone, true, []rrset.Change{{After: &a}})
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, `file "example.org.db"`, "the zone's configuration is shown")
	err = d.Transfer(t.Context(), zone, func(rrset.Set) error { return nil })
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "allow-transfer")
}

func TestSetsLargerThanAnUpdate(t *testing.T) {
	t.Parallel()
	r := start(t)
	d := driver(t, r.Config)
	require.NoError(t, d.CreateZone(t.Context(), zone, []rrset.Set{
		{Key: rrset.Key{Name: zone, Type: "SOA"}, TTL: 60, Records: []rrset.Record{{Value: "ns1.example.org. h.example.org. 1 3600 600 86400 60"}}},
		{Key: rrset.Key{Name: zone, Type: "NS"}, TTL: 60, Records: []rrset.Record{{Value: "ns1.example.net."}}},
	}))
	large := rrset.Set{Key: rrset.Key{Name: "large." + zone, Type: "TXT"}, TTL: 60}
	for i := range 100 {
		large.Records = append(large.Records, rrset.Record{Value: fmt.Sprintf("\"%0250d\" \"%0250d\" \"%0250d\"", i, i, i)})
	}
	err := d.Apply(t.Context(), zone, true, []rrset.Change{{After: &large}})
	var refused *nameserver.Refused
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "more than the")
	large.Records = large.Records[:80]
	require.NoError(t, d.Apply(t.Context(), zone, true, []rrset.Change{{After: &large}}))
}

// TestNamesThatAnswersHide reads and changes what questions do not show: beside a wildcard, and below a delegation.
func TestNamesThatAnswersHide(t *testing.T) {
	t.Parallel()
	r := start(t)
	d := driver(t, r.Config)
	set := func(name, typ, value string) rrset.Set {
		return rrset.Set{Key: rrset.Key{Name: name, Type: typ}, TTL: 60, Records: []rrset.Record{{Value: value}}}
	}
	glue, wild, servers := set("ns.sub."+zone, "A", "192.0.2.2"), set("*."+zone, "A", "192.0.2.3"), set("sub."+zone, "NS", "ns.sub."+zone)
	require.NoError(t, d.CreateZone(t.Context(), zone, []rrset.Set{
		set(zone, "SOA", "ns1.example.org. h.example.org. 1 3600 600 86400 60"), set(zone, "NS", "ns1.example.net."), glue, wild, servers,
	}))
	made := rrset.Key{Name: "made-up." + zone, Type: "A"}
	sets, err := d.Sets(t.Context(), zone, []rrset.Key{glue.Key, wild.Key, servers.Key, made})
	require.NoError(t, err)
	require.Equal(t, []rrset.Set{glue, wild, servers}, sets)
	sets, err = d.Sets(t.Context(), zone, []rrset.Key{servers.Key})
	require.NoError(t, err)
	require.Equal(t, []rrset.Set{servers}, sets)

	moved, delegated, own := set(glue.Name, "A", "192.0.2.4"), set(servers.Name, "NS", "ns.example.net."), set(made.Name, "A", "192.0.2.5")
	changes := []rrset.Change{{Before: &glue, After: &moved}, {Before: &servers, After: &delegated}, {After: &own}}
	require.NoError(t, d.Apply(t.Context(), zone, true, changes))
	require.NoError(t, d.Apply(t.Context(), zone, true, changes))
	sets, err = d.Sets(t.Context(), zone, []rrset.Key{glue.Key, wild.Key, servers.Key, made})
	require.NoError(t, err)
	require.Equal(t, []rrset.Set{moved, wild, delegated, own}, sets)
}

// TestFollow makes changes under the serial that the zone was left at, and under one that it has left behind.
func TestFollow(t *testing.T) {
	t.Parallel()
	r := start(t)
	d := driver(t, r.Config)
	set := func(name, value string, ttl uint32) *rrset.Set {
		return &rrset.Set{Key: rrset.Key{Name: name + "." + zone, Type: "A"}, TTL: ttl, Records: []rrset.Record{{Value: value}}}
	}
	serial := func() uint32 {
		serial, found, err := d.Serial(t.Context(), zone)
		require.NoError(t, err)
		require.True(t, found)
		return serial
	}
	require.NoError(t, d.CreateZone(t.Context(), zone, []rrset.Set{
		{Key: rrset.Key{Name: zone, Type: "SOA"}, TTL: 60, Records: []rrset.Record{{Value: "ns1.example.org. h.example.org. 7 3600 600 86400 60"}}},
		{Key: rrset.Key{Name: zone, Type: "NS"}, TTL: 60, Records: []rrset.Record{{Value: "ns1.example.net."}}},
	}))
	many := make([]rrset.Change, 5000)
	for i := range many {
		many[i].After = set(fmt.Sprintf("h%d", i), fmt.Sprintf("10.0.%d.%d", i/256, i%256), 60)
	}
	at, err := d.Follow(t.Context(), zone, 7, many)
	require.NoError(t, err)
	require.Greater(t, at, uint32(8), "several updates")
	require.Equal(t, serial(), at)
	again, err := d.Follow(t.Context(), zone, 7, many)
	require.NoError(t, err, "its answer was lost")
	require.Zero(t, again)
	require.Equal(t, at, serial(), "made once")

	next, err := d.Follow(t.Context(), zone, at, []rrset.Change{{Before: many[0].After, After: set("h0", "10.0.0.0", 90)}, {Before: many[1].After}})
	require.NoError(t, err)
	require.Equal(t, at+1, next)
	require.Equal(t, next, serial())

	byHand := set("h2", "192.0.2.99", 60)
	require.NoError(t, d.Apply(t.Context(), zone, true, []rrset.Change{{Before: many[2].After, After: byHand}}))
	back := make([]rrset.Change, 0, len(many))
	for _, c := range many[2:] {
		back = append(back, c.Inverse())
	}
	moved := serial()
	_, err = d.Follow(t.Context(), zone, next, back)
	var conflict *nameserver.Conflict
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, byHand.Key, conflict.Key)
	require.True(t, byHand.Equal(conflict.Found))
	require.Equal(t, moved, serial(), "nothing was made before it was found")
	unknown, err := d.Follow(t.Context(), zone, next, back[1:])
	require.NoError(t, err, "the other sets are what they are made from")
	require.Zero(t, unknown)
}

// TestFollowWhileOthersChangeTheZone makes several updates under the serial between which somebody else makes his.
func TestFollowWhileOthersChangeTheZone(t *testing.T) {
	t.Parallel()
	r := start(t)
	d := driver(t, r.Config)
	require.NoError(t, d.CreateZone(t.Context(), zone, []rrset.Set{
		{Key: rrset.Key{Name: zone, Type: "SOA"}, TTL: 60, Records: []rrset.Record{{Value: "ns1.example.org. h.example.org. 1 3600 600 86400 60"}}},
		{Key: rrset.Key{Name: zone, Type: "NS"}, TTL: 60, Records: []rrset.Record{{Value: "ns1.example.net."}}},
	}))
	ctx, cancel := context.WithCancel(t.Context())
	busy := rrset.Change{After: &rrset.Set{Key: rrset.Key{Name: "busy." + zone, Type: "A"}, TTL: 60, Records: []rrset.Record{{Value: "192.0.2.1"}}}}
	var other sync.WaitGroup
	other.Go(func() {
		for ctx.Err() == nil {
			_ = d.Apply(ctx, zone, true, []rrset.Change{busy}) // whether it goes through is not what this is about
			_ = d.Apply(ctx, zone, true, []rrset.Change{busy.Inverse()})
		}
	})
	var changes []rrset.Change
	for i := range 5000 {
		s := rrset.Set{Key: rrset.Key{Name: fmt.Sprintf("h%d.%s", i, zone), Type: "A"}, TTL: 60, Records: []rrset.Record{{Value: "192.0.2.1"}}}
		changes = append(changes, rrset.Change{After: &s})
	}
	var unreachable *nameserver.Unreachable
	_, err := d.Follow(t.Context(), zone, 1, changes)
	for errors.As(err, &unreachable) { // others change the zone all the time
		_, err = d.Follow(t.Context(), zone, 1, changes)
	}
	require.NoError(t, err)
	cancel()
	other.Wait()
	found := 0
	require.NoError(t, d.Transfer(t.Context(), zone, func(s rrset.Set) error {
		if s.Name[0] == 'h' {
			found++
		}
		return nil
	}))
	require.Len(t, changes, found)
}

// TestConnectionsThatNamedHasClosed asks again after named was started anew.
func TestConnectionsThatNamedHasClosed(t *testing.T) {
	t.Parallel()
	r := start(t)
	d := driver(t, r.Config)
	require.NoError(t, d.Check(t.Context()))
	require.NoError(t, r.Stop())
	require.NoError(t, r.Restart(t.Context()))
	_, found, err := d.Serial(t.Context(), zone)
	require.NoError(t, err)
	require.False(t, found)
}

func TestAZoneConfirmsManySetsAtOnce(t *testing.T) {
	t.Parallel()
	d := driver(t, start(t).Config)
	served := func(name, typ string, values ...string) *rrset.Set {
		s := &rrset.Set{Key: rrset.Key{Name: name, Type: typ}, TTL: 60}
		for _, v := range values {
			s.Records = append(s.Records, rrset.Record{Value: v})
		}
		return s
	}
	two := served("two.example.org.", "A", "192.0.2.1", "192.0.2.2")
	require.NoError(t, d.CreateZone(t.Context(), zone, []rrset.Set{
		*served(zone, "SOA", "ns.example.net. h.example.net. 1 3600 600 86400 60"), *served(zone, "NS", "ns.example.net."), *two,
		*served("text.example.org.", "TXT", `"a"`),
	}))
	gone := rrset.Change{Before: served("gone.example.org.", "A", "192.0.2.9")}
	for name, test := range map[string]struct {
		changes []rrset.Change
		want    bool
	}{
		"all as it is":     {[]rrset.Change{{After: two}, gone, {After: served("text.example.org.", "TXT", `"a"`)}}, true},
		"another TTL":      {[]rrset.Change{{After: &rrset.Set{Key: two.Key, TTL: 9, Records: two.Records}}}, true},
		"one record less":  {[]rrset.Change{{After: served("two.example.org.", "A", "192.0.2.1")}}, false},
		"one record more":  {[]rrset.Change{{After: served("two.example.org.", "A", "192.0.2.1", "192.0.2.2", "192.0.2.3")}}, false},
		"another value":    {[]rrset.Change{{After: two}, {After: served("text.example.org.", "TXT", `"b"`)}}, false},
		"a set is missing": {[]rrset.Change{{After: served("gone.example.org.", "A", "192.0.2.9")}}, false},
		"still there":      {[]rrset.Change{gone, {Before: two}}, false},
		"only disabled":    {[]rrset.Change{{After: &rrset.Set{Key: two.Key, TTL: 60, Records: []rrset.Record{{Value: "192.0.2.1", Disabled: true}}}}}, false},
	} {
		holds, err := d.Holds(t.Context(), zone, test.changes)
		require.NoError(t, err, name)
		require.Equal(t, test.want, holds, name)
	}
	many := make([]rrset.Change, 0, 3000)
	for i := range cap(many) {
		many = append(many, rrset.Change{Before: served(fmt.Sprintf("n%d.example.org.", i), "TXT", `"some text"`)})
	}
	holds, err := d.Holds(t.Context(), zone, many)
	require.NoError(t, err, "those that fit are asked about")
	require.True(t, holds)
	_, err = d.Holds(t.Context(), "other.example.", many[:1])
	require.ErrorIs(t, err, nameserver.ErrZoneUnknown)
}
