package session

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/captcha"
	"github.com/opsdeck/opsdeck/services/auth/internal/mail"
	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
	"github.com/opsdeck/opsdeck/services/auth/internal/totp"
	"github.com/opsdeck/opsdeck/services/auth/internal/user"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	demo          = "12345"
	rightAnswer   = demo
	wrongAnswer   = "54321"
	adminSecret   = "correct horse"
	manyPerMinute = 100000
)

// bundle is a SessionService behind a real server, with a clock that the test turns.
type bundle struct {
	cfg    Config
	pool   *pgxpool.Pool
	client authv1.SessionServiceClient

	mu    sync.Mutex
	clock time.Time
}

func (b *bundle) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock
}

func (b *bundle) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock = b.clock.Add(d)
}

func newBundle(t *testing.T, change ...func(*Config)) *bundle {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, secret.Generate(path))
	sealer, err := secret.Load(path)
	require.NoError(t, err)
	b := &bundle{pool: pgtest.New(t, "auth", migrations.FS), clock: time.Now()}
	b.cfg = Config{Pool: b.pool, LoginsPerMinute: manyPerMinute, CaptchasPerMinute: manyPerMinute, Now: b.now}
	b.cfg.Queue, err = jobs.New(b.pool, "auth", nil, zap.NewNop(), jobs.Options{})
	require.NoError(t, err)
	b.cfg.Captchas = captcha.New(b.pool, sealer, demo, b.now)
	b.cfg.Passwords, err = password.New(password.Params{Memory: 64, Passes: 1, Threads: 1}, 2, 10*time.Second)
	require.NoError(t, err)
	b.cfg.Keys, err = signing.New(b.pool, sealer, 30*24*time.Hour, b.now)
	require.NoError(t, err)
	require.NoError(t, b.cfg.Keys.Rotate(t.Context()))
	b.cfg.Factors = &totp.Factors{Pool: b.pool, Sealer: sealer, Mails: mail.Outbox{Queue: b.cfg.Queue, Sealer: sealer, Enabled: true}, Now: b.now}
	require.NoError(t, user.Bootstrap(t.Context(), b.pool, b.cfg.Passwords, adminSecret, &bytes.Buffer{}, b.now()))
	for _, f := range change {
		f(&b.cfg)
	}
	b.client = authv1.NewSessionServiceClient(b.serve(t))
	return b
}

// serve runs a replica.
func (b *bundle) serve(t *testing.T) *grpc.ClientConn {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerConfig{
		Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Keys: b.cfg.Keys, Timeout: time.Minute, MaxMessage: 4 << 20,
		Health: b.pool.Ping,
	})
	require.NoError(t, err)
	authv1.RegisterSessionServiceServer(server, NewServer(b.cfg))
	target := "unix://" + filepath.Join(t.TempDir(), "s")
	listener, err := rpc.Listen(context.Background(), target)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener, time.Second) }()
	conn, err := rpc.Dial(rpc.ClientConfig{Target: target, MaxMessage: 4 << 20})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		stop()
		require.NoError(t, <-served)
	})
	return conn
}

func (b *bundle) captcha(t *testing.T) string {
	t.Helper()
	answer, err := b.client.CreateCaptcha(t.Context(), &authv1.CreateCaptchaRequest{})
	require.NoError(t, err)
	return answer.GetId()
}

// login tries with a fresh captcha.
func (b *bundle) login(t *testing.T, r *authv1.LoginRequest) (*authv1.LoginResponse, error) {
	t.Helper()
	r.CaptchaId = b.captcha(t)
	return b.client.Login(t.Context(), r)
}

func right() *authv1.LoginRequest {
	return &authv1.LoginRequest{Tenant: "platform", Username: "admin", Password: adminSecret, Captcha: rightAnswer}
}

func with(change func(*authv1.LoginRequest)) *authv1.LoginRequest {
	r := right()
	change(r)
	return r
}
