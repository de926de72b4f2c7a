package powerdns_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/dns/dnstest"
	"github.com/opsdeck/opsdeck/services/dns/internal/endpoint"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/powerdns"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const zone = "example.org."

func set(name, typ, value string) rrset.Set {
	return rrset.Set{Key: rrset.Key{Name: name, Type: typ}, TTL: 60, Records: []rrset.Record{{Value: value}}}
}

// start runs a server and returns it with a driver that makes primary zones, of which one is there, and the bare API.
func start(t *testing.T) (*powerdns.Driver, *endpoint.Client) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ops-") // t.TempDir is closed to the server's user
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	server, err := dnstest.StartPowerDNS(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	d, err := powerdns.New(powerdns.Config{Endpoint: server.URL(), APIKey: server.APIKey()})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	api, err := endpoint.New(server.URL(), "X-API-Key", server.APIKey(), nil)
	require.NoError(t, err)
	t.Cleanup(api.Close)
	require.NoError(t, d.CreateZone(t.Context(), zone, []rrset.Set{
		set(zone, "SOA", "ns1.example.org. h.example.org. 1 3600 600 86400 60"), set(zone, "NS", "ns1.example.org."), set("ns1."+zone, "A", "192.0.2.53"),
	}))
	return d, api
}

func put(t *testing.T, api *endpoint.Client, path string, body any) {
	t.Helper()
	require.NoError(t, api.Fetch(t.Context(), endpoint.Request{Method: "PUT", Path: "api/v1/servers/localhost/zones/" + zone + path, Body: body, Doing: "test"}, 1<<20, nil))
}

func TestSecondariesAreNotifiedAtOnce(t *testing.T) {
	t.Parallel()
	d, api := start(t)
	secondary, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	heard := make(chan string, 10)
	server := &dns.Server{PacketConn: secondary, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		if m.Opcode == dns.OpcodeNotify {
			heard <- m.Question[0].Name
		}
		_ = w.WriteMsg(new(dns.Msg).SetReply(m))
	}), MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	ended := make(chan error)
	go func() { ended <- server.ActivateAndServe() }()
	put(t, api, "/metadata/ALSO-NOTIFY", map[string]any{"metadata": []string{secondary.LocalAddr().String()}})
	a := set("a."+zone, "A", "192.0.2.1")
	require.NoError(t, d.Apply(t.Context(), zone, true, []rrset.Change{{After: &a}}))
	require.Equal(t, zone, <-heard)
	require.NoError(t, server.Shutdown())
	require.NoError(t, <-ended)
}

func TestZonesThatAreNotOursToChange(t *testing.T) {
	t.Parallel()
	d, api := start(t)
	a := set("a."+zone, "A", "192.0.2.1")
	put(t, api, "", map[string]any{"soa_edit_api": ""})
	err := d.Apply(t.Context(), zone, true, []rrset.Change{{After: &a}})
	var refused *nameserver.Refused
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "pdnsutil set-meta example.org SOA-EDIT-API INCREASE")

	put(t, api, "", map[string]any{"kind": "Slave", "masters": []string{"127.0.0.9"}})
	require.ErrorIs(t, d.Apply(t.Context(), zone, true, []rrset.Change{{After: &a}}), nameserver.ErrZoneUnknown)
	require.ErrorIs(t, d.Transfer(t.Context(), zone, func(rrset.Set) error { return nil }), nameserver.ErrZoneUnknown)
	require.NoError(t, d.Zones(t.Context(), func(string) error { return fmt.Errorf("a secondary zone is listed") }))
}

// TestMoreThanOneRequest makes more changes than the server takes in one request of its default size.
func TestMoreThanOneRequest(t *testing.T) {
	t.Parallel()
	d, _ := start(t)
	text := `"` + strings.TrimSuffix(strings.Repeat(strings.Repeat("x", 250)+`" "`, 30), ` "`)
	var changes, back []rrset.Change
	for i := range 300 {
		s := set(fmt.Sprintf("t%03d.%s", i, zone), "TXT", text)
		changes = append(changes, rrset.Change{After: &s})
		back = append(back, rrset.Change{Before: &s})
	}
	require.NoError(t, d.Apply(t.Context(), zone, true, changes[:100]))
	var conflict *nameserver.Conflict
	require.ErrorAs(t, d.Apply(t.Context(), zone, true, append(back[:299:299], changes[299].Inverse())), &conflict)
	require.NoError(t, d.Apply(t.Context(), zone, true, back[:100]))
	require.NoError(t, d.Apply(t.Context(), zone, true, changes))
	n := 0
	require.NoError(t, d.Transfer(t.Context(), zone, func(rrset.Set) error { n++; return nil }))
	require.Equal(t, 303, n)
}

func TestContentThatTheServerRejects(t *testing.T) {
	t.Parallel()
	d, _ := start(t)
	bad := set("a."+zone, "A", "not-an-address")
	err := d.Apply(t.Context(), zone, true, []rrset.Change{{After: &bad}})
	var refused *nameserver.Refused
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "not-an-address")
}
