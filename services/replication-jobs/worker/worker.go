// Package worker is a worker node: it runs the replication jobs that the manager gives it.
package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/run"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/wake"
)

// service is the name under which auth knows worker nodes.
const service = "replication-worker"

// Config is what a worker node can be told.
type Config struct {
	ManagerAddr  string        `env:"OPSDECK_WORKER_MANAGER_ADDR" envDefault:"127.0.0.1:7102" help:"gRPC address of the manager of replication jobs."`
	AuthAddr     string        `env:"OPSDECK_WORKER_AUTH_ADDR" envDefault:"127.0.0.1:7101" help:"gRPC address of the auth service."`
	Secret       secret.Text   `env:"OPSDECK_WORKER_SECRET_FILE,file,required" help:"Secret with which the node gets its tokens from auth, as service replication-worker."`
	Data         string        `env:"OPSDECK_WORKER_DATA" envDefault:"./worker" help:"Directory in which the node keeps its id, and the relay logs of its jobs. One process uses it at a time."`
	RelayMaxMiB  int64         `env:"OPSDECK_WORKER_RELAY_MAX_MIB" envDefault:"102400" help:"What the relay logs of all jobs of the node may take on its disk, in MiB, before their sources have to wait; 0 for no limit. At least 1 GiB of the disk stays free in any case."`
	SocketDirs   []string      `env:"OPSDECK_WORKER_SOCKET_DIRS" help:"Directories, separated by commas, in which and below which jobs may use unix sockets of database servers. Without it none may."`
	Name         string        `env:"OPSDECK_WORKER_NAME" help:"Name of the node. Without it the host's name."`
	Address      string        `env:"OPSDECK_WORKER_ADDRESS" envDefault:"127.0.0.1" help:"Address at which other machines reach the node."`
	Datacenter   string        `env:"OPSDECK_WORKER_DATACENTER" envDefault:"dc1" help:"Where the node stands."`
	NATSURL      string        `env:"OPSDECK_WORKER_NATS_URL" envDefault:"nats://127.0.0.1:4222" help:"NATS servers, separated by commas. They wake the node, and carry what sources send to jobs on other nodes."`
	NATSUser     string        `env:"OPSDECK_WORKER_NATS_USER" help:"User to sign in to NATS as. He listens to wake.replication.>, and publishes and listens to tunnel.replication.>."`
	NATSPassword secret.Text   `env:"OPSDECK_WORKER_NATS_PASSWORD_FILE,file" help:"Password of that user."`
	MaxMessage   int           `env:"OPSDECK_WORKER_MAX_MESSAGE" envDefault:"16777216" help:"Largest request or answer, in bytes. The manager's own limit should be the same."`
	TLS          rpc.TLSConfig `envPrefix:"OPSDECK_WORKER_"`
}

// Run works until ctx ends.
func Run(ctx context.Context, rt *app.Runtime, cfg Config) (err error) {
	home, err := openHome(cfg.Data)
	if err != nil {
		return fmt.Errorf("OPSDECK_WORKER_DATA: %w", err)
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	identity, err := identify(cfg, home.id)
	if err != nil {
		return err
	}
	auth, err := dial(cfg, "OPSDECK_WORKER_AUTH_ADDR", cfg.AuthAddr, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, auth.Close()) }()
	tokens := authn.NewServiceTokens(authv1.NewKeyServiceClient(auth), service, strings.TrimSpace(cfg.Secret.Reveal()))
	manager, err := dial(cfg, "OPSDECK_WORKER_MANAGER_ADDR", cfg.ManagerAddr, tokens)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, manager.Close()) }()
	messages, err := bus.Connect(ctx, bus.Config{
		URL: cfg.NATSURL, Name: "opsdeck-worker-" + identity.Name, User: cfg.NATSUser, Password: cfg.NATSPassword, WakeOnly: true,
	}, rt.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, messages.Close(context.WithoutCancel(ctx))) }()

	if err := rt.FollowLevel(messages); err != nil {
		return err
	}
	relays := relay.Store{Dir: home.relays(), MaxBytes: cfg.RelayMaxMiB << 20}
	allowed := sockets(cfg.SocketDirs)
	work := func(ctx context.Context, job engine.Job, reporter engine.Reporter) error {
		if err := allowed.check(local(job)...); err != nil {
			return err
		}
		return engine.Run(ctx, keeping(job, relays), reporter, rt.Log)
	}
	node := run.NewNode(identity, replicationv1.NewWorkerServiceClient(manager), work, relays, tunnels(messages.NATS(), allowed, rt.Log), traffic(messages.NATS()), rt.Log)
	stop, err := wake.Listen(messages, identity.ID, node.Wake)
	if err != nil {
		return err
	}
	defer stop()
	rt.Log.Info("working", zap.String("node", identity.ID), zap.String("name", identity.Name))
	return node.Run(ctx)
}

// keeping tells a job where its relay log is kept.
func keeping(job engine.Job, store relay.Store) engine.Job {
	if job.Relay != nil {
		here := *job.Relay
		here.Store = store
		job.Relay = &here
	}
	return job
}

func identify(cfg Config, id string) (run.Identity, error) {
	name := cfg.Name
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return run.Identity{}, fmt.Errorf("the host has no name, set OPSDECK_WORKER_NAME: %w", err)
		}
	}
	return run.Identity{ID: id, Name: name, Address: cfg.Address, Datacenter: cfg.Datacenter, Version: app.Version}, nil
}

func dial(cfg Config, setting, address string, identity rpc.TokenSource) (*grpc.ClientConn, error) {
	creds, err := cfg.TLS.Client()
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireTLS(address, creds); err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return rpc.Dial(rpc.ClientConfig{Target: address, TLS: creds, Identity: identity, MaxMessage: cfg.MaxMessage})
}

func traffic(conn *nats.Conn) run.Traffic {
	return func() *replicationv1.MessageStatus {
		s := conn.Stats()
		return &replicationv1.MessageStatus{
			InMessages: int64(s.InMsgs), OutMessages: int64(s.OutMsgs), InBytes: int64(s.InBytes), OutBytes: int64(s.OutBytes),
			Reconnects: int64(s.Reconnects),
		}
	}
}
