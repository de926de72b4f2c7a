package bindagent_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/services/dns/bindagent"
	"github.com/opsdeck/opsdeck/services/dns/dnstest"
	"github.com/opsdeck/opsdeck/services/dns/internal/agentapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const content = `example.org. 60 IN SOA ns.example.org. h.example.org. 1 3600 600 86400 60
example.org. 60 IN NS ns.example.org.
ns.example.org. 60 IN A 192.0.2.1
`

func startNamed(t *testing.T) *dnstest.Named {
	t.Helper()
	dir, err := os.MkdirTemp("", "ops-") // t.TempDir is closed to the server's user
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	named, err := dnstest.StartNamed(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, named.Stop()) })
	return named
}

// caller sends requests to an agent.
type caller struct {
	url, token string
	client     *http.Client
}

func (c caller) do(t *testing.T, method, path string, body any) (int, string) {
	t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		text, err = json.Marshal(b)
		require.NoError(t, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, c.url+path, bytes.NewReader(text))
	require.NoError(t, err)
	request.Header.Set("Authorization", c.token)
	request.Close = true
	response, err := c.client.Do(request)
	require.NoError(t, err)
	got, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, string(got)
}

func TestAgent(t *testing.T) {
	t.Parallel()
	named := startNamed(t)
	agent, err := dnstest.StartAgent(t.Context(), named)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, agent.Stop()) })
	c := caller{url: agent.URL(), token: "Bearer " + agent.Token().Reveal(), client: http.DefaultClient}

	status, body := c.do(t, http.MethodGet, "v1/server", nil)
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"tsig_key":"opsdeck."`)
	require.Contains(t, body, `"version":"9.`)
	status, body = c.do(t, http.MethodGet, "v1/zones", nil)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"zones": []}`, body)

	zone := agentapi.NewZone{Name: "example.org.", Content: content}
	status, body = c.do(t, http.MethodPost, "v1/zones", zone)
	require.Equal(t, http.StatusCreated, status, body)
	status, _ = c.do(t, http.MethodPost, "v1/zones", zone)
	require.Equal(t, http.StatusConflict, status)
	status, body = c.do(t, http.MethodGet, "v1/zones", nil)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"zones": ["example.org."]}`, body)
	status, body = c.do(t, http.MethodGet, "v1/zones/example.org.", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "allow-update")
	require.Equal(t, dns.RcodeSuccess, ask(t, named, "ns.example.org."))

	status, _ = c.do(t, http.MethodDelete, "v1/zones/example.org.", nil)
	require.Equal(t, http.StatusNoContent, status)
	require.Equal(t, dns.RcodeRefused, ask(t, named, "ns.example.org."))
	status, _ = c.do(t, http.MethodDelete, "v1/zones/example.org.", nil)
	require.Equal(t, http.StatusNoContent, status)
	status, _ = c.do(t, http.MethodGet, "v1/zones/example.org.", nil)
	require.Equal(t, http.StatusNotFound, status)
}

func ask(t *testing.T, named *dnstest.Named, name string) int {
	t.Helper()
	answer, err := dns.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), named.Addr())
	require.NoError(t, err)
	return answer.Rcode
}

// TestRefusals sends what must change nothing: named has no zone and the disk no file afterwards.
func TestRefusals(t *testing.T) {
	t.Parallel()
	named := startNamed(t)
	agent, err := dnstest.StartAgent(t.Context(), named)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, agent.Stop()) })
	token := "Bearer " + agent.Token().Reveal()
	in := func(name, text string) agentapi.NewZone { return agentapi.NewZone{Name: name, Content: text} }
	for name, r := range map[string]struct {
		token, method, path string
		body                any
		status              int
	}{
		"no token":           {"", http.MethodGet, "v1/server", nil, http.StatusUnauthorized},
		"wrong token":        {"Bearer wrong", http.MethodPost, "v1/zones", in("example.org.", content), http.StatusUnauthorized},
		"no bearer":          {agent.Token().Reveal(), http.MethodGet, "v1/server", nil, http.StatusUnauthorized},
		"basic":              {"Basic " + agent.Token().Reveal(), http.MethodGet, "v1/server", nil, http.StatusUnauthorized},
		"unknown path":       {token, http.MethodGet, "v1/command", nil, http.StatusNotFound},
		"unknown, no token":  {"", http.MethodGet, "", nil, http.StatusUnauthorized},
		"method":             {token, http.MethodPut, "v1/zones", nil, http.StatusMethodNotAllowed},
		"no JSON":            {token, http.MethodPost, "v1/zones", "{", http.StatusBadRequest},
		"unknown field":      {token, http.MethodPost, "v1/zones", `{"name":"example.org.","content":"","file":"/etc/passwd"}`, http.StatusBadRequest},
		"no name":            {token, http.MethodPost, "v1/zones", in("", content), http.StatusBadRequest},
		"no final dot":       {token, http.MethodPost, "v1/zones", in("example.org", content), http.StatusBadRequest},
		"upper case":         {token, http.MethodPost, "v1/zones", in("Example.org.", content), http.StatusBadRequest},
		"root":               {token, http.MethodPost, "v1/zones", in(".", content), http.StatusBadRequest},
		"traversal":          {token, http.MethodPost, "v1/zones", in("../../etc/x.", content), http.StatusBadRequest},
		"escaped traversal":  {token, http.MethodDelete, "v1/zones/..%2f..%2fetc.", nil, http.StatusBadRequest},
		"configuration":      {token, http.MethodPost, "v1/zones", in(`x" { type primary; }; zone "y.`, content), http.StatusBadRequest},
		"second command":     {token, http.MethodDelete, "v1/zones/x%3b%20stop.", nil, http.StatusBadRequest},
		"argument":           {token, http.MethodDelete, "v1/zones/-clean%20x.", nil, http.StatusBadRequest},
		"line end":           {token, http.MethodDelete, "v1/zones/x%0astop.", nil, http.StatusBadRequest},
		"include":            {token, http.MethodPost, "v1/zones", in("example.org.", content+"$INCLUDE /etc/passwd\n"), http.StatusUnprocessableEntity},
		"many generated":     {token, http.MethodPost, "v1/zones", in("example.org.", content+strings.Repeat("$GENERATE 0-65535 x$ A 192.0.2.1\n", 20)), http.StatusUnprocessableEntity},
		"no SOA":             {token, http.MethodPost, "v1/zones", in("example.org.", "example.org. 60 IN NS ns.example.org.\n"), http.StatusUnprocessableEntity},
		"no NS":              {token, http.MethodPost, "v1/zones", in("example.org.", strings.SplitAfter(content, "\n")[0]), http.StatusUnprocessableEntity},
		"other zone's":       {token, http.MethodPost, "v1/zones", in("example.org.", content+"a.example.com. 60 IN A 192.0.2.1\n"), http.StatusUnprocessableEntity},
		"other class":        {token, http.MethodPost, "v1/zones", in("example.org.", content+"a.example.org. 60 CH TXT x\n"), http.StatusUnprocessableEntity},
		"named says no":      {token, http.MethodPost, "v1/zones", in("example.org.", content+"a.example.org. 60 IN CNAME b.\na.example.org. 60 IN A 192.0.2.1\n"), http.StatusUnprocessableEntity},
		"too large":          {token, http.MethodPost, "v1/zones", strings.Repeat(" ", agentapi.MaxBody+1), http.StatusRequestEntityTooLarge},
		"show, no zone":      {token, http.MethodGet, "v1/zones/example.org.", nil, http.StatusNotFound},
		"show, no such name": {token, http.MethodGet, "v1/zones/example", nil, http.StatusBadRequest},
	} {
		c := caller{url: agent.URL(), token: r.token, client: http.DefaultClient}
		status, body := c.do(t, r.method, r.path, r.body)
		require.Equal(t, r.status, status, "%s: %s", name, body)
		require.NotContains(t, body, agent.Token().Reveal())
	}
	c := caller{url: agent.URL(), token: token, client: http.DefaultClient}
	_, body := c.do(t, http.MethodGet, "v1/zones", nil)
	require.JSONEq(t, `{"zones": []}`, body)
	files, err := os.ReadDir(filepath.Join(named.Zones(), "opsdeck"))
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestAgentWithoutNamed(t *testing.T) {
	t.Parallel()
	named := startNamed(t)
	agent, err := dnstest.StartAgent(t.Context(), named)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, agent.Stop()) })
	require.NoError(t, named.Kill())
	c := caller{url: agent.URL(), token: "Bearer " + agent.Token().Reveal(), client: http.DefaultClient}
	for _, r := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, "v1/server", nil},
		{http.MethodGet, "v1/zones", nil},
		{http.MethodGet, "v1/zones/example.org.", nil},
		{http.MethodDelete, "v1/zones/example.org.", nil},
		{http.MethodPost, "v1/zones", agentapi.NewZone{Name: "example.org.", Content: content}},
	} {
		status, body := c.do(t, r.method, r.path, r.body)
		require.Equal(t, http.StatusServiceUnavailable, status, body)
	}
	require.NoError(t, named.Restart(t.Context()))
	status, _ := c.do(t, http.MethodPost, "v1/zones", agentapi.NewZone{Name: "example.org.", Content: content})
	require.Equal(t, http.StatusCreated, status)
	require.NoError(t, named.Kill())
	require.NoError(t, named.Restart(t.Context()))
	require.Equal(t, dns.RcodeSuccess, ask(t, named, "ns.example.org."), "an added zone outlives a crash")
}

func TestAgentServesHTTPS(t *testing.T) {
	t.Parallel()
	named := startNamed(t)
	certFile, keyFile, roots := certificate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "error"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- bindagent.Serve(ctx, rt, bindagent.Config{
			Token: "a token of twenty characters", Cert: certFile, Key: keyFile, Control: named.ControlAddr(), ControlKey: named.ControlKeyFile(),
			Statistics: named.StatisticsURL(), TSIGKey: named.UpdateKeyFile(), DNSPort: 53, Directory: named.Zones(), Timeout: time.Minute, Drain: time.Second,
		}, listener)
	}()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	c := caller{url: "https://" + listener.Addr().String() + "/", token: "Bearer a token of twenty characters", client: client}
	status, body := c.do(t, http.MethodGet, "v1/server", nil)
	require.Equal(t, http.StatusOK, status, body)
	require.NoError(t, rt.Ready(t.Context()))
	cancel()
	require.NoError(t, <-ended)
}

// certificate makes one for 127.0.0.1, signed by itself.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	roots = x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certPEM))
	return certFile, keyFile, roots
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("a token of twenty characters\n"), 0o600))
	short := filepath.Join(t.TempDir(), "short")
	require.NoError(t, os.WriteFile(short, []byte("short\n"), 0o600))
	_, err := app.LoadFrom[bindagent.Config](map[string]string{"OPSDECK_BIND_AGENT_TOKEN_FILE": token})
	require.NoError(t, err)
	for name, settings := range map[string]map[string]string{
		"OPSDECK_BIND_AGENT_TOKEN_FILE": {"OPSDECK_BIND_AGENT_TOKEN_FILE": short},
		"OPSDECK_BIND_AGENT_TLS_KEY":    {"OPSDECK_BIND_AGENT_TLS_CERT": "x"},
		"OPSDECK_BIND_AGENT_ADDR":       {"OPSDECK_BIND_AGENT_ADDR": "0.0.0.0:8053"},
		"OPSDECK_BIND_AGENT_DNS_PORT":   {"OPSDECK_BIND_AGENT_DNS_PORT": "65536"},
		"OPSDECK_BIND_AGENT_DIRECTORY":  {"OPSDECK_BIND_AGENT_DIRECTORY": "zones"},
		"OPSDECK_BIND_AGENT_TIMEOUT":    {"OPSDECK_BIND_AGENT_TIMEOUT": "0s"},
	} {
		if settings["OPSDECK_BIND_AGENT_TOKEN_FILE"] == "" {
			settings["OPSDECK_BIND_AGENT_TOKEN_FILE"] = token
		}
		_, err := app.LoadFrom[bindagent.Config](settings)
		require.ErrorContains(t, err, name)
	}
	_, err = app.LoadFrom[bindagent.Config](nil)
	require.ErrorContains(t, err, "OPSDECK_BIND_AGENT_TOKEN_FILE")
}
