// Package dns is the service that keeps zones: it knows what domains and records people want, and makes BIND and PowerDNS servers hold it.
package dns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"google.golang.org/grpc"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/dns/internal/audit"
	"github.com/opsdeck/opsdeck/services/dns/internal/domain"
	"github.com/opsdeck/opsdeck/services/dns/internal/drift"
	"github.com/opsdeck/opsdeck/services/dns/internal/migrations"
	"github.com/opsdeck/opsdeck/services/dns/internal/plan"
	"github.com/opsdeck/opsdeck/services/dns/internal/push"
	"github.com/opsdeck/opsdeck/services/dns/internal/record"
	"github.com/opsdeck/opsdeck/services/dns/internal/request"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/server"
	"github.com/opsdeck/opsdeck/services/dns/internal/upkeep"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// name is the service's name and that of its schema.
const name = "dns"

// Config is what the service can be told.
type Config struct {
	app.ServiceConfig `envPrefix:"OPSDECK_DNS_"`

	AuthAddr      string        `env:"OPSDECK_DNS_AUTH_ADDR" envDefault:"127.0.0.1:7101" help:"gRPC address of the auth service, whose keys sign the tokens of callers."`
	PushWait      time.Duration `env:"OPSDECK_DNS_PUSH_WAIT" envDefault:"10s" help:"How long a caller waits for the name server to serve his change before he is told that it is pending."`
	DefaultTTL    int64         `env:"OPSDECK_DNS_DEFAULT_TTL" envDefault:"3600" help:"TTL of the records of new domains that bring none, in seconds."`
	NameServers   []string      `env:"OPSDECK_DNS_NAME_SERVERS" envDefault:"ns1.dns.internal" help:"Names of the NS records of new domains, the primary first, separated by commas. Servers and requests may name others."`
	Threshold     float64       `env:"OPSDECK_DNS_THRESHOLD" envDefault:"30" help:"Most of a domain that one planned change may update or delete without override, in percent of its record sets."`
	DriftInterval time.Duration `env:"OPSDECK_DNS_DRIFT_INTERVAL" envDefault:"10m" help:"How often the zones on the servers are compared with what they should hold."`
	DriftFull     time.Duration `env:"OPSDECK_DNS_DRIFT_FULL" envDefault:"24h" help:"A zone whose serial has not moved is read nevertheless when that was last done longer ago."`
	KeepChanges   time.Duration `env:"OPSDECK_DNS_KEEP_CHANGES" envDefault:"2160h" help:"How long finished changes are kept to be rolled back."`
	PowerDNSKey   secret.Text   `env:"OPSDECK_DNS_POWERDNS_KEY_FILE,file" help:"API key of PowerDNS servers that are added without one."`
	BINDToken     secret.Text   `env:"OPSDECK_DNS_BIND_TOKEN_FILE,file" help:"Token of the agents of BIND servers that are added without one."`
	BINDTSIGName  string        `env:"OPSDECK_DNS_BIND_TSIG_NAME" help:"Name of the TSIG key of BIND servers that are added without one; without it, the one that the agent names."`
	BINDTSIG      secret.Text   `env:"OPSDECK_DNS_BIND_TSIG_FILE,file" help:"Secret of that key (hmac-sha256), in base64."`
}

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	for setting, d := range map[string]time.Duration{
		"PUSH_WAIT": c.PushWait, "DRIFT_INTERVAL": c.DriftInterval, "DRIFT_FULL": c.DriftFull, "KEEP_CHANGES": c.KeepChanges,
	} {
		if d <= 0 {
			return fmt.Errorf("OPSDECK_DNS_%s is %v, want more than nothing", setting, d)
		}
	}
	switch {
	case c.DefaultTTL < 0 || c.DefaultTTL > rrset.MaxTTL:
		return fmt.Errorf("OPSDECK_DNS_DEFAULT_TTL is %d, want 0 to %d", c.DefaultTTL, rrset.MaxTTL)
	case c.Threshold < 0 || c.Threshold > 100:
		return fmt.Errorf("OPSDECK_DNS_THRESHOLD is %v, want 0 to 100", c.Threshold)
	case len(c.NameServers) == 0:
		return errors.New("OPSDECK_DNS_NAME_SERVERS is empty, want at least one name")
	}
	if _, err := server.NameServers(c.NameServers); err != nil {
		return fmt.Errorf("OPSDECK_DNS_NAME_SERVERS: %w", err)
	}
	return nil
}

// Migrate brings the schema up to date.
func Migrate(ctx context.Context, cfg Config) error {
	return app.MigrateSchema(ctx, name, cfg.ServiceConfig, migrations.FS)
}

// Run serves until ctx ends.
func Run(ctx context.Context, rt *app.Runtime, cfg Config) (err error) {
	svc, err := app.Open(ctx, rt, name, cfg.ServiceConfig, migrations.FS)
	if err != nil {
		return err
	}
	defer svc.Close()
	if err := pg.Migrated(ctx, svc.Pool, name, migrations.FS); err != nil {
		return err
	}
	auth, err := dialAuth(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, auth.Close()) }()
	p, err := open(cfg, svc)
	if err != nil {
		return err
	}
	defer p.drivers.Close()
	queue, err := p.queue(cfg, svc)
	if err != nil {
		return err
	}
	news, err := access.Listen(svc.Bus)
	if err != nil {
		return err
	}
	svc.Decider = access.NewRemote(authv1.NewAccessServiceClient(auth), news)
	grpcServer, err := svc.Server(authn.NewRemoteKeys(authv1.NewKeyServiceClient(auth)))
	if err != nil {
		return err
	}
	if err := p.register(cfg, svc, grpcServer); err != nil {
		return err
	}
	return svc.Serve(ctx, grpcServer, queue.Run)
}

// parts are what the RPCs and the background work share.
type parts struct {
	drivers *server.Drivers
	pusher  *push.Pusher
	changer *zone.Changer
	checker *drift.Checker
}

func open(cfg Config, svc *app.Service) (p parts, err error) {
	inserts, err := jobs.New(svc.Pool, name, nil, svc.Log, jobs.Options{})
	if err != nil {
		return p, err
	}
	p.drivers = server.NewDrivers(svc.Pool, svc.Sealer, server.Credentials{
		APIKey: trimmed(cfg.PowerDNSKey), AgentToken: trimmed(cfg.BINDToken), TSIGName: cfg.BINDTSIGName, TSIGSecret: trimmed(cfg.BINDTSIG),
	})
	settler := zone.Settler{Queue: inserts, Now: time.Now}
	p.pusher = push.New(svc.Pool, p.drivers, settler, svc.Log, max(1, int(cfg.DatabaseConns)/2))
	p.changer = &zone.Changer{Pool: svc.Pool, Queue: inserts, Pusher: p.pusher, Wait: cfg.PushWait, Now: time.Now}
	p.checker = &drift.Checker{
		Pool: svc.Pool, Pusher: p.pusher, Drivers: p.drivers, Queue: inserts, Log: svc.Log.Named("drift"), Full: cfg.DriftFull, Now: time.Now,
	}
	return p, nil
}

// queue carries events to NATS, pushes changes that no caller saw pushed, looks for drift and forgets old changes.
func (p parts) queue(cfg Config, svc *app.Service) (*jobs.Client, error) {
	workers := river.NewWorkers()
	bus.AddWorker(workers, svc.Bus)
	p.pusher.AddWorker(workers)
	periodic := []*river.PeriodicJob{p.checker.Schedule(workers, cfg.DriftInterval), upkeep.Schedule(workers, svc.Pool, cfg.KeepChanges)}
	return jobs.New(svc.Pool, name, workers, svc.Log, jobs.Options{Periodic: periodic, StopWait: cfg.Drain})
}

func (p parts) register(cfg Config, svc *app.Service, grpcServer grpc.ServiceRegistrar) error {
	names, err := server.NameServers(cfg.NameServers)
	if err != nil {
		return err
	}
	dnsv1.RegisterServerServiceServer(grpcServer, server.NewService(p.changer, p.drivers, svc.Sealer))
	dnsv1.RegisterDomainServiceServer(grpcServer, domain.NewService(p.changer, p.drivers, domain.Defaults{TTL: cfg.DefaultTTL, NameServers: names}))
	dnsv1.RegisterRecordServiceServer(grpcServer, record.NewService(p.changer))
	dnsv1.RegisterChangeServiceServer(grpcServer, plan.NewService(p.changer, cfg.Threshold))
	dnsv1.RegisterDriftServiceServer(grpcServer, drift.NewService(p.changer, p.checker))
	dnsv1.RegisterOperationServiceServer(grpcServer, audit.NewService(svc.Pool))
	dnsv1.RegisterRequestServiceServer(grpcServer, request.NewService(p.changer))
	return nil
}

func dialAuth(cfg Config) (*grpc.ClientConn, error) {
	creds, err := cfg.TLS.Client()
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireTLS(cfg.AuthAddr, creds); err != nil {
		return nil, fmt.Errorf("OPSDECK_DNS_AUTH_ADDR: %w", err)
	}
	return rpc.Dial(rpc.ClientConfig{Target: cfg.AuthAddr, TLS: creds, MaxMessage: cfg.MaxMessage})
}

// trimmed is a secret without the line end that editors put behind it.
func trimmed(s secret.Text) secret.Text { return secret.Text(strings.TrimRight(s.Reveal(), "\r\n")) }
