package dns_test

import (
	"context"
	"fmt"
	"testing"

	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/secret"

	dns "github.com/opsdeck/opsdeck/services/dns"
	"github.com/opsdeck/opsdeck/services/dns/dnstest"
	"github.com/opsdeck/opsdeck/services/dns/internal/bind"
	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/powerdns"
)

// nameServer is a real server that a test drives.
type nameServer interface {
	Addr() string
	Stop() error
	Restart(ctx context.Context) error
}

// backend is a make of servers: how one is started, and how it is added.
type backend struct {
	name  string
	start func(t testing.TB) (nameServer, *dnsv1.CreateServerRequest, nameserver.Driver)
}

var backends = []backend{
	{"powerdns", func(t testing.TB) (nameServer, *dnsv1.CreateServerRequest, nameserver.Driver) {
		p, err := dnstest.StartPowerDNS(t.Context(), shortDir(t))
		require.NoError(t, err)
		t.Cleanup(func() { _ = p.Kill() }) // stopped already in some tests
		driver, err := powerdns.New(powerdns.Config{Endpoint: p.URL(), APIKey: p.APIKey()})
		require.NoError(t, err)
		t.Cleanup(driver.Close)
		return p, &dnsv1.CreateServerRequest{Type: "powerdns", ApiEndpoint: p.URL(), ApiKey: p.APIKey().Reveal()}, driver
	}},
	{"bind", func(t testing.TB) (nameServer, *dnsv1.CreateServerRequest, nameserver.Driver) {
		n, err := dnstest.StartNamed(t.Context(), shortDir(t))
		require.NoError(t, err)
		t.Cleanup(func() { _ = n.Kill() }) // stopped already in some tests
		agent, err := dnstest.StartAgent(t.Context(), n)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, agent.Stop()) })
		key, err := keyfile.FromSecret(n.KeyName(), secret.Text(n.KeySecret()))
		require.NoError(t, err)
		driver, err := bind.New(bind.Config{Endpoint: agent.URL(), Token: agent.Token(), Key: key})
		require.NoError(t, err)
		t.Cleanup(driver.Close)
		return n, &dnsv1.CreateServerRequest{
			Type: "bind", ApiEndpoint: agent.URL(), AgentToken: agent.Token().Reveal(), TsigSecret: n.KeySecret(),
		}, driver
	}},
}

// each runs a test against every make of server.
func each(t *testing.T, do func(t *testing.T, b backend)) {
	t.Helper()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			do(t, b)
		})
	}
}

// stage is a running service with a server and a domain on it.
type stage struct {
	*service

	client
	server nameServer
	driver nameserver.Driver // to change the server by hand
	id     int64             // of the server
	domain int64
	zone   string // with final dot
}

func newStage(t testing.TB, b backend, zone string, options ...func(*dns.Config)) *stage {
	t.Helper()
	g := &stage{service: start(t, options...), zone: zone + "."}
	g.client = g.as(alice)
	var request *dnsv1.CreateServerRequest
	g.server, request, g.driver = b.start(t)
	request.Name, request.Description = "server A", new(string)
	added, err := g.CreateServer(t.Context(), request)
	require.NoError(t, err)
	g.id = added.GetServer().GetId()
	g.domain = g.add(t, zone)
	return g
}

// add makes a domain.
func (g *stage) add(t testing.TB, zone string) int64 {
	t.Helper()
	answer, err := g.CreateDomain(t.Context(), &dnsv1.CreateDomainRequest{Id: g.id, Name: zone})
	require.NoError(t, err)
	require.False(t, answer.GetDomain().GetPending())
	return answer.GetDomain().GetId()
}

func (g *stage) create(t testing.TB, name, typ, value string) *dnsv1.Record {
	t.Helper()
	answer, err := g.CreateRecord(t.Context(), &dnsv1.CreateRecordRequest{Id: g.id, DomainId: g.domain, Name: name, Type: typ, Value: value})
	require.NoError(t, err)
	return answer.GetRecord()
}

// dig asks a server and returns the answers as "TTL TYPE VALUE", or the code when there are none.
func dig(t testing.TB, addr, name string, typ uint16) []string {
	t.Helper()
	client := mdns.Client{Net: "tcp"}
	answer, _, err := client.ExchangeContext(t.Context(), new(mdns.Msg).SetQuestion(mdns.Fqdn(name), typ), addr)
	require.NoError(t, err)
	if len(answer.Answer) == 0 {
		return []string{mdns.RcodeToString[answer.Rcode]}
	}
	var all []string
	for _, rr := range answer.Answer {
		h := rr.Header()
		all = append(all, fmt.Sprintf("%d %s %s", h.Ttl, mdns.TypeToString[h.Rrtype], rr.String()[len(h.String()):]))
	}
	return all
}
