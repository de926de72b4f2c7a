package replication_test

import (
	"context"
	"crypto/ed25519"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus/server"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	replication "github.com/opsdeck/opsdeck/services/replication-jobs"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	natsUser      = "opsdeck"
	workerService = "replication-worker"
	patience      = 3 * time.Minute
	moment        = 20 * time.Millisecond
)

// Callers of the tests.
var (
	admin    = authn.Principal{Tenant: "platform", User: "admin", Role: "admin"}
	alice    = authn.Principal{Tenant: "shop", User: "alice", Role: "admin"}
	bob      = authn.Principal{Tenant: "bank", User: "bob", Role: "admin"}
	anyone   = authn.Principal{Tenant: "shop", User: "eve", Role: "reader"}
	asWorker = authn.Principal{Service: workerService}
)

// manager is a running manager with everything it stands on.
type manager struct {
	t        testing.TB
	cfg      replication.Config
	auth     *authServer
	authAddr string
	natsURL  string
	pool     *pgxpool.Pool
}

// option changes the configuration of a manager before it starts.
type option func(*replication.Config)

// startManager runs a manager on a database, a NATS server and an auth service of its own until the test ends.
func startManager(t testing.TB, options ...option) *manager {
	t.Helper()
	events, err := server.Start(t.Context(), server.Config{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", Users: []server.User{{Name: natsUser, Password: "nats-password"}},
	}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, events.Stop(context.Background())) })

	m := &manager{t: t, auth: newAuthServer(t), natsURL: events.URL()}
	m.authAddr = m.auth.serve(t)
	m.cfg.DatabaseURL = pgtest.URL(t, "replication", migrations.FS)
	m.cfg.DatabaseConns = 8
	m.cfg.NATSURL, m.cfg.NATSUser, m.cfg.NATSPassword = m.natsURL, natsUser, "nats-password"
	m.cfg.SealKeys = filepath.Join(t.TempDir(), "seal.keys")
	require.NoError(t, secret.Generate(m.cfg.SealKeys))
	m.cfg.GRPCAddr = socket(t)
	m.cfg.TrustedGateways = []netip.Prefix{}
	m.cfg.RequestTimeout, m.cfg.Drain, m.cfg.MaxMessage = patience, 5*time.Second, 4<<20
	m.cfg.AuthAddr = m.authAddr
	m.cfg.Lease, m.cfg.Interval = time.Hour, 50*time.Millisecond // no node is dead that is merely slow
	for _, o := range options {
		o(&m.cfg)
	}
	m.run()
	m.pool, err = pg.Open(t.Context(), m.cfg.DatabaseURL, pg.Options{Application: t.Name()})
	require.NoError(t, err)
	t.Cleanup(m.pool.Close)
	return m
}

func (m *manager) run() {
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "fatal"})
	require.NoError(m.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- replication.Run(ctx, rt, m.cfg) }()
	m.t.Cleanup(func() {
		cancel()
		require.NoError(m.t, <-done)
	})
	require.Eventually(m.t, func() bool {
		select {
		case err := <-done:
			done <- err
			m.t.Errorf("the manager ended: %v", err)
			return true
		default:
		}
		conn, err := net.Dial("unix", m.cfg.GRPCAddr[len("unix://"):])
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, patience, moment)
}

// socket returns an address of a unix socket; the path of t.TempDir may be too long for one.
func socket(t testing.TB) string {
	t.Helper()
	return "unix://" + filepath.Join(shortDir(t), "s")
}

// as connects to the manager as a caller.
func (m *manager) as(p authn.Principal) *grpc.ClientConn {
	m.t.Helper()
	conn, err := rpc.Dial(rpc.ClientConfig{Target: m.cfg.GRPCAddr, Identity: m.auth.token(m.t, p), MaxMessage: 4 << 20})
	require.NoError(m.t, err)
	m.t.Cleanup(func() { require.NoError(m.t, conn.Close()) })
	return conn
}

func (m *manager) jobs(p authn.Principal) replicationv1.JobServiceClient {
	m.t.Helper()
	return replicationv1.NewJobServiceClient(m.as(p))
}

// authServer signs with one key and knows one service.
type authServer struct {
	authv1.UnimplementedKeyServiceServer
	authv1.UnimplementedAccessServiceServer

	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

const keyID = "test"

func newAuthServer(t testing.TB) *authServer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return &authServer{public: public, private: private}
}

func (s *authServer) serve(t testing.TB) string {
	t.Helper()
	address := socket(t)
	listener, err := rpc.Listen(t.Context(), address)
	require.NoError(t, err)
	g := grpc.NewServer()
	authv1.RegisterKeyServiceServer(g, s)
	authv1.RegisterAccessServiceServer(g, s)
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		require.NoError(t, <-done)
	})
	return address
}

func (s *authServer) sign(p authn.Principal) (string, error) {
	return authn.Sign(p, keyID, s.private, time.Now(), time.Now().Add(time.Hour))
}

// token is a TokenSource for one caller.
type token string

func (t token) Token(context.Context) (string, error) { return string(t), nil }

func (s *authServer) token(t testing.TB, p authn.Principal) token {
	t.Helper()
	text, err := s.sign(p)
	require.NoError(t, err)
	return token(text)
}

func (s *authServer) ListSigningKeys(context.Context, *authv1.ListSigningKeysRequest) (*authv1.ListSigningKeysResponse, error) {
	return &authv1.ListSigningKeysResponse{Keys: []*authv1.SigningKey{{Id: keyID, PublicKey: s.public, CreateTime: timestamppb.Now()}}}, nil
}

func (s *authServer) IssueServiceToken(_ context.Context, r *authv1.IssueServiceTokenRequest) (*authv1.IssueServiceTokenResponse, error) {
	text, err := s.sign(authn.Principal{Service: r.GetService()})
	return &authv1.IssueServiceTokenResponse{Token: text, ExpireTime: timestamppb.New(time.Now().Add(time.Hour))}, err
}

// PublicKey makes the server the source of its own keys.
func (s *authServer) PublicKey(context.Context, string) (ed25519.PublicKey, error) {
	return s.public, nil
}

// BatchCheck decides as auth does: admins open everything of their tenants, operators every action for their own jobs and dora's.
func (s *authServer) BatchCheck(ctx context.Context, r *authv1.BatchCheckRequest) (*authv1.BatchCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	_, text, _ := strings.Cut(strings.Join(md.Get("authorization"), ""), " ")
	caller, err := authn.NewVerifier(s).Verify(ctx, text)
	if err != nil {
		return nil, err
	}
	scope := &authv1.Scope{Kind: access.ScopeUsers, Users: []string{"shop:dora"}, EveryTenant: caller.IsPlatform()}
	if caller.Role == authn.AdminRole {
		scope = &authv1.Scope{Kind: access.ScopeAll, EveryTenant: caller.IsPlatform()}
	}
	answer := &authv1.BatchCheckResponse{Scope: scope}
	for range r.GetRights() {
		answer.Allowed = append(answer.Allowed, caller.Role == authn.AdminRole || caller.Role == "operator")
	}
	return answer, nil
}
