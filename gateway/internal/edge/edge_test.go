package edge_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/gateway/internal/edge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wrap puts the edge around a handler and returns it with its log and its metrics.
func wrap(t *testing.T, cfg edge.Config, h http.HandlerFunc) (http.Handler, *observer.ObservedLogs, *prometheus.Registry) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	registry := prometheus.NewRegistry()
	cfg.Log, cfg.Metrics = zap.New(core), registry
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 100
	}
	if cfg.MaxRequests == 0 {
		cfg.MaxRequests = 2
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	handler, err := edge.Wrap(cfg, edge.Limit(cfg, h))
	require.NoError(t, err)
	return handler, logs, registry
}

func do(t *testing.T, h http.Handler, method, target, body string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRequestIDIsTakenOrMade(t *testing.T) {
	t.Parallel()
	h, _, _ := wrap(t, edge.Config{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, rpc.FromContext(r.Context()).RequestID)
	})
	for id, taken := range map[string]bool{
		"abc-1": true, "": false, "has space": false, "line\nbreak": false, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "käse": false,
	} {
		w := do(t, h, "GET", "/v2/x", "", map[string]string{"X-Request-Id": id})
		got := w.Header().Get("X-Request-Id")
		require.Equal(t, got, w.Body.String())
		require.Equal(t, taken, got == id, "%q became %q", id, got)
		require.NotEmpty(t, got)
	}
}

func TestClientAddressIsBelievedFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	h, _, _ := wrap(t, edge.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8")}},
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, rpc.FromContext(r.Context()).Address.String())
		})
	for _, test := range []struct{ remote, forwarded, want string }{
		{"203.0.113.9:1", "", "203.0.113.9"},
		{"203.0.113.9:1", "6.6.6.6", "203.0.113.9"},
		{"192.0.2.1:1", "198.51.100.7", "198.51.100.7"},
		{"192.0.2.1:1", "6.6.6.6, 198.51.100.7", "198.51.100.7"},
		{"192.0.2.1:1", "6.6.6.6, 198.51.100.7, 10.1.1.1", "198.51.100.7"},
		{"192.0.2.1:1", "unknown", "192.0.2.1"},
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"[::ffff:192.0.2.1]:1", "2001:db8::1", "2001:db8::1"},
		{"@", "6.6.6.6", "invalid IP"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v2/x", nil)
		r.RemoteAddr = test.remote
		r.Header.Set("X-Forwarded-For", test.forwarded)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, test.want, w.Body.String(), "%+v", test)
	}
}

func TestLogLineHasNoSecrets(t *testing.T) {
	t.Parallel()
	h, logs, registry := wrap(t, edge.Config{}, func(w http.ResponseWriter, r *http.Request) {
		edge.Label(r.Context(), "/v2/{x}")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "12345")
	})
	do(t, h, "GET", "/v2/mysql?mysql_password=s3cret", "", map[string]string{"Authorization": "s3cret", "X-Request-Id": "r1"})
	require.Equal(t, 1, logs.Len())
	fields := logs.All()[0].ContextMap()
	require.Equal(t, "/v2/mysql", fields["path"])
	require.Equal(t, int64(http.StatusTeapot), fields["status"])
	require.Equal(t, int64(5), fields["bytes"])
	require.Equal(t, "r1", fields["request_id"])
	for _, field := range fields {
		text, _ := field.(string)
		require.NotContains(t, text, "s3cret")
	}
	require.Equal(t, "route=/v2/{x} method=GET status=418", series(t, registry))
}

// series returns the labels of the only series of the duration metric.
func series(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != "opsdeck_http_request_duration_seconds" {
			continue
		}
		require.Len(t, family.GetMetric(), 1)
		labels := map[string]string{}
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		return "route=" + labels["route"] + " method=" + labels["method"] + " status=" + labels["status"]
	}
	return ""
}

func TestMadeUpMethodsAndPathsMakeNoSeries(t *testing.T) {
	t.Parallel()
	h, _, registry := wrap(t, edge.Config{}, func(http.ResponseWriter, *http.Request) {})
	do(t, h, "BREW", "/one", "", nil)
	do(t, h, "FOO", "/two", "", nil)
	require.Equal(t, "route=other method=other status=200", series(t, registry))
}

func TestPanicBecomesAnAnswer(t *testing.T) {
	t.Parallel()
	h, logs, _ := wrap(t, edge.Config{}, func(http.ResponseWriter, *http.Request) { panic("boom") })
	w := do(t, h, "GET", "/api/job/x", "", map[string]string{"X-Request-Id": "r1"})
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.JSONEq(t, `{"stat":false,"info":"internal error; the log has more under request id r1"}`, w.Body.String())
	require.Equal(t, 1, logs.FilterMessage("panic").Len())
	require.Equal(t, 1, logs.FilterMessage("request").Len(), "the call is logged all the same")
}

func TestPanicAfterTheAnswerBeganCutsTheConnection(t *testing.T) {
	t.Parallel()
	h, _, _ := wrap(t, edge.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("boom")
	})
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { do(t, h, "GET", "/v2/x", "", nil) })
}

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	read := make(chan error, 1)
	h, _, _ := wrap(t, edge.Config{MaxBody: 10}, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
	})
	do(t, h, "POST", "/v2/x", "0123456789", nil)
	require.NoError(t, <-read)

	w := do(t, h, "POST", "/v2/x", "0123456789a", nil)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.JSONEq(t, `{"message":"body: is larger than 10 bytes"}`, w.Body.String())

	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v2/x", strings.NewReader("0123456789a"))
	r.ContentLength = -1
	h.ServeHTTP(httptest.NewRecorder(), r)
	var tooLarge *http.MaxBytesError
	require.ErrorAs(t, <-read, &tooLarge)
}

func TestTooManyCallsAreTurnedAway(t *testing.T) {
	t.Parallel()
	inside, leave := make(chan struct{}), make(chan struct{})
	h, _, _ := wrap(t, edge.Config{MaxRequests: 1}, func(http.ResponseWriter, *http.Request) {
		inside <- struct{}{}
		<-leave
	})
	first := make(chan int)
	go func() { first <- do(t, h, "GET", "/v2/x", "", nil).Code }()
	<-inside
	w := do(t, h, "GET", "/api/v1/x", "", nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.JSONEq(t, `{"status":false,"code":503,"message":"too many calls at the same time: try again"}`, w.Body.String())
	close(leave)
	require.Equal(t, http.StatusOK, <-first)
}

func TestCallsHaveADeadline(t *testing.T) {
	t.Parallel()
	h, _, _ := wrap(t, edge.Config{Timeout: time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		if errors.Is(r.Context().Err(), context.DeadlineExceeded) {
			w.WriteHeader(http.StatusGatewayTimeout)
		}
	})
	require.Equal(t, http.StatusGatewayTimeout, do(t, h, "GET", "/v2/x", "", nil).Code)
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		h, _, _ := wrap(t, edge.Config{TLS: tls}, func(http.ResponseWriter, *http.Request) {})
		header := do(t, h, "GET", "/v2/x", "", map[string]string{"Origin": "https://evil.example"}).Header()
		require.Equal(t, "default-src 'none'; frame-ancestors 'none'", header.Get("Content-Security-Policy"))
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", header.Get("Cache-Control"))
		require.Equal(t, tls, header.Get("Strict-Transport-Security") != "")
		require.Empty(t, header.Get("Access-Control-Allow-Origin"), "CORS is off")
	}
}

func TestOriginsThatMayCall(t *testing.T) {
	t.Parallel()
	reached := 0
	h, _, _ := wrap(t, edge.Config{Origins: []string{"https://console.example"}}, func(http.ResponseWriter, *http.Request) { reached++ })
	ask := map[string]string{"Origin": "https://console.example", "Access-Control-Request-Method": "POST"}
	w := do(t, h, "OPTIONS", "/v2/login", "", ask)
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, "https://console.example", w.Header().Get("Access-Control-Allow-Origin"))
	require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Authorization")
	require.Zero(t, reached)

	w = do(t, h, "GET", "/v2/nodes", "", map[string]string{"Origin": "https://console.example"})
	require.Equal(t, "https://console.example", w.Header().Get("Access-Control-Allow-Origin"))
	require.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"))
	w = do(t, h, "GET", "/v2/nodes", "", map[string]string{"Origin": "https://evil.example"})
	require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "Origin", w.Header().Get("Vary"))
	require.Equal(t, 2, reached)
}
