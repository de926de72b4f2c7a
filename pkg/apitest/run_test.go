package apitest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/apitest"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keys is an RPC server that knows one caller.
type keys struct {
	authv1.UnimplementedKeyServiceServer
}

func (keys) IssueServiceToken(ctx context.Context, r *authv1.IssueServiceTokenRequest) (*authv1.IssueServiceTokenResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if caller := md.Get("authorization"); len(caller) != 1 || caller[0] != "Bearer t0k3n" {
		return nil, fault.Unauthenticated("UNAUTHENTICATED", "please log in")
	}
	return &authv1.IssueServiceTokenResponse{Token: "for " + r.GetService()}, nil
}

// newRunner returns a runner against an HTTP server that tells what it got, and against keys.
func newRunner(t *testing.T) apitest.Runner {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"message":"please log in"}`)
			return
		}
		w.Header().Set("X-Got", r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Content-Type")+" "+string(body))
		_, _ = io.WriteString(w, `{"message":"ok","rows":[1,2]}`)
	}))
	t.Cleanup(web.Close)

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	authv1.RegisterKeyServiceServer(server, keys{})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		server.Stop()
		require.NoError(t, <-ended)
	})
	return apitest.Runner{BaseURL: web.URL, Client: web.Client(), Tokens: map[string]string{"admin": "t0k3n"}, Conn: conn}
}

const cases = `
- name: an answer over both
  as: admin
  http:
    method: POST
    path: /v2/tokens?x=${x}
    json: {service: ${x}}
    want: {status: [200], shape: {message: ok, rows: [0]}, body: {message: ok, rows: [1, $number]}, message: [o, k]}
  grpc:
    method: opsdeck.auth.v1.KeyService/IssueServiceToken
    request: {service: ${x}, secret: 0123456789abcdef}
    code: OK
    shape: {token: $string, expire_time: $any}
- name: a refusal over both
  as: nobody
  http:
    method: GET
    path: /v2/tokens
    want: {status: [401, 403], message: [log in]}
  grpc: {method: opsdeck.auth.v1.KeyService/IssueServiceToken, code: Unauthenticated, reason: UNAUTHENTICATED, message: log in}
`

func TestRunnerRunsCasesOverBothTransports(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	checked := make(chan apitest.Answer, 2)
	r.Check = func(_ testing.TB, answer apitest.Answer) { checked <- answer }
	loaded := apitest.Load(t, fstest.MapFS{"api/a.yaml": {Data: []byte(cases)}}, "api/*.yaml", map[string]string{"x": "worker"})
	require.Len(t, loaded, 2)
	t.Run("cases", func(t *testing.T) { r.Run(t, loaded) })
	close(checked)
	got := map[int]string{}
	for answer := range checked {
		got[answer.Status] = answer.Header.Get("X-Got")
	}
	require.Equal(t, map[int]string{200: `POST /v2/tokens?x=worker application/json {"service":"worker"}`, 401: ""}, got)
}

func TestDoSendsWhatTheCaseSays(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	raw := "{"
	for want, h := range map[string]apitest.HTTP{
		"POST /f application/x-www-form-urlencoded a=1+2": {Method: "POST", Path: "/f", Form: map[string]string{"a": "1 2"}},
		"POST /r application/json {":                      {Method: "POST", Path: "/r", Raw: &raw},
		"PUT /t text/plain {":                             {Method: "PUT", Path: "/t", Raw: &raw, Header: map[string]string{"Content-Type": "text/plain"}},
		"GET /q?a=%26&b=2":                                {Method: "GET", Path: "/q?b=2", Query: map[string]string{"a": "&"}},
	} {
		require.Equal(t, want, r.Do(t, "admin", h).Header.Get("X-Got"))
	}
	own := apitest.HTTP{Method: "GET", Path: "/", Header: map[string]string{"Authorization": "x"}}
	require.Equal(t, 200, r.Do(t, apitest.Nobody, own).Status, "a case may bring its own token")
}

func TestHTTPProblems(t *testing.T) {
	t.Parallel()
	answer := apitest.Answer{Status: 400, Body: []byte(`{"message":"job_id: is required","n":1}`)}
	for _, test := range []struct {
		name     string
		want     apitest.HTTPAnswer
		problems []string
	}{
		{"as wanted", apitest.HTTPAnswer{Status: []int{400}, Message: []string{"job_id", "required"}}, nil},
		{"another status", apitest.HTTPAnswer{Status: []int{200, 404}}, []string{"want status [200 404], got 400"}},
		{"another message", apitest.HTTPAnswer{Status: []int{400}, Message: []string{"retry"}}, []string{`message: want one with "retry", got "job_id: is required"`}},
		{"another shape", apitest.HTTPAnswer{Status: []int{400}, Shape: map[string]any{"message": "x"}}, []string{"n: is not wanted"}},
		{"another body", apitest.HTTPAnswer{Status: []int{400}, Body: map[string]any{"message": "$string", "n": 2}}, []string{"n: want 2, got 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.problems, test.want.Problems(answer))
		})
	}
	noJSON := apitest.Answer{Status: 200, Body: []byte("oops")}
	require.Len(t, apitest.HTTPAnswer{Status: []int{200}, Shape: map[string]any{}}.Problems(noJSON), 1)
	require.Equal(t, []string{"there is no text under message"},
		apitest.HTTPAnswer{Status: []int{200}, Message: []string{"x"}}.Problems(apitest.Answer{Status: 200, Body: []byte("[]")}))
}

func TestGRPCProblems(t *testing.T) {
	t.Parallel()
	refused := fault.NotFound("JOB_NOT_FOUND", "there is no job x")
	answered := &authv1.IssueServiceTokenResponse{Token: "t"}
	for _, test := range []struct {
		name   string
		want   apitest.GRPC
		answer proto.Message
		err    error
		count  int
	}{
		{"as wanted", apitest.GRPC{Code: "NotFound", Reason: "JOB_NOT_FOUND", Message: "job x"}, nil, refused, 0},
		{"another code", apitest.GRPC{Code: "OK"}, nil, refused, 1},
		{"another reason", apitest.GRPC{Code: "NotFound", Reason: "NODE_UNKNOWN"}, nil, refused, 1},
		{"another message", apitest.GRPC{Code: "NotFound", Message: "job y"}, nil, refused, 1},
		{"a success", apitest.GRPC{Code: "NotFound", Reason: "JOB_NOT_FOUND", Message: "job"}, answered, nil, 3},
		{"another shape", apitest.GRPC{Code: "OK", Shape: map[string]any{"token": 1, "expire_time": nil}}, answered, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Len(t, test.want.Problems(test.answer, test.err), test.count)
		})
	}
}

func TestParseRefusesWhatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an unknown key":      "- {name: a, as: x, htp: {}}",
		"an unknown variable": "- {name: '${who}', as: x, http: {method: GET, path: /, want: {status: [200]}}}",
		"no name":             "- {as: x, http: {method: GET, path: /, want: {status: [200]}}}",
		"no caller":           "- {name: a, http: {method: GET, path: /, want: {status: [200]}}}",
		"no transport":        "- {name: a, as: x}",
		"no path":             "- {name: a, as: x, http: {method: GET, want: {status: [200]}}}",
		"no wanted status":    "- {name: a, as: x, http: {method: GET, path: /}}",
		"two bodies":          "- {name: a, as: x, http: {method: POST, path: /, raw: '', json: {}, want: {status: [200]}}}",
		"a method half named": "- {name: a, as: x, grpc: {method: Get, code: OK}}",
		"no wanted code":      "- {name: a, as: x, grpc: {method: a.B/C}}",
		"no list":             "name: a",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := apitest.Parse([]byte(text), nil)
			require.Error(t, err)
		})
	}
}
