package endpoint_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/dns/internal/endpoint"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNewRefusesOtherURLs(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "127.0.0.1:8081", "ftp://127.0.0.1/", "http://", "http://:80/", "http://user:secret@127.0.0.1/", "http://127.0.0.1/?x=y", "http://127.0.0.1/#x", "file:///etc/passwd", "http://127.0.0.1:x/"} {
		_, err := endpoint.New(base, "X-API-Key", "key", nil)
		require.Error(t, err, base)
		require.NotContains(t, err.Error(), "secret")
	}
}

// start serves one answer to everything and returns a client for it.
func start(t *testing.T, handler http.HandlerFunc) *endpoint.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := endpoint.New(server.URL+"/base/", "X-API-Key", "the key", nil)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestFetch(t *testing.T) {
	t.Parallel()
	c := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("X-API-Key") != "the key" || r.URL.Path != "/base/a b" || r.URL.RawQuery != "q=1" || string(body) != `{"x":"y"}` {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(`{"Answer": 42}`))
	})
	var got struct{ Answer int }
	request := endpoint.Request{Method: http.MethodPost, Path: "a%20b", Query: map[string][]string{"q": {"1"}}, Body: map[string]string{"x": "y"}, Doing: "test"}
	require.NoError(t, c.Fetch(t.Context(), request, 1<<10, &got))
	require.Equal(t, 42, got.Answer)
	var unreachable *nameserver.Unreachable
	require.ErrorAs(t, c.Fetch(t.Context(), request, 5, &got), &unreachable, "an answer longer than its limit")
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, retry := range map[int]bool{
		http.StatusUnauthorized: false, http.StatusForbidden: false, http.StatusNotFound: false, http.StatusConflict: false, http.StatusUnprocessableEntity: false,
		http.StatusFound: false, http.StatusTooManyRequests: true, http.StatusInternalServerError: true, http.StatusBadGateway: true, http.StatusServiceUnavailable: true,
	} {
		c := start(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "elsewhere") {
				t.Error("a redirect was followed")
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("{\"error\": \"said\\n" + strings.Repeat("x", 2000) + "\"}"))
		})
		err := c.Fetch(t.Context(), endpoint.Request{Method: http.MethodGet, Path: "x", Doing: "do this"}, 1<<10, nil)
		var unreachable *nameserver.Unreachable
		var refused *nameserver.Refused
		if retry {
			require.ErrorAs(t, err, &unreachable, status)
			require.Zero(t, endpoint.Code(err))
		} else {
			require.ErrorAs(t, err, &refused, status)
			require.Equal(t, status, endpoint.Code(err))
		}
		require.ErrorContains(t, err, "do this")
		require.Less(t, len(err.Error()), 1000)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), "the key")
	}
}

func TestEndedContext(t *testing.T) {
	t.Parallel()
	c := start(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := c.Fetch(ctx, endpoint.Request{Method: http.MethodGet, Path: "x", Doing: "test"}, 1, nil)
	require.ErrorIs(t, err, context.Canceled)
}
