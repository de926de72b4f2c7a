package bind_test

import (
	"fmt"
	"os"
	"path/filepath"
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
