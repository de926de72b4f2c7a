package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/encoding/protojson"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/bus/server"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	adminPassword = "correct horse"
	demoCaptcha   = "00042"
	workerSecret  = "0123456789abcdef"
)

// running is the service as an operator starts it: settings in, gRPC out.
type running struct {
	cfg  Config
	conn *grpc.ClientConn
	nats *nats.Conn
	log  *zap.Logger // of the service; nil for standard error
}

// file writes a file that a setting points to.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func start(t *testing.T) *running {
	t.Helper()
	return startWith(t, nil, nil)
}

// startWith starts the service with further settings, and with a log of the test's own.
func startWith(t *testing.T, settings map[string]string, log *zap.Logger) *running {
	t.Helper()
	dir := t.TempDir()
	natsServer, err := server.Start(t.Context(), server.Config{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", Users: []server.User{{Name: "auth", Password: "nats"}},
	}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, natsServer.Stop(context.WithoutCancel(t.Context()))) })
	seal := filepath.Join(dir, "seal")
	require.NoError(t, secret.Generate(seal))
	url := pgtest.URL(t, "auth", migrations.FS)
	for name, value := range map[string]string{
		"OPSDECK_AUTH_GRPC_ADDR":           "unix://" + filepath.Join(dir, "s"),
		"OPSDECK_AUTH_DATABASE_URL_FILE":   file(t, url),
		"OPSDECK_AUTH_NATS_URL":            natsServer.URL(),
		"OPSDECK_AUTH_NATS_USER":           "auth",
		"OPSDECK_AUTH_NATS_PASSWORD_FILE":  file(t, "nats"),
		"OPSDECK_AUTH_SEAL_KEYS":           seal,
		"OPSDECK_AUTH_PASSWORD_MEMORY_KIB": "64",
		"OPSDECK_AUTH_ADMIN_PASSWORD_FILE": file(t, adminPassword+"\n"),
		"OPSDECK_AUTH_SERVICE_KEYS":        file(t, "worker "+workerSecret+"\n"),
		"OPSDECK_AUTH_DEMO_CAPTCHA":        demoCaptcha,
	} {
		t.Setenv(name, value)
	}
	for name, value := range settings {
		t.Setenv(name, value)
	}
	r := &running{log: log}
	r.cfg, err = app.Load[Config]()
	require.NoError(t, err)
	require.NoError(t, Migrate(t.Context(), r.cfg))
	r.execute(t, `INSERT INTO auth.captchas (id, answer, expires_at) VALUES ('forgotten', '', now() - interval '1 day')`)
	r.run(t)
	r.nats, err = nats.Connect(natsServer.URL(), nats.UserInfo("auth", "nats"))
	require.NoError(t, err)
	t.Cleanup(r.nats.Close)
	r.dial(t)
	return r
}

// dial waits until the service serves.
func (r *running) dial(t *testing.T) {
	t.Helper()
	var err error
	r.conn, err = rpc.Dial(rpc.ClientConfig{Target: r.cfg.GRPCAddr, MaxMessage: 4 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.conn.Close()) })
	require.Eventually(t, func() bool {
		answer, err := healthv1.NewHealthClient(r.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true))
		return err == nil && answer.GetStatus() == healthv1.HealthCheckResponse_SERVING
	}, time.Minute, 20*time.Millisecond)
}

func (r *running) run(t *testing.T) {
	t.Helper()
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "error"})
	require.NoError(t, err)
	if r.log != nil {
		rt.Log = r.log
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, rt, r.cfg) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
}

func (r *running) login(t *testing.T, password string) (*authv1.LoginResponse, error) {
	t.Helper()
	sessions := authv1.NewSessionServiceClient(r.conn)
	c, err := sessions.CreateCaptcha(t.Context(), &authv1.CreateCaptchaRequest{CaptchaType: "default"})
	require.NoError(t, err)
	return sessions.Login(t.Context(), &authv1.LoginRequest{
		Tenant: "platform", Username: "admin", Password: password, CaptchaId: c.GetId(), Captcha: demoCaptcha,
	})
}

func (r *running) token(t *testing.T) string {
	t.Helper()
	answer, err := r.login(t, adminPassword)
	require.NoError(t, err)
	return answer.GetToken()
}

func (r *running) currentUser(t *testing.T, token string) (*authv1.User, error) {
	t.Helper()
	ctx := rpc.WithCall(t.Context(), rpc.Call{}.WithToken(token))
	answer, err := authv1.NewUserServiceClient(r.conn).GetCurrentUser(ctx, &authv1.GetCurrentUserRequest{})
	return answer.GetCurrentUser(), err
}

func (r *running) pool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), r.cfg.DatabaseURL, pg.Options{})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func (r *running) execute(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := r.pool(t).Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func TestService(t *testing.T) {
	r := start(t)
	t.Run("current user", r.testCurrentUser)
	t.Run("foreign tokens", r.testForeignTokens)
	t.Run("service tokens", r.testServiceTokens)
	t.Run("events", r.testEvents)
	t.Run("upkeep", r.testUpkeep)
	t.Run("sessions that ended", r.testEndedSessions)
}

func (r *running) testCurrentUser(t *testing.T) {
	user, err := r.currentUser(t, r.token(t))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), user.GetCreateTime().AsTime(), time.Minute)
	user.CreateTime = nil
	require.JSONEq(t, `{"username":"admin","tenant":"platform","role":"admin"}`, protojson.Format(user))

	_, err = r.currentUser(t, "")
	require.True(t, fault.Is(err, "UNAUTHENTICATED"), "%v", err)
}

func (r *running) testForeignTokens(t *testing.T) {
	token := r.token(t)
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	var claims authn.Claims
	parsed, _, err := jwt.NewParser().ParseUnverified(token, &claims)
	require.NoError(t, err)
	id := parsed.Header["kid"]
	keys, err := authv1.NewKeyServiceClient(r.conn).ListSigningKeys(t.Context(), &authv1.ListSigningKeysRequest{})
	require.NoError(t, err)
	require.Len(t, keys.GetKeys(), 1)
	require.Equal(t, id, keys.GetKeys()[0].GetId())

	forge := func(method jwt.SigningMethod, key any) string {
		forged := jwt.NewWithClaims(method, claims)
		forged.Header["kid"] = id
		text, err := forged.SignedString(key)
		require.NoError(t, err)
		return text
	}
	for name, forged := range map[string]string{
		"alg none":                    forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"HS256 with the public key":   forge(jwt.SigningMethodHS256, keys.GetKeys()[0].GetPublicKey()),
		"HS256 with dtle's secret":    forge(jwt.SigningMethodHS256, []byte("secret")),
		"no signature":                header + "." + payload + ".",
		"another payload":             header + "." + payload[:len(payload)-4] + "AAAA." + signature,
		"another key":                 forge(jwt.SigningMethodEdDSA, newKey(t)),
		"not a token":                 "hello",
		"a signature with more to it": token + "x",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.currentUser(t, forged)
			require.True(t, fault.Is(err, "TOKEN_INVALID"), "%v", err)
		})
	}
}

func (r *running) testServiceTokens(t *testing.T) {
	client := authv1.NewKeyServiceClient(r.conn)
	token, err := authn.NewServiceTokens(client, "worker", workerSecret).Token(t.Context())
	require.NoError(t, err)
	caller, err := authn.NewVerifier(authn.NewRemoteKeys(client)).Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, authn.Principal{Service: "worker"}, caller)
	_, err = r.currentUser(t, token)
	require.True(t, fault.Is(err, "FORBIDDEN"), "%v", err)

	for service, key := range map[string]string{"worker": "fedcba9876543210", "nobody": workerSecret} {
		_, err := client.IssueServiceToken(t.Context(), &authv1.IssueServiceTokenRequest{Service: service, Secret: key})
		require.True(t, fault.Is(err, "SERVICE_UNKNOWN"), "%v", err)
	}
}

func (r *running) testEvents(t *testing.T) {
	events := make(chan *nats.Msg, 16)
	sub, err := r.nats.ChanSubscribe("opsdeck.auth.session.opened", events)
	require.NoError(t, err)
	defer func() { require.NoError(t, sub.Unsubscribe()) }()
	require.NoError(t, r.nats.Flush())
	var claims authn.Claims
	_, _, err = jwt.NewParser().ParseUnverified(r.token(t), &claims)
	require.NoError(t, err)
	for {
		select {
		case message := <-events:
			var envelope bus.Envelope
			require.NoError(t, json.Unmarshal(message.Data, &envelope))
			if envelope.Subject != claims.Session {
				continue // of a login before this test
			}
			var opened eventv1.SessionOpened
			require.NoError(t, protojson.Unmarshal(envelope.Data, &opened))
			require.Equal(t, "platform", envelope.Tenant)
			require.Equal(t, "admin", opened.GetUsername())
			return
		case <-time.After(time.Minute):
			t.Fatal("the event did not arrive")
		}
	}
}

func (r *running) testUpkeep(t *testing.T) {
	pool := r.pool(t)
	require.Eventually(t, func() bool {
		var left int
		err := pool.QueryRow(t.Context(), `SELECT count(*) FROM auth.captchas WHERE id = 'forgotten'`).Scan(&left)
		return err == nil && left == 0
	}, time.Minute, 50*time.Millisecond)
}

func (r *running) testEndedSessions(t *testing.T) {
	token := r.token(t)
	for _, c := range []struct{ end, undo string }{
		{`UPDATE auth.users SET status = 'disabled'`, `UPDATE auth.users SET status = 'enabled'`},
		{`UPDATE auth.sessions SET expires_at = expires_at - interval '2 days'`, `UPDATE auth.sessions SET expires_at = expires_at + interval '2 days'`},
		{`DELETE FROM auth.sessions`, ``},
	} {
		r.execute(t, c.end)
		_, err := r.currentUser(t, token)
		require.True(t, fault.Is(err, "SESSION_ENDED"), "%s: %v", c.end, err)
		if c.undo != "" {
			r.execute(t, c.undo)
			_, err = r.currentUser(t, token)
			require.NoError(t, err)
		}
	}
}

func TestRunRefusesAnUnmigratedSchema(t *testing.T) {
	r := start(t)
	r.execute(t, `DELETE FROM auth.schema_version WHERE version_id > 0`)
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "error"})
	require.NoError(t, err)
	require.ErrorContains(t, Run(t.Context(), rt, r.cfg), "run the migrate command")
}

func TestConfigIsChecked(t *testing.T) {
	for name, value := range map[string]string{
		"OPSDECK_AUTH_DEMO_CAPTCHA":        "1234x",
		"OPSDECK_AUTH_LOGINS_PER_MINUTE":   "0",
		"OPSDECK_AUTH_CAPTCHAS_PER_MINUTE": "-1",
		"OPSDECK_AUTH_PASSWORDS_AT_ONCE":   "0",
		"OPSDECK_AUTH_DEFAULT_TENANT":      "a:b",
		"OPSDECK_AUTH_SIGNUPS_PER_MINUTE":  "0",
		"OPSDECK_AUTH_TOKENS_PER_USER":     "0",
		"OPSDECK_AUTH_PASSWORD_MEMORY_KIB": "1",
		"OPSDECK_AUTH_PASSWORD_MIN_LENGTH": "0",
		"OPSDECK_AUTH_PASSWORD_WAIT":       "0s",
		"OPSDECK_AUTH_SIGNING_KEY_AGE":     "1h",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OPSDECK_AUTH_DATABASE_URL_FILE", file(t, "postgres://localhost/x"))
			t.Setenv("OPSDECK_AUTH_SEAL_KEYS", "unused")
			t.Setenv("OPSDECK_AUTH_GRPC_ADDR", "unix:///unused")
			_, err := app.Load[Config]()
			require.NoError(t, err)
			t.Setenv(name, value)
			_, err = app.Load[Config]()
			require.ErrorContains(t, err, name)
		})
	}
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}
