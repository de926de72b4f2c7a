package dnstest_test

import (
	"os"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/dns/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type server interface {
	Addr() string
	Stop() error
	Kill() error
}

func TestServersStartAgainOnTheSamePort(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(dir string) (server, func() error, error){
		"named": func(dir string) (server, func() error, error) {
			n, err := dnstest.StartNamed(t.Context(), dir)
			return n, func() error { return n.Restart(t.Context()) }, err
		},
		"powerdns": func(dir string) (server, func() error, error) {
			p, err := dnstest.StartPowerDNS(t.Context(), dir)
			return p, func() error { return p.Restart(t.Context()) }, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "ops-") // t.TempDir is closed to the server's user
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
			require.NoError(t, os.Chmod(dir, 0o755))
			s, restart, err := start(dir)
			require.NoError(t, err)
			requireAnswer(t, s.Addr())
			require.NoError(t, s.Kill())
			_, err = dns.Exchange(new(dns.Msg).SetQuestion("example.org.", dns.TypeSOA), s.Addr())
			require.Error(t, err)
			require.NoError(t, restart())
			requireAnswer(t, s.Addr())
			require.NoError(t, s.Stop())
		})
	}
}

func requireAnswer(t *testing.T, addr string) {
	t.Helper()
	answer, err := dns.Exchange(new(dns.Msg).SetQuestion("example.org.", dns.TypeSOA), addr)
	require.NoError(t, err)
	require.Equal(t, dns.RcodeRefused, answer.Rcode)
}
