package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway"
)

func TestFaultsBecomeAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, test := range []struct {
		name   string
		err    error
		status int
		text   string
	}{
		{"not found", fault.NotFound("JOB_NOT_FOUND", "there is no job a"), 404, "there is no job a"},
		{"conflict", fault.Conflict("JOB_EXISTS", "job a exists"), 409, "job a exists"},
		{"precondition", fault.Precondition("JOB_FINISHED", "job a has finished"), 409, "job a has finished"},
		{"denied", fault.Denied("FORBIDDEN", "Forbidden: you may not"), 403, "Forbidden: you may not"},
		{"invalid", fault.Invalid("job_id", "is odd"), 400, "job_id: is odd"},
		{"exhausted", fault.Exhausted("RATE_LIMITED", "too often"), 429, "too often"},
		{"unavailable", fault.Unavailable("MYSQL_UNREACHABLE", "no route"), 503, "no route"},
		{"deadline", &fault.Fault{Code: codes.DeadlineExceeded, Reason: "DEADLINE_EXCEEDED", Message: "late"}, 504, "late"},
		{"secret cause", fault.NotFound("JOB_NOT_FOUND", "there is no job a").Wrap(errors.New("s3cret")), 404, "there is no job a"},
		{"unknown", errors.New("s3cret"), 500, "internal error; the log has more under request id r1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.on("GetJob", func(context.Context, proto.Message) (proto.Message, error) { return nil, test.err })
			got := r.do(t, call{method: "GET", path: "/v2/job/sync/detail?job_id=a", header: http.Header{"X-Request-Id": {"r1"}}})
			require.Equal(t, test.status, got.status)
			require.JSONEq(t, `{"message":"`+test.text+`"}`, got.body)
		})
	}
}

func TestSlowCallsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(cfg *gateway.Config) { cfg.RequestTimeout = 50 * time.Millisecond })
	r.on("ListNodes", func(ctx context.Context, _ proto.Message) (proto.Message, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	got := r.do(t, call{method: "GET", path: "/v2/nodes"})
	require.Equal(t, http.StatusGatewayTimeout, got.status)
	require.JSONEq(t, `{"message":"the call took too long"}`, got.body)
}

func TestLargeBodiesAreRefusedUnread(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, known := range []bool{true, false} {
		var read atomic.Int64
		body := io.LimitReader(countingZeros{&read}, 50<<20)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+create, body)
		require.NoError(t, err)
		request.Header.Set("Authorization", r.token)
		if known {
			request.ContentLength = 50 << 20
		} else {
			request.Header.Set("Expect", "100-continue") // net/http hangs up on these without waiting, unless it is told why
		}
		response, err := r.client.Do(request)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		require.JSONEq(t, `{"message":"body: is larger than 1048576 bytes"}`, string(text))
		require.Less(t, read.Load(), int64(20<<20), "most of the body was not even sent")
	}
}

type countingZeros struct{ read *atomic.Int64 }

func (c countingZeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	c.read.Add(int64(len(b)))
	return len(b), nil
}

func TestHealth(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	require.Equal(t, http.StatusNoContent, r.do(t, call{method: "GET", path: "/healthz", token: "none"}).status)
	require.Eventually(t, func() bool {
		return r.do(t, call{method: "GET", path: "/readyz", token: "none"}).status == http.StatusNoContent
	}, time.Minute, 20*time.Millisecond)

	lost := newRig(t, func(cfg *gateway.Config) { cfg.Auth = "unix:///nonexistent/socket" })
	require.Eventually(t, func() bool {
		got := lost.do(t, call{method: "GET", path: "/readyz", token: "none"})
		return got.status == http.StatusServiceUnavailable && got.body == "auth is not serving\n"
	}, time.Minute, 20*time.Millisecond)
	got := lost.do(t, call{method: "GET", path: "/v2/user/current_user"})
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.JSONEq(t, `{"message":"the service behind this call cannot be reached now: try again"}`, got.body)
	require.Equal(t, http.StatusNoContent, lost.do(t, call{method: "GET", path: "/healthz", token: "none"}).status)
}

func TestCallsUnderWayAreAnsweredBeforeTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	inside, leave := make(chan struct{}), make(chan struct{})
	r.on("ListNodes", func(context.Context, proto.Message) (proto.Message, error) {
		close(inside)
		<-leave
		return &replicationv1.ListNodesResponse{}, nil
	})
	answered := make(chan int, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/v2/nodes", nil)
		if err != nil {
			answered <- 0
			return
		}
		request.Header.Set("Authorization", r.token)
		response, err := r.client.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		_ = response.Body.Close()
		answered <- response.StatusCode
	}()
	<-inside
	r.stop()
	require.Eventually(t, func() bool { // the listener is closed first
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, time.Minute, 5*time.Millisecond)
	close(leave)
	require.Equal(t, http.StatusOK, <-answered)
}

func TestHTTP2OverTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	r := newRig(t, func(cfg *gateway.Config) { cfg.CertFile, cfg.KeyFile = cert, key })
	r.always("ListNodes", &replicationv1.ListNodesResponse{})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(r.url, "http:", "https:", 1)+"/v2/nodes", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", r.token)
	response, err := (&http.Client{Transport: transport}).Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, 2, response.ProtoMajor)
	require.NotEmpty(t, response.Header.Get("Strict-Transport-Security"))
}

// certificate makes a certificate for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	pool = x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certPEM))
	return certFile, keyFile, pool
}

func TestSwaggerPageNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, path := range []string{"/", "/swagger", "/swagger/"} {
		got := r.do(t, call{method: "GET", path: path, token: "none"})
		require.Equal(t, http.StatusFound, got.status, path)
		require.Equal(t, "/swagger/index.html", got.header.Get("Location"))
	}
	page := r.do(t, call{method: "GET", path: "/swagger/index.html", token: "none"})
	require.Equal(t, http.StatusOK, page.status)
	require.NotContains(t, page.body, "//", "nothing is loaded from another host")
	require.Contains(t, page.header.Get("Content-Security-Policy"), "script-src 'self';")
	parts := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.body, -1)
	require.Len(t, parts, 5)
	for _, part := range append(parts, []string{"", "doc.json"}) {
		got := r.do(t, call{method: "GET", path: "/swagger/" + part[1], token: "none"})
		require.Equal(t, http.StatusOK, got.status, part[1])
		require.NotEmpty(t, got.body, part[1])
	}
	require.Equal(t, r.do(t, call{method: "GET", path: "/openapi.json"}).body, r.do(t, call{method: "GET", path: "/swagger/doc.json"}).body)
}

func TestOptionsTellsWhatIsAllowed(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	got := r.do(t, call{method: "OPTIONS", path: "/v2/login/captcha", token: "none"})
	require.Equal(t, http.StatusNoContent, got.status)
	require.Equal(t, "GET, HEAD, OPTIONS, POST", got.header.Get("Allow"))
}

func TestSettings(t *testing.T) {
	cfg, err := app.Load[gateway.Config]()
	require.NoError(t, err)
	require.Equal(t, ":8190", cfg.Addr)
	for _, s := range app.Settings(cfg) {
		require.NotEmpty(t, s.Help, s.Name)
		require.True(t, strings.HasPrefix(s.Name, "OPSDECK_GATEWAY_"), s.Name)
	}
	t.Setenv("OPSDECK_GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8,::1/128")
	t.Setenv("OPSDECK_GATEWAY_CORS_ORIGINS", "https://a.example,https://b.example")
	cfg, err = app.Load[gateway.Config]()
	require.NoError(t, err)
	require.Len(t, cfg.TrustedProxies, 2)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, cfg.Origins)
	for _, origin := range []string{"*", "null", "a.example", "https://a.example/", "https://A.example", "https://u@a.example"} {
		t.Setenv("OPSDECK_GATEWAY_CORS_ORIGINS", origin)
		_, err = app.Load[gateway.Config]()
		require.ErrorContains(t, err, "OPSDECK_GATEWAY_CORS_ORIGINS", origin)
	}
	t.Setenv("OPSDECK_GATEWAY_CORS_ORIGINS", "")
	t.Setenv("OPSDECK_GATEWAY_CERT", "/cert.pem")
	_, err = app.Load[gateway.Config]()
	require.ErrorContains(t, err, "OPSDECK_GATEWAY_KEY")
}

func TestBackendsOnOtherMachinesNeedTLS(t *testing.T) {
	t.Parallel()
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "fatal"})
	require.NoError(t, err)
	err = gateway.Run(t.Context(), rt, gateway.Config{Addr: "127.0.0.1:0", Auth: "192.0.2.1:7101", ReplicationJobs: "127.0.0.1:7102"})
	require.ErrorContains(t, err, "address of auth: 192.0.2.1:7101 can be reached from other machines")
	err = gateway.Run(t.Context(), rt, gateway.Config{Addr: "192.0.2.1:0"})
	require.ErrorContains(t, err, "OPSDECK_GATEWAY_ADDR")
}
