// Package gateway is the HTTP side of opsdeck: it relays the documented HTTP calls to the services over gRPC, each in the
// dialect of its document, and serves the API document with a page to try it.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/gateway/internal/edge"
	"github.com/opsdeck/opsdeck/gateway/internal/relay"
	"github.com/opsdeck/opsdeck/gateway/internal/signin"
	"github.com/opsdeck/opsdeck/gateway/internal/swagger"
)

// Config is what the gateway can be told.
type Config struct {
	Addr            string         `env:"OPSDECK_GATEWAY_ADDR" envDefault:":8190" help:"Address to serve HTTP on."`
	CertFile        string         `env:"OPSDECK_GATEWAY_CERT" help:"Path of the certificate (PEM) to serve HTTPS and HTTP/2 with; without it, plain HTTP."`
	KeyFile         string         `env:"OPSDECK_GATEWAY_KEY" help:"Path of the private key of the certificate (PEM)."`
	Auth            string         `env:"OPSDECK_GATEWAY_AUTH" envDefault:"127.0.0.1:7101" help:"gRPC address of auth: host:port, or unix:///path."`
	ReplicationJobs string         `env:"OPSDECK_GATEWAY_REPLICATION_JOBS" envDefault:"127.0.0.1:7102" help:"gRPC address of replication-jobs: host:port, or unix:///path."`
	DNS             string         `env:"OPSDECK_GATEWAY_DNS" envDefault:"127.0.0.1:7105" help:"gRPC address of dns: host:port, or unix:///path."`
	TrustedProxies  []netip.Prefix `env:"OPSDECK_GATEWAY_TRUSTED_PROXIES" help:"Networks of proxies whose X-Forwarded-For is believed, separated by commas."`
	Origins         []string       `env:"OPSDECK_GATEWAY_CORS_ORIGINS" help:"Origins of web pages that may call the API, separated by commas; none means no CORS."`
	MaxBody         int64          `env:"OPSDECK_GATEWAY_MAX_BODY" envDefault:"1048576" help:"Largest request body, in bytes."`
	MaxMessage      int            `env:"OPSDECK_GATEWAY_MAX_MESSAGE" envDefault:"16777216" help:"Largest answer of a service, in bytes."`
	MaxRequests     int            `env:"OPSDECK_GATEWAY_MAX_REQUESTS" envDefault:"1000" help:"Most requests at the same time; more are turned away with 503."`
	RequestTimeout  time.Duration  `env:"OPSDECK_GATEWAY_REQUEST_TIMEOUT" envDefault:"30s" help:"Longest a request may take."`
	Drain           time.Duration  `env:"OPSDECK_GATEWAY_DRAIN" envDefault:"10s" help:"How long requests under way may take to finish when the gateway is told to stop."`
	NATSURL         string         `env:"OPSDECK_GATEWAY_NATS_URL" help:"NATS servers, separated by commas, from which the gateway hears of a changed log level; none: it logs at OPSDECK_LOG_LEVEL until it is restarted."`
	NATSUser        string         `env:"OPSDECK_GATEWAY_NATS_USER" help:"User to sign in to NATS as. He only listens to wake.log.level."`
	NATSPassword    secret.Text    `env:"OPSDECK_GATEWAY_NATS_PASSWORD_FILE,file" help:"Password of that user."`
	TLS             rpc.TLSConfig  `envPrefix:"OPSDECK_GATEWAY_GRPC_"`
}

// Validate refuses settings that contradict each other.
func (c Config) Validate() error {
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("OPSDECK_GATEWAY_CERT and OPSDECK_GATEWAY_KEY: give both or none")
	case c.MaxBody < 1, c.MaxMessage < 1, c.MaxRequests < 1:
		return errors.New("OPSDECK_GATEWAY_MAX_BODY, _MAX_MESSAGE and _MAX_REQUESTS must be at least 1")
	case c.RequestTimeout <= 0, c.Drain <= 0:
		return errors.New("OPSDECK_GATEWAY_REQUEST_TIMEOUT and _DRAIN must be longer than 0")
	}
	for _, origin := range c.Origins {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Scheme+"://"+strings.ToLower(u.Host) != origin {
			return fmt.Errorf("OPSDECK_GATEWAY_CORS_ORIGINS: %q is no origin, want one as browsers send it: https://console.example.org, without a path", origin)
		}
	}
	return nil
}

// Run serves HTTP until ctx ends and the requests under way are answered.
func Run(ctx context.Context, rt *app.Runtime, cfg Config) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("OPSDECK_GATEWAY_ADDR: %w", err)
	}
	rt.Log.Info("serving", zap.Stringer("address", listener.Addr()), zap.Bool("tls", cfg.CertFile != ""))
	return Serve(ctx, rt, cfg, listener)
}

// Serve is Run on a listener that is open already, which it closes.
func Serve(ctx context.Context, rt *app.Runtime, cfg Config, listener net.Listener) error {
	defer func() { _ = listener.Close() }() // closed already when the server ran
	leave, err := follow(ctx, rt, cfg)
	if err != nil {
		return err
	}
	defer leave()
	backends, hangUp, err := dial(cfg)
	if err != nil {
		return err
	}
	defer hangUp()
	keys := authn.NewRemoteKeys(authv1.NewKeyServiceClient(backends[0].Conn)) // auth is the first
	door, err := doorOf(cfg, keys, authv1.NewExchangeServiceClient(backends[0].Conn))
	if err != nil {
		return err
	}
	calls, err := relay.New(ctx, rt.Log, backends, door)
	if err != nil {
		return err
	}
	for _, backend := range backends {
		rt.OnReady("gateway to "+backend.Name, backend.Ready)
	}
	limits := edge.Config{
		Log: rt.Log, Metrics: rt.Metrics, MaxBody: cfg.MaxBody, MaxRequests: cfg.MaxRequests, Timeout: cfg.RequestTimeout,
		Trusted: cfg.TrustedProxies, Origins: cfg.Origins, TLS: cfg.CertFile != "",
	}
	providers := signin.NewProvider(authv1.NewOidcServiceClient(backends[0].Conn), limits.TLS)
	handler, err := edge.Wrap(limits, besides(edge.Limit(limits, calls), edge.Limit(limits, providers), pages(backends)))
	if err != nil {
		return err
	}
	server := edge.Server{
		Log: rt.Log, Handler: handler, CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, Timeout: cfg.RequestTimeout, Drain: cfg.Drain,
	}
	return server.Serve(ctx, listener)
}

// follow listens to what all processes are told, where NATS is configured, until leave is called.
func follow(ctx context.Context, rt *app.Runtime, cfg Config) (leave func(), err error) {
	if cfg.NATSURL == "" {
		return func() {}, nil
	}
	conn, err := bus.Connect(ctx, bus.Config{
		URL: cfg.NATSURL, Name: "opsdeck-gateway", User: cfg.NATSUser, Password: cfg.NATSPassword, WakeOnly: true,
	}, rt.Log)
	if err != nil {
		return nil, err
	}
	leave = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Drain)
		defer cancel()
		if err := conn.Close(ctx); err != nil {
			rt.Log.Warn("leaving NATS", zap.Error(err))
		}
	}
	if err := rt.FollowLevel(conn); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// pages are what the gateway serves itself.
func pages(backends []relay.Backend) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", alive())
	mux.Handle("GET /readyz", ready(backends))
	signin.RegisterReset(mux)
	swagger.Register(mux)
	return mux
}

// besides sends a request to the pages, to the sign-in by providers, or to the calls. http.ServeMux does not see calls: it would
// redirect some of them.
func besides(calls, providers, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/", path == "/healthz", path == "/readyz", path == "/openapi.json", path == "/swagger", strings.HasPrefix(path, "/swagger/"):
			pages.ServeHTTP(w, r)
		case slices.Contains(signin.ResetPaths, path):
			pages.ServeHTTP(w, r)
		case signin.Takes(path):
			providers.ServeHTTP(w, r)
		default:
			calls.ServeHTTP(w, r)
		}
	})
}
