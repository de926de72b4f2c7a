package dns_test

import (
	"context"
	"crypto/ed25519"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
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
	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus/server"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	dns "github.com/opsdeck/opsdeck/services/dns"
	"github.com/opsdeck/opsdeck/services/dns/internal/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	natsUser   = "opsdeck"
	patience   = 3 * time.Minute
	moment     = 20 * time.Millisecond
	maxMessage = 32 << 20
)

// Callers of the tests.
var (
	alice  = authn.Principal{Tenant: "shop", User: "alice", Role: "admin"}    // manages servers
	carol  = authn.Principal{Tenant: "shop", User: "carol", Role: "operator"} // has the module, nothing else
	bob    = authn.Principal{Tenant: "bank", User: "bob", Role: "admin"}
	nobody = authn.Principal{Tenant: "shop", User: "eve", Role: "guest"}
	cmdb   = authn.Principal{Service: "cmdb"}
)

// rights are what roles hold.
var rights = map[string][]string{
	"admin":    {"admin", "module:dns.enable_dns_mgmt", "module:dns.manage_dns_server"},
	"operator": {"module:dns.enable_dns_mgmt"},
}

// service is the dns service with a database, a NATS server and an auth service of its own.
type service struct {
	t    testing.TB
	cfg  dns.Config
	auth *authServer
	pool *pgxpool.Pool
	stop func()
}

// start runs the service until the test ends.
func start(t testing.TB, options ...func(*dns.Config)) *service {
	t.Helper()
	events, err := server.Start(t.Context(), server.Config{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", Users: []server.User{{Name: natsUser, Password: "nats-password"}},
	}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, events.Stop(context.Background())) })
	s := &service{t: t, auth: newAuthServer(t)}
	s.cfg.DatabaseURL = pgtest.URL(t, "dns", migrations.FS)
	s.cfg.DatabaseConns = 8
	s.cfg.NATSURL, s.cfg.NATSUser, s.cfg.NATSPassword = events.URL(), natsUser, "nats-password"
	s.cfg.SealKeys = filepath.Join(t.TempDir(), "seal.keys")
	require.NoError(t, secret.Generate(s.cfg.SealKeys))
	s.cfg.GRPCAddr = socket(t)
	s.cfg.TrustedGateways = []netip.Prefix{}
	s.cfg.RequestTimeout, s.cfg.Drain, s.cfg.MaxMessage = 2*patience, 5*time.Second, maxMessage
	s.cfg.AuthAddr = s.auth.serve(t)
	s.cfg.PushWait, s.cfg.DefaultTTL, s.cfg.NameServers, s.cfg.Threshold = patience, 3600, []string{"ns1.example.net"}, 30
	s.cfg.DriftInterval, s.cfg.DriftFull, s.cfg.KeepChanges = time.Hour, time.Hour, time.Hour
	for _, o := range options {
		o(&s.cfg)
	}
	s.run()
	s.pool, err = pg.Open(t.Context(), s.cfg.DatabaseURL, pg.Options{Application: t.Name()})
	require.NoError(t, err)
	t.Cleanup(s.pool.Close)
	return s
}

func (s *service) run() {
	require.NoError(s.t, s.cfg.Validate())
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "fatal"})
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- dns.Run(ctx, rt, s.cfg) }()
	ended := false
	s.stop = func() {
		if !ended {
			ended = true
			cancel()
			require.NoError(s.t, <-done)
		}
	}
	s.t.Cleanup(func() { s.stop() })
	require.Eventually(s.t, func() bool {
		select {
		case err := <-done:
			done <- err
			s.t.Errorf("the service ended: %v", err)
			return true
		default:
		}
		conn, err := net.Dial("unix", s.cfg.GRPCAddr[len("unix://"):])
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, patience, moment)
}

// client is a caller of the service.
type client struct {
	dnsv1.ServerServiceClient
	dnsv1.DomainServiceClient
	dnsv1.RecordServiceClient
	dnsv1.ChangeServiceClient
	dnsv1.DriftServiceClient
	dnsv1.OperationServiceClient
	dnsv1.RequestServiceClient
}

// as connects to the service as a caller.
func (s *service) as(p authn.Principal) client {
	s.t.Helper()
	conn, err := rpc.Dial(rpc.ClientConfig{Target: s.cfg.GRPCAddr, Identity: s.auth.token(s.t, p), MaxMessage: maxMessage})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, conn.Close()) })
	return client{
		dnsv1.NewServerServiceClient(conn), dnsv1.NewDomainServiceClient(conn), dnsv1.NewRecordServiceClient(conn),
		dnsv1.NewChangeServiceClient(conn), dnsv1.NewDriftServiceClient(conn), dnsv1.NewOperationServiceClient(conn),
		dnsv1.NewRequestServiceClient(conn),
	}
}

// shortDir is a temporary directory that servers of other users can reach, with a path short enough for a unix socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dns-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711)) // servers run as other users
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func socket(t testing.TB) string {
	t.Helper()
	return "unix://" + filepath.Join(shortDir(t), "s")
}

// authServer signs with one key and knows the rights of roles.
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

func (a *authServer) serve(t testing.TB) string {
	t.Helper()
	address := socket(t)
	listener, err := rpc.Listen(t.Context(), address)
	require.NoError(t, err)
	g := grpc.NewServer()
	authv1.RegisterKeyServiceServer(g, a)
	authv1.RegisterAccessServiceServer(g, a)
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		require.NoError(t, <-done)
	})
	return address
}

// token is a TokenSource for one caller.
type token string

func (t token) Token(context.Context) (string, error) { return string(t), nil }

func (a *authServer) token(t testing.TB, p authn.Principal) token {
	t.Helper()
	text, err := authn.Sign(p, keyID, a.private, time.Now(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	return token(text)
}

func (a *authServer) ListSigningKeys(context.Context, *authv1.ListSigningKeysRequest) (*authv1.ListSigningKeysResponse, error) {
	return &authv1.ListSigningKeysResponse{Keys: []*authv1.SigningKey{{Id: keyID, PublicKey: a.public, CreateTime: timestamppb.Now()}}}, nil
}

// PublicKey makes the server the source of its own keys.
func (a *authServer) PublicKey(context.Context, string) (ed25519.PublicKey, error) {
	return a.public, nil
}

// BatchCheck decides as auth does.
func (a *authServer) BatchCheck(ctx context.Context, r *authv1.BatchCheckRequest) (*authv1.BatchCheckResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	_, text, _ := strings.Cut(strings.Join(md.Get("authorization"), ""), " ")
	caller, err := authn.NewVerifier(a).Verify(ctx, text)
	if err != nil {
		return nil, err
	}
	answer := &authv1.BatchCheckResponse{Scope: &authv1.Scope{Kind: access.ScopeAll, EveryTenant: caller.IsPlatform()}}
	for _, right := range r.GetRights() {
		answer.Allowed = append(answer.Allowed, slices.Contains(rights[caller.Role], right))
	}
	return answer, nil
}
