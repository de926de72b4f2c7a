package dnstest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/dnstest"
)

// TestDocumentedConfiguration holds docs/dns.md to the configuration that all tests use.
func TestDocumentedConfiguration(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/dns.md")
	require.NoError(t, err)
	named := dnstest.NamedConfig{
		ControlKey: "/etc/bind/rndc.key", UpdateKey: "/etc/bind/opsdeck.key", Directory: "/var/cache/bind", Listen: "127.0.0.1; 192.0.2.53",
		Port: 53, ControlPort: 953, StatisticsPort: 8054,
	}
	powerDNS := dnstest.PowerDNSConfig{Database: "/var/lib/powerdns/pdns.sqlite3", Listen: "127.0.0.1, 192.0.2.53", Port: 53, APIPort: 8081, APIKey: "REPLACE"}
	require.Contains(t, string(page), "\n```\n"+named.Text()+"```\n")
	require.Contains(t, string(page), "\n```\n"+powerDNS.Text()+"```\n")
}
