package gateway_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

// backend stands in for the services: real gRPC with the real interceptors, and answers that a test chooses.
type backend struct {
	authv1.UnimplementedApplicationGrantServiceServer
	authv1.UnimplementedCookieServiceServer
	authv1.UnimplementedExchangeServiceServer
	authv1.UnimplementedGrantAuditServiceServer
	authv1.UnimplementedHostGrantServiceServer
	authv1.UnimplementedKeyServiceServer
	authv1.UnimplementedMenuServiceServer
	authv1.UnimplementedOidcServiceServer
	authv1.UnimplementedPermissionServiceServer
	authv1.UnimplementedRecoveryServiceServer
	authv1.UnimplementedRefreshServiceServer
	authv1.UnimplementedRoleServiceServer
	authv1.UnimplementedSecondFactorServiceServer
	authv1.UnimplementedSessionServiceServer
	authv1.UnimplementedTenantServiceServer
	authv1.UnimplementedTokenServiceServer
	authv1.UnimplementedUserServiceServer
	dnsv1.UnimplementedServerServiceServer
	dnsv1.UnimplementedDomainServiceServer
	dnsv1.UnimplementedRecordServiceServer
	dnsv1.UnimplementedChangeServiceServer
	dnsv1.UnimplementedDriftServiceServer
	dnsv1.UnimplementedOperationServiceServer
	replicationv1.UnimplementedJobServiceServer
	replicationv1.UnimplementedMonitorServiceServer
	replicationv1.UnimplementedMySQLServiceServer
	replicationv1.UnimplementedNodeServiceServer

	address string
	token   string // of platform/admin
	public  ed25519.PublicKey
	private ed25519.PrivateKey

	mu      sync.Mutex
	handle  map[string]handler // by method name
	healthy error
}

type handler func(ctx context.Context, request proto.Message) (proto.Message, error)

// on makes method answer by h.
func (b *backend) on(method string, h handler) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handle[method] = h
}

// always makes method give one answer.
func (b *backend) always(method string, answer proto.Message) {
	b.on(method, func(context.Context, proto.Message) (proto.Message, error) { return answer, nil })
}

func answer[A proto.Message](ctx context.Context, b *backend, method string, request proto.Message) (A, error) {
	var none A
	b.mu.Lock()
	h := b.handle[method]
	b.mu.Unlock()
	if h == nil {
		return none, fmt.Errorf("the test has no answer for %s", method)
	}
	got, err := h(ctx, request)
	if err != nil {
		return none, err
	}
	return got.(A), nil
}

type key struct{ public ed25519.PublicKey }

func (k key) PublicKey(context.Context, string) (ed25519.PublicKey, error) { return k.public, nil }

// newBackend starts one on a unix socket.
func newBackend(t *testing.T) *backend {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	admin := authn.Principal{Tenant: authn.PlatformTenant, User: "admin", Role: authn.AdminRole, Session: "1"}
	token, err := authn.Sign(admin, "k1", private, time.Now(), time.Now().Add(time.Hour))
	require.NoError(t, err)

	socket := filepath.Join(t.TempDir(), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	b := &backend{address: "unix://" + socket, token: token, public: public, private: private, handle: map[string]handler{}}
	server, err := rpc.NewServer(rpc.ServerConfig{
		Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Keys: key{public}, Timeout: 10 * time.Second, MaxMessage: 4 << 20,
		Health: func(context.Context) error { b.mu.Lock(); defer b.mu.Unlock(); return b.healthy },
	})
	require.NoError(t, err)
	authv1.RegisterApplicationGrantServiceServer(server, b)
	authv1.RegisterCookieServiceServer(server, b)
	authv1.RegisterExchangeServiceServer(server, b)
	authv1.RegisterGrantAuditServiceServer(server, b)
	authv1.RegisterHostGrantServiceServer(server, b)
	authv1.RegisterKeyServiceServer(server, b)
	authv1.RegisterMenuServiceServer(server, b)
	authv1.RegisterOidcServiceServer(server, b)
	authv1.RegisterPermissionServiceServer(server, b)
	authv1.RegisterRecoveryServiceServer(server, b)
	authv1.RegisterRefreshServiceServer(server, b)
	authv1.RegisterRoleServiceServer(server, b)
	authv1.RegisterSecondFactorServiceServer(server, b)
	authv1.RegisterSessionServiceServer(server, b)
	authv1.RegisterTenantServiceServer(server, b)
	authv1.RegisterTokenServiceServer(server, b)
	authv1.RegisterUserServiceServer(server, b)
	dnsv1.RegisterServerServiceServer(server, b)
	dnsv1.RegisterDomainServiceServer(server, b)
	dnsv1.RegisterRecordServiceServer(server, b)
	dnsv1.RegisterChangeServiceServer(server, b)
	dnsv1.RegisterDriftServiceServer(server, b)
	dnsv1.RegisterOperationServiceServer(server, b)
	replicationv1.RegisterJobServiceServer(server, b)
	replicationv1.RegisterMonitorServiceServer(server, b)
	replicationv1.RegisterMySQLServiceServer(server, b)
	replicationv1.RegisterNodeServiceServer(server, b)

	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener, time.Second) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-served)
	})
	return b
}

func (b *backend) ListSigningKeys(context.Context, *authv1.ListSigningKeysRequest) (*authv1.ListSigningKeysResponse, error) {
	return &authv1.ListSigningKeysResponse{Keys: []*authv1.SigningKey{{Id: "k1", PublicKey: b.public}}}, nil
}

func (b *backend) CreateCaptcha(ctx context.Context, r *authv1.CreateCaptchaRequest) (*authv1.CreateCaptchaResponse, error) {
	return answer[*authv1.CreateCaptchaResponse](ctx, b, "CreateCaptcha", r)
}

func (b *backend) Login(ctx context.Context, r *authv1.LoginRequest) (*authv1.LoginResponse, error) {
	return answer[*authv1.LoginResponse](ctx, b, "Login", r)
}

func (b *backend) GetCurrentUser(ctx context.Context, r *authv1.GetCurrentUserRequest) (*authv1.GetCurrentUserResponse, error) {
	return answer[*authv1.GetCurrentUserResponse](ctx, b, "GetCurrentUser", r)
}

func (b *backend) ChangePassword(ctx context.Context, r *authv1.ChangePasswordRequest) (*authv1.ChangePasswordResponse, error) {
	return answer[*authv1.ChangePasswordResponse](ctx, b, "ChangePassword", r)
}

func (b *backend) ForgetPassword(ctx context.Context, r *authv1.ForgetPasswordRequest) (*authv1.ForgetPasswordResponse, error) {
	return answer[*authv1.ForgetPasswordResponse](ctx, b, "ForgetPassword", r)
}

func (b *backend) StartOidcLogin(ctx context.Context, r *authv1.StartOidcLoginRequest) (*authv1.StartOidcLoginResponse, error) {
	return answer[*authv1.StartOidcLoginResponse](ctx, b, "StartOidcLogin", r)
}

func (b *backend) FinishOidcLogin(ctx context.Context, r *authv1.FinishOidcLoginRequest) (*authv1.FinishOidcLoginResponse, error) {
	return answer[*authv1.FinishOidcLoginResponse](ctx, b, "FinishOidcLogin", r)
}

func (b *backend) CreateJob(ctx context.Context, r *replicationv1.CreateJobRequest) (*replicationv1.CreateJobResponse, error) {
	return answer[*replicationv1.CreateJobResponse](ctx, b, "CreateJob", r)
}

func (b *backend) ListJobs(ctx context.Context, r *replicationv1.ListJobsRequest) (*replicationv1.ListJobsResponse, error) {
	return answer[*replicationv1.ListJobsResponse](ctx, b, "ListJobs", r)
}

func (b *backend) GetJob(ctx context.Context, r *replicationv1.GetJobRequest) (*replicationv1.GetJobResponse, error) {
	return answer[*replicationv1.GetJobResponse](ctx, b, "GetJob", r)
}

func (b *backend) PauseJob(ctx context.Context, r *replicationv1.PauseJobRequest) (*replicationv1.PauseJobResponse, error) {
	return answer[*replicationv1.PauseJobResponse](ctx, b, "PauseJob", r)
}

func (b *backend) ResumeJob(ctx context.Context, r *replicationv1.ResumeJobRequest) (*replicationv1.ResumeJobResponse, error) {
	return answer[*replicationv1.ResumeJobResponse](ctx, b, "ResumeJob", r)
}

func (b *backend) DeleteJob(ctx context.Context, r *replicationv1.DeleteJobRequest) (*replicationv1.DeleteJobResponse, error) {
	return answer[*replicationv1.DeleteJobResponse](ctx, b, "DeleteJob", r)
}

func (b *backend) GetTaskStatus(ctx context.Context, r *replicationv1.GetTaskStatusRequest) (*replicationv1.GetTaskStatusResponse, error) {
	return answer[*replicationv1.GetTaskStatusResponse](ctx, b, "GetTaskStatus", r)
}

func (b *backend) ListSchemas(ctx context.Context, r *replicationv1.ListSchemasRequest) (*replicationv1.ListSchemasResponse, error) {
	return answer[*replicationv1.ListSchemasResponse](ctx, b, "ListSchemas", r)
}

func (b *backend) ListColumns(ctx context.Context, r *replicationv1.ListColumnsRequest) (*replicationv1.ListColumnsResponse, error) {
	return answer[*replicationv1.ListColumnsResponse](ctx, b, "ListColumns", r)
}

func (b *backend) CheckConnection(ctx context.Context, r *replicationv1.CheckConnectionRequest) (*replicationv1.CheckConnectionResponse, error) {
	return answer[*replicationv1.CheckConnectionResponse](ctx, b, "CheckConnection", r)
}

func (b *backend) ListNodes(ctx context.Context, r *replicationv1.ListNodesRequest) (*replicationv1.ListNodesResponse, error) {
	return answer[*replicationv1.ListNodesResponse](ctx, b, "ListNodes", r)
}

func (b *backend) ListUsers(ctx context.Context, r *authv1.ListUsersRequest) (*authv1.ListUsersResponse, error) {
	return answer[*authv1.ListUsersResponse](ctx, b, "ListUsers", r)
}

func (b *backend) CreateUser(ctx context.Context, r *authv1.CreateUserRequest) (*authv1.CreateUserResponse, error) {
	return answer[*authv1.CreateUserResponse](ctx, b, "CreateUser", r)
}

func (b *backend) UpdateUser(ctx context.Context, r *authv1.UpdateUserRequest) (*authv1.UpdateUserResponse, error) {
	return answer[*authv1.UpdateUserResponse](ctx, b, "UpdateUser", r)
}

func (b *backend) ResetPassword(ctx context.Context, r *authv1.ResetPasswordRequest) (*authv1.ResetPasswordResponse, error) {
	return answer[*authv1.ResetPasswordResponse](ctx, b, "ResetPassword", r)
}

func (b *backend) DeleteUser(ctx context.Context, r *authv1.DeleteUserRequest) (*authv1.DeleteUserResponse, error) {
	return answer[*authv1.DeleteUserResponse](ctx, b, "DeleteUser", r)
}

func (b *backend) ListTenants(ctx context.Context, r *authv1.ListTenantsRequest) (*authv1.ListTenantsResponse, error) {
	return answer[*authv1.ListTenantsResponse](ctx, b, "ListTenants", r)
}

func (b *backend) ListActions(ctx context.Context, r *authv1.ListActionsRequest) (*authv1.ListActionsResponse, error) {
	return answer[*authv1.ListActionsResponse](ctx, b, "ListActions", r)
}

func (b *backend) ListRoles(ctx context.Context, r *authv1.ListRolesRequest) (*authv1.ListRolesResponse, error) {
	return answer[*authv1.ListRolesResponse](ctx, b, "ListRoles", r)
}

func (b *backend) CreateRole(ctx context.Context, r *authv1.CreateRoleRequest) (*authv1.CreateRoleResponse, error) {
	return answer[*authv1.CreateRoleResponse](ctx, b, "CreateRole", r)
}

func (b *backend) UpdateRole(ctx context.Context, r *authv1.UpdateRoleRequest) (*authv1.UpdateRoleResponse, error) {
	return answer[*authv1.UpdateRoleResponse](ctx, b, "UpdateRole", r)
}

func (b *backend) DeleteRole(ctx context.Context, r *authv1.DeleteRoleRequest) (*authv1.DeleteRoleResponse, error) {
	return answer[*authv1.DeleteRoleResponse](ctx, b, "DeleteRole", r)
}
