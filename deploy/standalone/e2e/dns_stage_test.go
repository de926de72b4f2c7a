package e2e

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
	"github.com/opsdeck/opsdeck/services/dns/dnstest"
)

// nameServer is a real name server, what its registration needs besides the documented fields, and who may transfer its zones.
type nameServer struct {
	kind, endpoint, addr string
	credentials          object
	key                  string // TSIG name; "" where none is needed
	secret               string
	stop, kill           func() error
	restart              func(t testing.TB)
}

// nameServers are the makes that every test is about.
var nameServers = map[string]func(t testing.TB) *nameServer{"powerdns": startPowerDNS, "bind": startBIND}

func startPowerDNS(t testing.TB) *nameServer {
	t.Helper()
	p, err := dnstest.StartPowerDNS(t.Context(), scratch(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Kill() }) // some tests stop it
	return &nameServer{
		kind: "powerdns", endpoint: p.URL(), addr: p.Addr(), credentials: object{"api_key": p.APIKey().Reveal()},
		stop: p.Stop, kill: p.Kill, restart: func(t testing.TB) { require.NoError(t, p.Restart(t.Context())) },
	}
}

func startBIND(t testing.TB) *nameServer {
	t.Helper()
	n, err := dnstest.StartNamed(t.Context(), scratch(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Kill() }) // some tests stop it
	agent, err := dnstest.StartAgent(t.Context(), n)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, agent.Stop()) })
	return &nameServer{
		kind: "bind", endpoint: agent.URL(), addr: n.Addr(),
		credentials: object{"agent_token": agent.Token().Reveal(), "tsig_secret": n.KeySecret()},
		key:         n.KeyName(), secret: n.KeySecret(),
		stop: n.Stop, kill: n.Kill, restart: func(t testing.TB) { require.NoError(t, n.Restart(t.Context())) },
	}
}

// dnsStage is a domain on a name server that opsdeck drives.
type dnsStage struct {
	*opsdeck

	server *nameServer
	id     int64
	domain int64
	zone   string
}

// newDNSStage adds a name server and a domain to an opsdeck.
func newDNSStage(t testing.TB, o *opsdeck, server *nameServer) *dnsStage {
	t.Helper()
	s := &dnsStage{opsdeck: o, server: server, zone: strings.ToLower(rand.Text()[:10]) + ".example"}
	request := object{"name": "server " + s.zone, "type": server.kind, "api_endpoint": server.endpoint, "description": "of a test"}
	for name, value := range server.credentials {
		request[name] = value
	}
	var made struct {
		ID int64 `json:"id"`
	}
	s.ok(t, apitest.HTTP{Method: "POST", Path: "/dns-services/", JSON: request}, &made)
	s.id = made.ID
	s.ok(t, apitest.HTTP{Method: "POST", Path: s.path("domains/"), JSON: object{"name": s.zone}}, &made)
	s.domain = made.ID
	return s
}

// path returns a path below the server.
func (s *dnsStage) path(rest string) string { return fmt.Sprintf("/dns-services/%d/%s", s.id, rest) }

// records returns a path below the records of the domain.
func (s *dnsStage) records(rest string) string {
	return s.path(fmt.Sprintf("domains/%d/records/%s", s.domain, rest))
}

// record is a record as the API shows it.
type record struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Value   string `json:"value"`
	TTL     int64  `json:"ttl"`
	Enabled bool   `json:"enabled"`
	Pending bool   `json:"pending"`
}

// line is a record as a transfer prints it.
func (r record) line() string {
	return r.Name + ". " + strconv.FormatInt(r.TTL, 10) + " " + r.Type + " " + r.Value
}

// add makes a record; more are further fields of the request.
func (s *dnsStage) add(t testing.TB, name, typ, value string, more object) record {
	t.Helper()
	request := object{"name": name, "type": typ, "value": value}
	for field, v := range more {
		request[field] = v
	}
	var made record
	s.ok(t, apitest.HTTP{Method: "POST", Path: s.records(""), JSON: request}, &made)
	return made
}

// list returns all records of the domain.
func (s *dnsStage) list(t testing.TB) []record {
	t.Helper()
	var all []record
	for page := 1; ; page++ {
		var got struct {
			Results []record `json:"results"`
			Next    *string  `json:"next"`
		}
		s.ok(t, apitest.HTTP{Method: "GET", Path: s.records(fmt.Sprintf("?page=%d&page_size=100", page))}, &got)
		all = append(all, got.Results...)
		if got.Next == nil {
			return all
		}
	}
}

// dig asks the server and returns the answers as "TTL TYPE VALUE", sorted; none for a name or type that it does not have.
func (s *dnsStage) dig(t testing.TB, name, typ string) []string {
	t.Helper()
	client := dns.Client{Net: "tcp"}
	answer, _, err := client.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.StringToType[typ]), s.server.addr)
	require.NoError(t, err)
	lines := []string{}
	for _, rr := range answer.Answer {
		h := rr.Header()
		if h.Rrtype == dns.StringToType[typ] && strings.EqualFold(h.Name, dns.Fqdn(name)) {
			lines = append(lines, fmt.Sprintf("%d %s %s", h.Ttl, typ, rr.String()[len(h.String()):]))
		}
	}
	if h := answer.Ns; len(lines) == 0 && typ == "NS" { // a delegation is a referral
		for _, rr := range h {
			if rr.Header().Rrtype == dns.TypeNS && strings.EqualFold(rr.Header().Name, dns.Fqdn(name)) {
				lines = append(lines, fmt.Sprintf("%d NS %s", rr.Header().Ttl, rr.String()[len(rr.Header().String()):]))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// transfer returns the whole zone but its SOA, as sorted lines.
func (s *dnsStage) transfer(t testing.TB) []string {
	t.Helper()
	transfer := &dns.Transfer{}
	question := new(dns.Msg).SetAxfr(dns.Fqdn(s.zone))
	if s.server.key != "" {
		transfer.TsigSecret = map[string]string{dns.Fqdn(s.server.key): s.server.secret}
		question.SetTsig(dns.Fqdn(s.server.key), dns.HmacSHA256, 300, time.Now().Unix())
	}
	envelopes, err := transfer.In(question, s.server.addr)
	require.NoError(t, err)
	lines := []string{}
	for envelope := range envelopes {
		require.NoError(t, envelope.Error)
		for _, rr := range envelope.RR {
			h := rr.Header()
			if h.Rrtype != dns.TypeSOA {
				lines = append(lines, fmt.Sprintf("%s %d %s %s", strings.ToLower(h.Name), h.Ttl, dns.TypeToString[h.Rrtype], rr.String()[len(h.String()):]))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// onEach runs a test against every make of name server.
func onEach(t *testing.T, do func(t *testing.T, start func(t testing.TB) *nameServer)) {
	t.Helper()
	for name, start := range nameServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			do(t, start)
		})
	}
}
