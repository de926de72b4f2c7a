package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

// ServiceConfig is what every service with a schema can be told. The names carry the service's prefix.
type ServiceConfig struct {
	GRPCAddr        string         `env:"GRPC_ADDR,required" help:"Address to serve gRPC on: host:port, or unix:///path."`
	DatabaseURL     string         `env:"DATABASE_URL_FILE,file,required" help:"PostgreSQL URL, with the service's own role and its password."`
	DatabaseConns   int32          `env:"DATABASE_CONNS" envDefault:"16" help:"Most connections to PostgreSQL."`
	NATSURL         string         `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222" help:"NATS servers, separated by commas."`
	NATSUser        string         `env:"NATS_USER" help:"User to sign in to NATS as."`
	NATSPassword    secret.Text    `env:"NATS_PASSWORD_FILE,file" help:"Password of that user."`
	SealKeys        string         `env:"SEAL_KEYS,required" help:"Path of the file of keys that secrets are sealed with in the database: one base64 key of 32 bytes per line, newest first. Readable by the service's user only."`
	TrustedGateways []netip.Prefix `env:"TRUSTED_GATEWAYS" envDefault:"127.0.0.0/8,::1/128" help:"Networks whose word on a client's address is believed, separated by commas."`
	RequestTimeout  time.Duration  `env:"REQUEST_TIMEOUT" envDefault:"30s" help:"Longest a call may take."`
	MaxMessage      int            `env:"MAX_MESSAGE" envDefault:"16777216" help:"Largest request or answer, in bytes."`
	Drain           time.Duration  `env:"DRAIN" envDefault:"10s" help:"How long calls and jobs under way may take to finish when the service is told to stop."`
	TLS             rpc.TLSConfig  `envPrefix:""`
}

// check refuses settings that would make every call fail.
func (c ServiceConfig) check() error {
	for name, wrong := range map[string]bool{
		"DATABASE_CONNS": c.DatabaseConns < 1, "REQUEST_TIMEOUT": c.RequestTimeout <= 0,
		"MAX_MESSAGE": c.MaxMessage < 1, "DRAIN": c.Drain <= 0,
	} {
		if wrong {
			return fmt.Errorf("%s must be more than 0", name)
		}
	}
	return nil
}

// Service is what a service stands on: its database, NATS and the keys of its secrets.
type Service struct {
	Log    *zap.Logger
	Pool   *pgxpool.Pool
	Bus    *bus.Conn
	Sealer *secret.Sealer

	// Decider knows what callers may do now; set it before Server. Without one tokens are believed until they expire, and only
	// the role admin opens menu actions.
	Decider access.Decider

	name       string
	cfg        ServiceConfig
	rt         *Runtime
	migrations fs.FS
}

// Open connects a service to what it stands on. name is also the name of its schema.
func Open(ctx context.Context, rt *Runtime, name string, cfg ServiceConfig, migrations fs.FS) (*Service, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", name, err)
	}
	sealer, err := secret.Load(cfg.SealKeys)
	if err != nil {
		return nil, fmt.Errorf("SEAL_KEYS: %w", err)
	}
	pool, err := pg.Open(ctx, cfg.DatabaseURL, pg.Options{Application: "opsdeck-" + name, MaxConns: cfg.DatabaseConns})
	if err != nil {
		return nil, err
	}
	conn, err := bus.Connect(ctx, bus.Config{URL: cfg.NATSURL, Name: "opsdeck-" + name, User: cfg.NATSUser, Password: cfg.NATSPassword}, rt.Log)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s := &Service{Log: rt.Log, Pool: pool, Bus: conn, Sealer: sealer, name: name, cfg: cfg, rt: rt, migrations: migrations}
	if err := rt.FollowLevel(conn); err != nil {
		s.Close()
		return nil, err
	}
	rt.OnReady(name, s.health)
	return s, nil
}

// Close lets go of the database and NATS.
func (s *Service) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Drain)
	defer cancel()
	if err := s.Bus.Close(ctx); err != nil {
		s.Log.Warn("leaving NATS", zap.Error(err))
	}
	s.Pool.Close()
}

// health is nil when the schema is migrated and the database and NATS answer.
func (s *Service) health(ctx context.Context) error {
	return errors.Join(pg.Migrated(ctx, s.Pool, s.name, s.migrations), s.Bus.Health(ctx))
}

// Server returns the service's gRPC server, which takes tokens signed by keys.
func (s *Service) Server(keys authn.KeySource) (*rpc.Server, error) {
	creds, err := s.cfg.TLS.Server()
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireTLS(s.cfg.GRPCAddr, creds); err != nil {
		return nil, fmt.Errorf("GRPC_ADDR: %w", err)
	}
	return rpc.NewServer(rpc.ServerConfig{
		Log: s.Log, Metrics: s.rt.Metrics, Keys: keys, Decider: s.Decider, TLS: creds, TrustedGateways: s.cfg.TrustedGateways,
		Timeout: s.cfg.RequestTimeout, MaxMessage: s.cfg.MaxMessage, Health: s.health,
	})
}

// Serve answers calls and runs the background tasks until ctx ends or one of them fails. Calls drain before the background
// stops, because they may still enqueue work.
func (s *Service) Serve(ctx context.Context, server *rpc.Server, background ...Task) error {
	listener, err := rpc.Listen(ctx, s.cfg.GRPCAddr)
	if err != nil {
		return fmt.Errorf("GRPC_ADDR: %w", err)
	}
	s.Log.Info("serving", zap.Stringer("address", listener.Addr()))
	calls := func(ctx context.Context) error { return server.Serve(ctx, listener, s.cfg.Drain) }
	return RunStages(ctx, []Task{calls}, background)
}

// MigrateSchema brings the schema of a service up to date.
func MigrateSchema(ctx context.Context, name string, cfg ServiceConfig, migrations fs.FS) error {
	pool, err := pg.Open(ctx, cfg.DatabaseURL, pg.Options{Application: "opsdeck-" + name + "-migrate"})
	if err != nil {
		return err
	}
	defer pool.Close()
	return pg.Migrate(ctx, pool, name, migrations)
}
