package rpc_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// oneKey is a source of a single key.
type oneKey ed25519.PublicKey

func (k oneKey) PublicKey(context.Context, string) (ed25519.PublicKey, error) {
	return ed25519.PublicKey(k), nil
}

// users and jobs answer with what a test sets.
type users struct {
	authv1.UnimplementedUserServiceServer
	get func(ctx context.Context) error
}

func (u *users) GetCurrentUser(ctx context.Context, _ *authv1.GetCurrentUserRequest) (*authv1.GetCurrentUserResponse, error) {
	return &authv1.GetCurrentUserResponse{}, u.get(ctx)
}

type jobs struct {
	replicationv1.UnimplementedJobServiceServer
}

func (jobs) PauseJob(context.Context, *replicationv1.PauseJobRequest) (*replicationv1.PauseJobResponse, error) {
	return &replicationv1.PauseJobResponse{}, nil
}

type bundle struct {
	users   *users
	conn    *grpc.ClientConn
	logs    *observer.ObservedLogs
	private ed25519.PrivateKey
	healthy error
}

// serve starts a server on a unix socket and a client of it; both end with the test.
func serve(t *testing.T, timeout time.Duration) *bundle {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	core, logs := observer.New(zapcore.DebugLevel)
	b := &bundle{users: &users{get: func(context.Context) error { return nil }}, logs: logs, private: private}
	server, err := rpc.NewServer(rpc.ServerConfig{
		Log: zap.New(core), Metrics: prometheus.NewRegistry(), Keys: oneKey(public), Timeout: timeout, MaxMessage: 1 << 20,
		TrustedGateways: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Health:          func(context.Context) error { return b.healthy },
	})
	require.NoError(t, err)
	authv1.RegisterUserServiceServer(server, b.users)
	replicationv1.RegisterJobServiceServer(server, jobs{})
	address := "unix://" + filepath.Join(t.TempDir(), "s")
	listener, err := rpc.Listen(context.Background(), address)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener, time.Second) }()
	b.conn, err = rpc.Dial(rpc.ClientConfig{Target: address, MaxMessage: 1 << 20})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.conn.Close())
		stop()
		require.NoError(t, <-done)
	})
	return b
}

func (b *bundle) as(t *testing.T, p authn.Principal) context.Context {
	t.Helper()
	token, err := authn.Sign(p, "k", b.private, time.Now(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	return rpc.WithCall(context.Background(), rpc.Call{RequestID: "req-1"}.WithToken(token))
}

var admin = authn.Principal{Tenant: "acme", User: "ann", Role: authn.AdminRole}

func TestCallCarriesCallerRequestIDAndAddress(t *testing.T) {
	t.Parallel()
	b := serve(t, time.Minute)
	var seen rpc.Call
	var caller authn.Principal
	b.users.get = func(ctx context.Context) error {
		seen, caller = rpc.FromContext(ctx), authn.FromContext(ctx)
		return nil
	}
	ctx := metadata.AppendToOutgoingContext(b.as(t, admin), "x-client-address", "192.0.2.7")

	_, err := authv1.NewUserServiceClient(b.conn).GetCurrentUser(ctx, &authv1.GetCurrentUserRequest{})

	require.NoError(t, err)
	require.Equal(t, "req-1", seen.RequestID)
	require.Equal(t, "192.0.2.7", seen.Address.String(), "a unix socket is trusted to tell the address")
	require.Equal(t, admin, caller)
	line := b.logs.FilterMessage("call").All()[0].ContextMap()
	require.Equal(t, "acme:ann", line["user"])
	require.Equal(t, "acme", line["tenant"])
	require.Equal(t, "req-1", line["request_id"])
	require.Equal(t, "OK", line["code"])
}

func TestErrorsAreSealed(t *testing.T) {
	t.Parallel()
	b := serve(t, time.Minute)
	for name, tc := range map[string]struct {
		fail   func(context.Context) error
		code   codes.Code
		reason string
		text   string
	}{
		"a fault is shown":              {func(context.Context) error { return fault.NotFound("NO_SUCH_THING", "no thing %d", 7) }, codes.NotFound, "NO_SUCH_THING", "no thing 7"},
		"its cause is not":              {func(context.Context) error { return fault.Denied("NO", "no").Wrap(errors.New("secret")) }, codes.PermissionDenied, "NO", "no"},
		"anything else is hidden":       {func(context.Context) error { return errors.New("pq: password=secret") }, codes.Internal, "INTERNAL", "internal error; the log has more under request id req-1"},
		"a panic is hidden":             {func(context.Context) error { panic("secret") }, codes.Internal, "INTERNAL", "internal error; the log has more under request id req-1"},
		"time-outs are named":           {func(context.Context) error { return context.DeadlineExceeded }, codes.DeadlineExceeded, "DEADLINE_EXCEEDED", "the call took too long"},
		"a foreign status is not shown": {func(context.Context) error { return status.Error(codes.Internal, "secret") }, codes.Internal, "INTERNAL", "internal error; the log has more under request id req-1"},
	} {
		t.Run(name, func(t *testing.T) {
			b.users.get = tc.fail
			_, err := authv1.NewUserServiceClient(b.conn).GetCurrentUser(b.as(t, admin), &authv1.GetCurrentUserRequest{})
			f := fault.From(err)
			require.Equal(t, tc.code, f.Code)
			require.Equal(t, tc.reason, f.Reason)
			require.Equal(t, tc.text, f.Message)
		})
	}
	require.NotEmpty(t, b.logs.FilterLevelExact(zap.ErrorLevel).All(), "the log has the cause")
}

func TestAccessIsCheckedBeforeTheRequestIs(t *testing.T) {
	t.Parallel()
	b := serve(t, time.Minute)
	client := replicationv1.NewJobServiceClient(b.conn)
	wrong := &replicationv1.PauseJobRequest{JobType: "made-up"}

	_, err := client.PauseJob(context.Background(), wrong)
	require.True(t, fault.Is(err, "UNAUTHENTICATED"), "got %v", err)
	_, err = client.PauseJob(rpc.WithCall(context.Background(), rpc.Call{}.WithToken("rubbish")), wrong)
	require.True(t, fault.Is(err, "TOKEN_INVALID"), "got %v", err)
	_, err = client.PauseJob(b.as(t, authn.Principal{Tenant: "acme", User: "op", Role: "operator"}), wrong)
	require.True(t, fault.Is(err, "FORBIDDEN"), "got %v", err)

	_, err = client.PauseJob(b.as(t, admin), wrong)
	f := fault.From(err)
	require.Equal(t, codes.InvalidArgument, f.Code)
	require.Equal(t, []string{"job_type", "job_id"}, []string{f.Fields[0].Name, f.Fields[1].Name})

	_, err = client.PauseJob(b.as(t, admin), &replicationv1.PauseJobRequest{JobType: "sync", JobId: "a-sync"})
	require.NoError(t, err)
}

func TestARequestWrongAllOverIsAnsweredShortly(t *testing.T) {
	t.Parallel()
	b := serve(t, time.Minute)
	source := &replicationv1.SourceTask{TaskName: "src"}
	for range 10000 {
		source.ReplicateDoDb = append(source.ReplicateDoDb, &replicationv1.SchemaRule{TableSchema: strings.Repeat("x", 65)})
	}
	_, err := replicationv1.NewJobServiceClient(b.conn).CreateJob(b.as(t, admin), &replicationv1.CreateJobRequest{
		JobType: "sync", Job: &replicationv1.JobConfig{JobId: "a", SrcTask: source},
	})
	f := fault.From(err)
	require.Equal(t, "INVALID_REQUEST", f.Reason, "%v", err)
	require.Less(t, len(f.Message), 10000)
	require.Contains(t, f.Message, "more wrong fields")
}

func TestCallsGetADeadline(t *testing.T) {
	t.Parallel()
	b := serve(t, 50*time.Millisecond)
	b.users.get = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	_, err := authv1.NewUserServiceClient(b.conn).GetCurrentUser(b.as(t, admin), &authv1.GetCurrentUserRequest{})
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
}

func TestHealthFollowsTheService(t *testing.T) {
	t.Parallel()
	b := serve(t, time.Minute)
	require.Eventually(t, func() bool {
		answer, err := healthv1.NewHealthClient(b.conn).Check(context.Background(), &healthv1.HealthCheckRequest{})
		return err == nil && answer.GetStatus() == healthv1.HealthCheckResponse_SERVING
	}, time.Minute, 10*time.Millisecond)
}

func TestServeRefusesAMethodWithoutRule(t *testing.T) {
	t.Parallel()
	server, err := rpc.NewServer(rpc.ServerConfig{
		Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Keys: oneKey(nil), Timeout: time.Second, MaxMessage: 1 << 20,
		Health: func(context.Context) error { return nil },
	})
	require.NoError(t, err)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "opsdeck.nobody.v1.NobodyService", HandlerType: (*any)(nil)}, struct{}{})
	listener, err := rpc.Listen(context.Background(), "unix://"+filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	require.ErrorContains(t, server.Serve(context.Background(), listener, time.Second), "refusing to serve")
}

func TestListenReplacesOnlyADeadSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err := rpc.Listen(t.Context(), "unix://"+path)
	require.ErrorContains(t, err, "no socket")
	require.FileExists(t, path)

	require.NoError(t, os.Remove(path))
	alive, err := rpc.Listen(t.Context(), "unix://"+path)
	require.NoError(t, err)
	_, err = rpc.Listen(t.Context(), "unix://"+path)
	require.ErrorContains(t, err, "another process listens")
	alive.(*net.UnixListener).SetUnlinkOnClose(false) // as kill -9 leaves it
	require.NoError(t, alive.Close())
	again, err := rpc.Listen(t.Context(), "unix://"+path)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestHalfACertificateIsRefused(t *testing.T) {
	t.Parallel()
	for _, half := range []rpc.TLSConfig{{Cert: "cert.pem"}, {Key: "key.pem"}, {Key: "key.pem", CA: "ca.pem"}} {
		_, err := half.Server()
		require.ErrorContains(t, err, "TLS_CERT and TLS_KEY")
		_, err = half.Client()
		require.ErrorContains(t, err, "TLS_CERT and TLS_KEY")
	}
}

func TestRequireTLS(t *testing.T) {
	t.Parallel()
	for address, private := range map[string]bool{
		"unix:///run/x": true, "127.0.0.1:7100": true, "[::1]:7100": true, "localhost:1": true,
		":7100": false, "0.0.0.0:7100": false, "10.0.0.1:7100": false, "db.example.com:1": false,
	} {
		require.Equal(t, private, rpc.RequireTLS(address, nil) == nil, address)
	}
}
