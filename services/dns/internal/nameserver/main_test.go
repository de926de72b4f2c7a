package nameserver_test

import (
	"context"
	"os"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/dns/dnstest"
	"github.com/opsdeck/opsdeck/services/dns/internal/bind"
	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/powerdns"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a real server with a driver that may use it.
type rig struct {
	nameserver.Driver
	addr     string            // of DNS
	stranger nameserver.Driver // has the wrong credentials
	lost     nameserver.Driver // asks where nobody answers
	server   interface {
		Kill() error
		Restart(ctx context.Context) error
	}
}

// rigs starts one server of each make.
var rigs = map[string]func(t *testing.T) rig{
	"bind": func(t *testing.T) rig {
		s, err := dnstest.StartNamed(t.Context(), directory(t))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Stop()) })
		agent, err := dnstest.StartAgent(t.Context(), s)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, agent.Stop()) })
		key, err := keyfile.Read(s.UpdateKeyFile())
		require.NoError(t, err)
		cfg := bind.Config{Endpoint: agent.URL(), Token: agent.Token(), Key: key}
		stranger, lost := cfg, cfg
		stranger.Key.Secret, lost.Endpoint = []byte("not the secret of this server"), "http://127.0.0.1:1/"
		return rig{Driver: bindDriver(t, cfg), server: s, addr: s.Addr(), stranger: bindDriver(t, stranger), lost: bindDriver(t, lost)}
	},
	"powerdns": func(t *testing.T) rig {
		s, err := dnstest.StartPowerDNS(t.Context(), directory(t))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Stop()) })
		cfg := powerdns.Config{Endpoint: s.URL(), APIKey: s.APIKey(), Native: true}
		stranger, lost := cfg, cfg
		stranger.APIKey, lost.Endpoint = "wrong", "http://127.0.0.1:1/"
		return rig{Driver: powerDNS(t, cfg), server: s, addr: s.Addr(), stranger: powerDNS(t, stranger), lost: powerDNS(t, lost)}
	},
}

func powerDNS(t *testing.T, cfg powerdns.Config) *powerdns.Driver {
	t.Helper()
	d, err := powerdns.New(cfg)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

func bindDriver(t *testing.T, cfg bind.Config) *bind.Driver {
	t.Helper()
	d, err := bind.New(cfg)
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return d
}

// directory is one that the server's user can reach, which t.TempDir is not.
func directory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ops-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// everywhere runs a test against every make of server, each with one server for the whole test.
func everywhere(t *testing.T, test func(t *testing.T, r rig)) {
	t.Parallel()
	for name, start := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

func set(name, typ string, ttl uint32, values ...string) rrset.Set {
	s := rrset.Set{Key: rrset.Key{Name: name, Type: typ}, TTL: ttl}
	for _, v := range values {
		s.Records = append(s.Records, rrset.Record{Value: v})
	}
	s.Sort()
	return s
}

// apex returns what every zone starts with.
func apex(zone string) []rrset.Set {
	return []rrset.Set{
		set(zone, "SOA", 300, "ns1."+zone+" hostmaster."+zone+" 1 3600 600 86400 60"),
		set(zone, "NS", 300, "ns1."+zone, "ns2."+zone),
		set("ns1."+zone, "A", 300, "192.0.2.53"), set("ns2."+zone, "A", 300, "192.0.2.54"),
	}
}

func create(s rrset.Set) rrset.Change { return rrset.Change{After: &s} }

func remove(s rrset.Set) rrset.Change { return rrset.Change{Before: &s} }

func replace(before, after rrset.Set) rrset.Change {
	return rrset.Change{Before: &before, After: &after}
}

// dig asks the server by DNS and returns the set of the answer, nil when there is none.
func dig(t *testing.T, addr string, key rrset.Key) *rrset.Set {
	t.Helper()
	question := new(dns.Msg).SetQuestion(key.Name, dns.StringToType[key.Type])
	question.RecursionDesired = false
	answer, err := exchange(t.Context(), addr, question)
	require.NoError(t, err)
	found := rrset.Set{Key: key}
	for _, rr := range append(answer.Answer, answer.Ns...) { // a delegation is told in the authority section
		if e := rrset.FromRR(rr); e.Key == key {
			found.TTL = e.TTL
			found.Records = append(found.Records, e.Record)
		}
	}
	return found.Live()
}

func exchange(ctx context.Context, addr string, question *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: "tcp"}
	answer, _, err := client.ExchangeContext(ctx, question, addr)
	return answer, err
}

// content transfers a zone into a map.
func content(t *testing.T, d nameserver.Driver, zone string) map[rrset.Key]rrset.Set {
	t.Helper()
	all := map[rrset.Key]rrset.Set{}
	require.NoError(t, d.Transfer(t.Context(), zone, func(s rrset.Set) error {
		_, twice := all[s.Key]
		require.False(t, twice, s.Key)
		s.Sort()
		all[s.Key] = s
		return nil
	}))
	return all
}

// requireContent checks the whole zone, by the driver and by DNS.
func requireContent(t *testing.T, r rig, zone string, want ...rrset.Set) {
	t.Helper()
	found := content(t, r, zone)
	for i := range want {
		got, ok := found[want[i].Key]
		require.True(t, ok, want[i].Key)
		require.True(t, want[i].Equal(&got), "want %v, got %v", want[i], got)
		require.True(t, want[i].Live().Equal(dig(t, r.addr, want[i].Key)), "want %v, got %v", want[i], dig(t, r.addr, want[i].Key))
	}
	require.Len(t, found, len(want))
}
