package bench

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
	"github.com/opsdeck/opsdeck/gateway"
	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

// idle is a service whose handlers do nothing, so that what remains is the way to them. Of each pair of calls, one wants to know who
// calls and the other does not.
type idle struct {
	authv1.UnimplementedAccessServiceServer
	authv1.UnimplementedCookieServiceServer
	authv1.UnimplementedExchangeServiceServer
	authv1.UnimplementedKeyServiceServer
	authv1.UnimplementedSessionServiceServer

	public ed25519.PublicKey
	jwt    string
}

func newIdle() (*idle, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	admin := authn.Principal{Tenant: authn.PlatformTenant, User: "admin", Role: authn.AdminRole, Session: "bench"}
	jwt, err := authn.Sign(admin, "bench", private, time.Now(), time.Now().Add(time.Hour))
	return &idle{public: public, jwt: jwt}, err
}

func (i *idle) PublicKey(context.Context, string) (ed25519.PublicKey, error) { return i.public, nil }

func (i *idle) ListSigningKeys(context.Context, *authv1.ListSigningKeysRequest) (*authv1.ListSigningKeysResponse, error) {
	return &authv1.ListSigningKeysResponse{Keys: []*authv1.SigningKey{{Id: "bench", PublicKey: i.public}}}, nil
}

func (i *idle) Exchange(context.Context, *authv1.ExchangeRequest) (*authv1.ExchangeResponse, error) {
	return &authv1.ExchangeResponse{Token: i.jwt, ExpireTime: timestamppb.New(time.Now().Add(time.Minute))}, nil
}

func (i *idle) BatchCheck(_ context.Context, r *authv1.BatchCheckRequest) (*authv1.BatchCheckResponse, error) {
	return &authv1.BatchCheckResponse{Allowed: make([]bool, len(r.GetRights())), Scope: &authv1.Scope{Kind: access.ScopeAll}, Revision: 1}, nil
}

func (i *idle) CreateCaptcha(context.Context, *authv1.CreateCaptchaRequest) (*authv1.CreateCaptchaResponse, error) {
	return &authv1.CreateCaptchaResponse{}, nil
}

func (i *idle) ListMySessions(context.Context, *authv1.ListMySessionsRequest) (*authv1.ListMySessionsResponse, error) {
	return &authv1.ListMySessionsResponse{}, nil
}

func (i *idle) OpenSession(context.Context, *authv1.OpenSessionRequest) (*authv1.OpenSessionResponse, error) {
	return &authv1.OpenSessionResponse{}, nil
}

func (i *idle) CloseSession(context.Context, *authv1.CloseSessionRequest) (*authv1.CloseSessionResponse, error) {
	return &authv1.CloseSessionResponse{}, nil
}

// credentials compares calls with each kind of credential with the same way to a handler that wants none.
func credentials(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "opsdeck-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	i, err := newIdle()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	auth, socket := "unix://"+filepath.Join(dir, "auth"), "unix://"+filepath.Join(dir, "idle")
	conn, err := rpc.Dial(rpc.ClientConfig{Target: auth, MaxMessage: 4 << 20})
	if err != nil {
		cancel()
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is under way
	group.Go(func() error { return i.serve(ctx, auth, nil) })
	group.Go(func() error { return i.serve(ctx, socket, access.NewRemote(authv1.NewAccessServiceClient(conn), nil)) })
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return errors.Join(err, group.Wait())
	}
	group.Go(func() error { return serveGateway(ctx, socket, listener) })
	group.Go(func() error {
		defer cancel()
		return i.measure(ctx, out, listener.Addr().String())
	})
	return group.Wait()
}

// serve is a service with the interceptors that every service has. A decider remembers decisions, as in every service but auth.
func (i *idle) serve(ctx context.Context, socket string, decider access.Decider) error {
	server, err := rpc.NewServer(rpc.ServerConfig{
		Log: zap.NewNop(), Metrics: prometheus.NewRegistry(), Keys: i, Decider: decider, Timeout: time.Minute, MaxMessage: 4 << 20,
		Health: func(context.Context) error { return nil },
	})
	if err != nil {
		return err
	}
	authv1.RegisterAccessServiceServer(server, i)
	authv1.RegisterCookieServiceServer(server, i)
	authv1.RegisterExchangeServiceServer(server, i)
	authv1.RegisterKeyServiceServer(server, i)
	authv1.RegisterSessionServiceServer(server, i)
	listener, err := rpc.Listen(ctx, socket)
	if err != nil {
		return err
	}
	return server.Serve(ctx, listener, time.Second)
}

func serveGateway(ctx context.Context, socket string, listener net.Listener) error {
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "error"})
	if err != nil {
		return err
	}
	return gateway.Serve(ctx, rt, gateway.Config{
		Auth: socket, DNS: socket, ReplicationJobs: socket, MaxBody: 1 << 20, MaxMessage: 4 << 20, MaxRequests: 1000, RequestTimeout: time.Minute, Drain: time.Second,
	}, listener)
}

func (i *idle) measure(ctx context.Context, out io.Writer, address string) error {
	ready := operator.New(address)
	if err := operator.Await(ctx, "the gateway", patience, func(ctx context.Context) (bool, error) { return ready.Ready(ctx), nil }); err != nil {
		return err
	}
	browser := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer browser.CloseIdleConnections()
	send := func(method, path, body string, header ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			return send(ctx, browser, method, "http://"+address+path, body, header)
		}
	}
	const sessions, login, logout = "/v2/user/sessions", "/api/connector/default/user/login", "/api/connector/default/user/logout"
	arms := []arm{{name: "JWT"}, {name: "API token"}, {name: "no authentication"}}
	err := interleave(ctx, arms, []func(context.Context) error{
		send(http.MethodGet, sessions, "", "Authorization", i.jwt), send(http.MethodGet, sessions, "", "Authorization", "opd_bench"),
		send(http.MethodGet, "/v2/login/captcha", ""),
	})
	if err != nil {
		return err
	}
	report(out, "GET through the gateway to a handler that does nothing", "requests/s", arms)
	arms = []arm{{name: "cookie"}, {name: "app key"}, {name: "no authentication"}}
	err = interleave(ctx, arms, []func(context.Context) error{
		send(http.MethodPost, logout, `{}`, "Cookie", "sid=ops_bench"), send(http.MethodPost, logout, `{}`, "Appname", "bench", "Appkey", "opk_bench"),
		send(http.MethodPost, login, `{"user":"x","pass":"x"}`),
	})
	if err != nil {
		return err
	}
	report(out, "POST through the gateway to a handler that does nothing", "requests/s", arms)
	return nil
}

func send(ctx context.Context, browser *http.Client, method, url, body string, header []string) error {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	for at := 0; at < len(header); at += 2 {
		request.Header.Set(header[at], header[at+1])
	}
	response, err := browser.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to its end below
	text, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || strings.Contains(string(text), "false")) {
		err = fmt.Errorf("%s %s: %s %s", method, url, response.Status, text)
	}
	return err
}

// interleave runs each arm once in every round.
func interleave(ctx context.Context, arms []arm, calls []func(context.Context) error) error {
	for range rounds {
		for i, call := range calls {
			r, err := hammer(ctx, roundLength, call)
			if err != nil {
				return fmt.Errorf("%s: %w", arms[i].name, err)
			}
			arms[i].rounds = append(arms[i].rounds, r)
		}
	}
	return nil
}
