package relay_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/gateway/internal/edge"
	"github.com/opsdeck/opsdeck/gateway/internal/relay"
	trialv1 "github.com/opsdeck/opsdeck/gateway/internal/trial/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers every RPC, and remembers the request.
type service struct {
	trialv1.UnimplementedTrialServiceServer

	mu   sync.Mutex
	got  proto.Message
	rows int64 // of lists
	err  error
}

func reply[A proto.Message](s *service, got proto.Message, answer A) (A, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = got
	return answer, s.err
}

func (s *service) ListUsers(_ context.Context, r *trialv1.ListUsersRequest) (*trialv1.ListUsersResponse, error) {
	return reply(s, r, &trialv1.ListUsersResponse{Count: s.rows, Results: []*trialv1.User{ann}})
}

func (s *service) UpdateUser(_ context.Context, r *trialv1.UpdateUserRequest) (*trialv1.UpdateUserResponse, error) {
	return reply(s, r, &trialv1.UpdateUserResponse{User: ann})
}

func (s *service) AddRoles(_ context.Context, r *trialv1.AddRolesRequest) (*trialv1.AddRolesResponse, error) {
	return reply(s, r, &trialv1.AddRolesResponse{})
}

func (s *service) RemoveRoles(_ context.Context, r *trialv1.RemoveRolesRequest) (*trialv1.RemoveRolesResponse, error) {
	return reply(s, r, &trialv1.RemoveRolesResponse{})
}

func (s *service) ForgetPassword(_ context.Context, r *trialv1.ForgetPasswordRequest) (*trialv1.ForgetPasswordResponse, error) {
	return reply(s, r, &trialv1.ForgetPasswordResponse{})
}

func (s *service) ListRoleUsers(_ context.Context, r *trialv1.ListRoleUsersRequest) (*trialv1.ListRoleUsersResponse, error) {
	if r.GetId() == 0 {
		return reply(s, r, &trialv1.ListRoleUsersResponse{})
	}
	return reply(s, r, &trialv1.ListRoleUsersResponse{Users: []*trialv1.User{ann}})
}

func (s *service) RenameRole(_ context.Context, r *trialv1.RenameRoleRequest) (*trialv1.RenameRoleResponse, error) {
	return reply(s, r, &trialv1.RenameRoleResponse{Id: r.GetId(), Name: r.GetName()})
}

func (s *service) GrantApplications(_ context.Context, r *trialv1.GrantApplicationsRequest) (*trialv1.GrantApplicationsResponse, error) {
	return reply(s, r, &trialv1.GrantApplicationsResponse{})
}

func (s *service) GrantHosts(_ context.Context, r *trialv1.GrantHostsRequest) (*trialv1.GrantHostsResponse, error) {
	return reply(s, r, &trialv1.GrantHostsResponse{})
}

func (s *service) ListServers(_ context.Context, r *trialv1.ListServersRequest) (*trialv1.ListServersResponse, error) {
	return reply(s, r, &trialv1.ListServersResponse{Count: s.rows})
}

func (s *service) CreateServer(_ context.Context, r *trialv1.CreateServerRequest) (*trialv1.CreateServerResponse, error) {
	return reply(s, r, &trialv1.CreateServerResponse{Id: 7})
}

func (s *service) Logout(_ context.Context, r *trialv1.LogoutRequest) (*trialv1.LogoutResponse, error) {
	return reply(s, r, &trialv1.LogoutResponse{})
}

var ann = &trialv1.User{Id: 1, Name: "ann", Permission: map[string]bool{"view_app": true}}

const annJSON = `{"id":1,"name":"ann","phone":null,"permission":{"view_app":true}}`

// rig is a relay to a service over real gRPC.
type rig struct {
	*service
	url    string
	client *http.Client
	token  string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	token, err := authn.Sign(authn.Principal{Tenant: "t", User: "u", Role: "r", Session: "1"}, "k", private, time.Now(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	r := &rig{service: &service{rows: 25}, token: token}

	socket := filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	server, err := rpc.NewServer(rpc.ServerConfig{
		Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Keys: keys{public}, Timeout: 10 * time.Second, MaxMessage: 4 << 20,
		Health: func(context.Context) error { return nil },
	})
	require.NoError(t, err)
	trialv1.RegisterTrialServiceServer(server, r.service)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener, time.Second) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-served)
	})

	conn, err := rpc.Dial(rpc.ClientConfig{Target: "unix://" + socket, MaxMessage: 4 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	backends := []relay.Backend{{Name: "trial", Conn: conn, Services: []relay.Service{
		{Name: trialv1.TrialService_ServiceDesc.ServiceName, Register: trialv1.RegisterTrialServiceHandler},
	}}}
	calls, err := relay.New(t.Context(), zap.NewNop(), backends, relay.Door{Verifier: authn.NewVerifier(keys{public})})
	require.NoError(t, err)
	handler, err := edge.Wrap(edge.Config{Log: zap.NewNop(), Metrics: prometheus.NewRegistry()}, calls)
	require.NoError(t, err)
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	r.url, r.client = front.URL, front.Client()
	return r
}

type keys struct{ public ed25519.PublicKey }

func (k keys) PublicKey(context.Context, string) (ed25519.PublicKey, error) { return k.public, nil }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
}

// do sends "METHOD path" with a body.
func (r *rig) do(t *testing.T, line, body string, header ...string) answer {
	t.Helper()
	method, path, _ := strings.Cut(line, " ")
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Token "+r.token)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	r.mu.Lock()
	r.got = nil
	r.mu.Unlock()
	response, err := r.client.Do(request)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, errors.Join(err, response.Body.Close()))
	return answer{response.StatusCode, response.Header, string(text)}
}

func TestWhatServicesGet(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const hosts = `{"authorizations":[{"id":4,"permission":{"view_host":true}}]}`
	for _, test := range []struct {
		call, body string
		want       proto.Message
		answer     string
	}{
		{"POST /users/1/roles/", `[{"id":1},{"id":2}]`, &trialv1.AddRolesRequest{Id: 1, Roles: []*trialv1.IdRef{{Id: 1}, {Id: 2}}}, `{"message":"success"}`},
		{"DELETE /users/1/roles", `[{"id":1}]`, &trialv1.RemoveRolesRequest{Id: 1, Roles: []*trialv1.IdRef{{Id: 1}}}, `{"message":"success"}`},
		{"GET /roles/3/users/", ``, &trialv1.ListRoleUsersRequest{Id: 3}, `[` + annJSON + `]`},
		{"GET /roles/0/users/", ``, &trialv1.ListRoleUsersRequest{}, `[]`},
		{"PATCH /users/1/", `{"name":"ann"}`, patch(1, "ann", "", nil, "name"), annJSON},
		{"PATCH /users/1/", `{"phone":null,"tags":[]}`, patch(1, "", "", nil, "phone", "tags"), annJSON},
		{"PATCH /users/1/", `{}`, &trialv1.UpdateUserRequest{Id: 1}, annJSON},
		{"PATCH /users/", `{"id":2,"tags":["a"]}`, patch(2, "", "", []string{"a"}, "id", "tags"), annJSON},
		{"PATCH /roles/5/", `{"name":"r"}`, &trialv1.RenameRoleRequest{Id: 5, Name: proto.String("r")}, `{"id":5,"name":"r"}`},
		{"PATCH /roles/5/", `{}`, &trialv1.RenameRoleRequest{Id: 5}, `{"id":5,"name":""}`},
		{"POST /users/ann/actions/forget-password/", `{"email":"a@b.c"}`, &trialv1.ForgetPasswordRequest{Id: "ann", Email: "a@b.c"}, `{"message":"success"}`},
		{"POST /users/7/actions/forget-password/", `{}`, &trialv1.ForgetPasswordRequest{Id: "7"}, `{"message":"success"}`},
		{"POST /users/1/application/perms/", `{"authorizations":[{"id":4,"permission":{"view_app":false}}]}`, &trialv1.GrantApplicationsRequest{Id: 1, Authorizations: grants("view_app", false)}, `{"message":"success"}`},
		{"POST /users/1/application/perms/", hosts, &trialv1.GrantHostsRequest{Id: 1, Authorizations: grants("view_host", true)}, `{"message":"success"}`},
		{"POST /users/1/host/perms/", hosts, &trialv1.GrantHostsRequest{Id: 1, Authorizations: grants("view_host", true)}, `{"message":"success"}`},
		{"POST /dns-services/?page_size=20", ``, &trialv1.ListServersRequest{PageSize: 20}, `{"count":25,"results":[],"next":"/dns-services/?page=2&page_size=20","prev":null}`},
		{"POST /dns-services/", `{"name":"a"}`, &trialv1.CreateServerRequest{Name: "a"}, `{"id":7}`},
		{"POST /api/v1/logout", `{"refresh_token":"x"}`, &trialv1.LogoutRequest{RefreshToken: "x"}, `{"status":true,"code":200}`},
	} {
		got := r.do(t, test.call, test.body)
		require.Equal(t, http.StatusOK, got.status, "%s %s: %s", test.call, test.body, got.text)
		require.JSONEq(t, test.answer, got.text, test.call)
		require.True(t, proto.Equal(test.want, r.got), "%s %s: %s", test.call, test.body, prototext.Format(r.got))
	}
}

func patch(id int64, name, phone string, tags []string, mask ...string) *trialv1.UpdateUserRequest {
	return &trialv1.UpdateUserRequest{Id: id, Name: name, Phone: phone, Tags: tags, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}}
}

func grants(permission string, granted bool) []*trialv1.Grant {
	return []*trialv1.Grant{{Id: 4, Permission: map[string]bool{permission: granted}}}
}

func TestPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, test := range []struct {
		query      string
		want       *trialv1.ListUsersRequest
		next, prev string // JSON
	}{
		{"", &trialv1.ListUsersRequest{}, `"/users/?page=2"`, `null`},
		{"?page=1", &trialv1.ListUsersRequest{Page: 1}, `"/users/?page=2"`, `null`},
		{"?page=2", &trialv1.ListUsersRequest{Page: 2}, `"/users/?page=3"`, `"/users/?page=1"`},
		{"?page_number=3", &trialv1.ListUsersRequest{Page: 3}, `null`, `"/users/?page=2"`},
		{"?page=9", &trialv1.ListUsersRequest{Page: 9}, `null`, `"/users/?page=3"`},
		{"?page_size=25", &trialv1.ListUsersRequest{PageSize: 25}, `null`, `null`},
		{"?page_size=24&name=a%26b&ids=1&ids=2", &trialv1.ListUsersRequest{PageSize: 24, Name: "a&b", Ids: []int64{1, 2}}, `"/users/?ids=1&ids=2&name=a%26b&page=2&page_size=24"`, `null`},
		{"?page=2147483647&page_size=100", &trialv1.ListUsersRequest{Page: 2147483647, PageSize: 100}, `null`, `"/users/?page=1&page_size=100"`},
	} {
		got := r.do(t, "GET /users"+test.query, "")
		require.Equal(t, http.StatusOK, got.status, got.text)
		require.JSONEq(t, `{"count":25,"results":[`+annJSON+`],"next":`+test.next+`,"prev":`+test.prev+`}`, got.text, test.query)
		require.True(t, proto.Equal(test.want, r.got), "%s: %s", test.query, prototext.Format(r.got))
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, test := range []struct {
		call, body string
		status     int
		text       string
	}{
		{"GET /users?page=0", "", 400, "page: must be a whole number from 1 to"},
		{"GET /users?page=-1", "", 400, "page: must be a whole number from 1 to"},
		{"GET /users?page=x", "", 400, "page: must be a whole number"},
		{"GET /users?page=", "", 400, "page: must be a whole number"},
		{"GET /users?page=2147483648", "", 400, "page: must be a whole number"},
		{"GET /users?page=1&page=2", "", 400, "page: is given 2 times"},
		{"GET /users?page=1&page_number=1", "", 400, "page_number: is another name of page"},
		{"GET /users?page_size=0", "", 400, "page_size: must be a whole number from 1 to 100"},
		{"GET /users?page_size=101", "", 400, "page_size: must be a whole number from 1 to 100"},
		{"GET /users?results=1", "", 400, "results: there is no such query parameter"},
		{"POST /dns-services?page=0", "", 400, "page: must be a whole number"},
		{"POST /dns-services", "null", 400, "body: must be a JSON object, got null"},
		{"POST /dns-services?page=1", `{"name":"a"}`, 400, "page: there is no such query parameter"},
		{"POST /users/1/roles", `[]`, 400, "body: must not be an empty array"},
		{"POST /users/1/roles", ``, 400, "body: is empty, want a JSON array"},
		{"POST /users/1/roles", `{"id":1}`, 400, "body: must be a JSON array, got an object"},
		{"POST /users/1/roles", `[1]`, 400, "[0]: must be an object, got the number 1"},
		{"POST /users/1/roles", `[{"id":1},{"id":"2"}]`, 400, `[1].id: must be a whole number within 64 bits`},
		{"POST /users/1/roles", `[{"id":1},{"name":"x"}]`, 400, "[1].name: there is no such field"},
		{"POST /users/1/roles", `[{"id":0}]`, 400, "[0].id: must be greater than 0"},
		{"POST /users/1/roles", `[{"id":1},{"id":1},{"id":1},{"id":1}]`, 400, "body: must contain no more than 3"},
		{"DELETE /users/1/roles", `[]`, 400, "body: must not be an empty array"},
		{"PATCH /users/1", `{"id":2}`, 400, "id: there is no such field"},
		{"PATCH /users/1", `{"update_mask":{"paths":["name"]}}`, 400, "update_mask: there is no such field"},
		{"PATCH /users/1", `{"name":"123456789"}`, 400, "name: must be at most 8"},
		{"PATCH /roles/1", `{"name":null}`, 400, "name: must not be null: leave it out to leave it as it is"},
		{"GET /roles/x/users", "", 404, "there is nothing at /roles/x/users"},
		{"GET /roles/-1/users", "", 404, "there is nothing at"},
		{"GET /roles/+1/users", "", 404, "there is nothing at"},
		{"GET /roles/0x1/users", "", 404, "there is nothing at"},
		{"GET /roles/9223372036854775808/users", "", 404, "there is nothing at"},
		{"PUT /users/1/roles", "", 405, "PUT is not allowed here, only DELETE, OPTIONS, POST"},
	} {
		got := r.do(t, test.call, test.body)
		require.Equal(t, test.status, got.status, "%s: %s", test.call, got.text)
		require.Contains(t, got.text, test.text, test.call)
		require.Contains(t, got.text, `{"error_code":100`)
		require.Nil(t, r.got, "%s must not reach the service", test.call)
	}
}

func TestErrorsSpeakTheLanguageOfTheCaller(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.err = fault.Conflict("NAME_TAKEN", "the name is taken").Chinese("名称已被使用")
	for accept, want := range map[string]string{"": "the name is taken", "zh-CN,zh;q=0.9": "名称已被使用", "en": "the name is taken"} {
		got := r.do(t, "GET /users", "", "Accept-Language", accept)
		require.Equal(t, http.StatusConflict, got.status)
		require.JSONEq(t, `{"error_code":10006,"message":"`+want+`"}`, got.text)
		require.Equal(t, "Accept-Language", got.header.Get("Vary"))
	}
	got := r.do(t, "GET /users", "", "Accept-Language", "zh", "Authorization", "")
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.JSONEq(t, `{"error_code":10002,"message":"没有权限：请先登录"}`, got.text)
	require.Equal(t, "zh", got.header.Get("Content-Language"))
}
