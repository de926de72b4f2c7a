package e2e

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// The documented examples and errors of the dns groups, in order, against both makes of name servers.
func TestDNSContract(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	r := apitest.Runner{BaseURL: "http://" + o.address, Client: httpClient, Check: o.checkAnswer, Tokens: o.callers(t)}
	story := apitest.LoadStory(t, os.DirFS("."), "testdata/dns/contract.yaml")
	onEach(t, func(t *testing.T, start func(t testing.TB) *nameServer) {
		server := start(t)
		values := map[string]string{
			"run": strings.ToLower(rand.Text()[:8]), "type": server.kind, "endpoint": server.endpoint, "api_key": "", "agent_token": "", "tsig_secret": "",
		}
		for name, value := range server.credentials {
			values[name] = value.(string)
		}
		played := r.Play(t, story, values)
		for _, id := range []string{
			"dns.servers.list", "dns.servers.create", "dns.domains.list", "dns.domains.create", "dns.domains.update", "dns.domains.delete",
			"dns.records.list", "dns.records.create", "dns.records.update", "dns.records.delete", "dns.records.disable", "dns.audit.dns_operations",
		} {
			require.Contains(t, played, id)
		}
	})
}
