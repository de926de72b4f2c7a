package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a gateway in front of a backend.
type rig struct {
	*backend
	url    string
	client *http.Client
	stop   context.CancelFunc
	ended  chan error

	once   sync.Once
	router routers.Router // of the API document
}

// newRig starts both. change may alter the settings.
func newRig(t *testing.T, change func(*gateway.Config)) *rig {
	t.Helper()
	b := newBackend(t)
	cfg := gateway.Config{
		Auth: b.address, ReplicationJobs: b.address, DNS: b.address, MaxBody: 1 << 20, MaxMessage: 16 << 20, MaxRequests: 100,
		RequestTimeout: 10 * time.Second, Drain: 5 * time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	require.NoError(t, cfg.Validate())
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "fatal"})
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	transport := &http.Transport{}
	r := &rig{
		backend: b, url: "http://" + listener.Addr().String(), stop: stop, ended: make(chan error, 1),
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	go func() { r.ended <- gateway.Serve(ctx, rt, cfg, listener) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		require.NoError(t, <-r.ended)
	})
	return r
}

// call is one HTTP call of a test.
type call struct {
	method, path string
	contentType  string
	token        string // "" for the admin's, "none" for none
	body         string
	header       http.Header
}

type reply struct {
	status int
	header http.Header
	body   string

	documented bool // the API document has such a call, and the answer fits it
}

func (r *rig) do(t *testing.T, c call) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), c.method, r.url+c.path, strings.NewReader(c.body))
	require.NoError(t, err)
	for name, values := range c.header {
		request.Header[name] = values
	}
	if c.contentType != "" {
		request.Header.Set("Content-Type", c.contentType)
	}
	switch c.token {
	case "":
		request.Header.Set("Authorization", r.token)
	case "none":
	default:
		request.Header.Set("Authorization", c.token)
	}
	response, err := r.client.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	got := reply{status: response.StatusCode, header: response.Header, body: string(body)}
	if request.Method != http.MethodHead && strings.HasPrefix(request.URL.Path, "/v2/") {
		got.documented = r.conforms(t, request, got)
	}
	return got
}
