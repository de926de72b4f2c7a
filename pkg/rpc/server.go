package rpc

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"buf.build/go/protovalidate"
	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
)

const (
	healthInterval  = 2 * time.Second
	healthTimeout   = 2 * time.Second
	maxStreams      = 1000
	idleConnections = 10 * time.Minute
)

// ServerConfig is what a server needs to know.
type ServerConfig struct {
	Log             *zap.Logger
	Metrics         prometheus.Registerer
	Keys            authn.KeySource
	Decider         access.Decider                   // nil: tokens are believed, and only the role admin opens menu actions
	TLS             credentials.TransportCredentials // nil: no TLS, for unix sockets and loopback
	TrustedGateways []netip.Prefix                   // whose word on the client's address is believed
	Timeout         time.Duration                    // given to a call that brings no deadline, and the most any call gets
	MaxMessage      int                              // bytes of one request or answer
	Health          func(ctx context.Context) error  // asked every two seconds; nil error means serving
}

// Server is a gRPC server with everything every service wants. Register services on it, then Serve.
type Server struct {
	*grpc.Server
	cfg    ServerConfig
	health *health.Server
	chain  *chain
}

// NewServer returns a server without services.
func NewServer(cfg ServerConfig) (*Server, error) {
	validator, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("make the request validator: %w", err)
	}
	metrics := grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram())
	if err := cfg.Metrics.Register(metrics); err != nil {
		return nil, fmt.Errorf("register the metrics of the gRPC server: %w", err)
	}
	c := &chain{
		log: cfg.Log, verifier: authn.NewVerifier(cfg.Keys), validator: validator, trusted: cfg.TrustedGateways, timeout: cfg.Timeout,
		decider: cfg.Decider,
	}
	options := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(append([]grpc.UnaryServerInterceptor{metrics.UnaryServerInterceptor()}, c.unary()...)...),
		grpc.ChainStreamInterceptor(append([]grpc.StreamServerInterceptor{metrics.StreamServerInterceptor()}, c.stream()...)...),
		grpc.StatsHandler(otelgrpc.NewServerHandler()),
		grpc.MaxRecvMsgSize(cfg.MaxMessage), grpc.MaxSendMsgSize(cfg.MaxMessage), grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleConnections}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(cfg.TLS))
	}
	s := &Server{Server: grpc.NewServer(options...), cfg: cfg, health: health.NewServer(), chain: c}
	healthv1.RegisterHealthServer(s.Server, s.health)
	reflection.Register(s.Server)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	return s, nil
}

// Serve answers calls until ctx ends, then lets the calls under way finish within drain. It refuses to start when a method
// has no access rule.
func (s *Server) Serve(ctx context.Context, listener net.Listener, drain time.Duration) error {
	rules, err := access.RulesOf(s.GetServiceInfo())
	if err != nil {
		return fmt.Errorf("refusing to serve: %w", err)
	}
	s.chain.rules = rules
	go s.watchHealth(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		s.health.Shutdown()
		defer time.AfterFunc(drain, s.Stop).Stop()
		s.GracefulStop()
	}()
	if err := s.Server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve gRPC on %s: %w", listener.Addr(), err)
	}
	<-stopped
	return nil
}

// watchHealth keeps the health service equal to what the service says of itself.
func (s *Server) watchHealth(ctx context.Context) {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	var last error
	for first := true; ; first = false {
		check, cancel := context.WithTimeout(ctx, healthTimeout)
		err := s.cfg.Health(check)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
		} else {
			s.health.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)
		}
		if first || (err == nil) != (last == nil) {
			s.cfg.Log.Info("health", zap.Bool("serving", err == nil), zap.Error(err))
		}
		last = err
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
