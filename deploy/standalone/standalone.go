// Package standalone runs all of opsdeck in one process: every service, the gateway, a worker node, an embedded NATS server and
// a private PostgreSQL cluster, with everything it keeps in one directory.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/caarlos0/env/v11"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/datadir"
	"github.com/opsdeck/opsdeck/gateway"
	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/bus"
	natsserver "github.com/opsdeck/opsdeck/pkg/bus/server"
	"github.com/opsdeck/opsdeck/pkg/pg/cluster"
	"github.com/opsdeck/opsdeck/pkg/secret"
	"github.com/opsdeck/opsdeck/services/auth"
	"github.com/opsdeck/opsdeck/services/dns"
	replication "github.com/opsdeck/opsdeck/services/replication-jobs"
	"github.com/opsdeck/opsdeck/services/replication-jobs/worker"
)

const stopTime = 30 * time.Second

// Config is what a standalone opsdeck can be told besides the settings of its services.
type Config struct {
	Data     string `env:"OPSDECK_DATA" envDefault:"./data" help:"Directory that holds everything: database, events, secrets."`
	NATSAddr string `env:"OPSDECK_NATS_ADDR" envDefault:"127.0.0.1:4222" help:"Address at which the embedded NATS server takes subscribers and worker nodes."`
	Worker   bool   `env:"OPSDECK_EMBEDDED_WORKER" envDefault:"true" help:"Run a worker node in this process. False leaves all jobs to worker nodes of their own."`
}

// Run runs opsdeck until ctx ends. Settings of the services are taken from environment, except those that join them to
// each other.
func Run(ctx context.Context, rt *app.Runtime, cfg Config, environment map[string]string) (err error) {
	dir, err := datadir.Open(cfg.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	database, err := cluster.Start(ctx, cluster.Config{Dir: dir.Path("postgres"), Fsync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inTime(ctx, database.Stop)) }()
	events, err := startNATS(ctx, dir, cfg, rt.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inTime(ctx, events.Stop)) }()
	wired, err := wire(ctx, dir, database, events.URL(), environment)
	if err != nil {
		return err
	}
	p, err := prepare(ctx, wired)
	if err != nil {
		return err
	}
	var workers []app.Task
	if cfg.Worker {
		workers = append(workers, func(ctx context.Context) error { return worker.Run(ctx, rt.For("replication-worker"), p.worker) })
	}
	return app.RunStages(ctx,
		[]app.Task{func(ctx context.Context) error { return gateway.Run(ctx, rt.For("gateway"), p.gateway) }},
		workers,
		[]app.Task{
			func(ctx context.Context) error { return replication.Run(ctx, rt.For("replication"), p.manager) },
			func(ctx context.Context) error { return dns.Run(ctx, rt.For("dns"), p.dns) },
		},
		[]app.Task{func(ctx context.Context) error { return auth.Run(ctx, rt.For("auth"), p.auth) }},
		[]app.Task{watch(database)})
}

// inTime lets something stop in an orderly way for as long as a service manager would wait for it.
func inTime(ctx context.Context, stop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return stop(ctx)
}

// Environment returns the process's environment in the form that Run takes.
func Environment() map[string]string { return env.ToMap(os.Environ()) }

// wire returns the environment in which the services find each other, their roles in the database and their secrets.
func wire(ctx context.Context, dir *datadir.Dir, database *cluster.Cluster, natsURL string, environment map[string]string) (map[string]string, error) {
	wired := maps.Clone(environment)
	if wired["OPSDECK_GATEWAY_ADDR"] == "" {
		wired["OPSDECK_GATEWAY_ADDR"] = "127.0.0.1:8190" // plain HTTP leaves the machine only when it is asked to
	}
	seal, err := dir.SealKeys()
	if err != nil {
		return nil, err
	}
	_, natsPassword, err := dir.Secret(natsServices)
	if err != nil {
		return nil, err
	}
	for name, prefix := range map[string]string{"auth": "OPSDECK_AUTH_", "replication": "OPSDECK_REPLICATION_", "dns": "OPSDECK_DNS_"} {
		socket, err := dir.Socket(name)
		if err != nil {
			return nil, err
		}
		url, err := role(ctx, dir, database, name)
		if err != nil {
			return nil, err
		}
		wired[prefix+"GRPC_ADDR"], wired[prefix+"DATABASE_URL_FILE"], wired[prefix+"SEAL_KEYS"] = socket, url, seal
		wired[prefix+"NATS_URL"], wired[prefix+"NATS_USER"], wired[prefix+"NATS_PASSWORD_FILE"] = natsURL, natsServices, natsPassword
	}
	return wired, wireWorker(dir, natsURL, wired)
}

// wireWorker gives the embedded worker node its identity and tells everybody where auth and the manager are.
func wireWorker(dir *datadir.Dir, natsURL string, wired map[string]string) error {
	const name = "replication-worker"
	value, path, err := dir.Secret(name)
	if err != nil {
		return err
	}
	_, natsPassword, err := dir.Secret(natsWorker)
	if err != nil {
		return err
	}
	keys, err := dir.Put("service.keys", name+" "+value+"\n")
	if err != nil {
		return err
	}
	authAddr, managerAddr := wired["OPSDECK_AUTH_GRPC_ADDR"], wired["OPSDECK_REPLICATION_GRPC_ADDR"]
	maps.Copy(wired, map[string]string{
		"OPSDECK_AUTH_SERVICE_KEYS":         keys,
		"OPSDECK_DNS_AUTH_ADDR":             authAddr,
		"OPSDECK_REPLICATION_AUTH_ADDR":     authAddr,
		"OPSDECK_WORKER_AUTH_ADDR":          authAddr,
		"OPSDECK_WORKER_MANAGER_ADDR":       managerAddr,
		"OPSDECK_WORKER_SECRET_FILE":        path,
		"OPSDECK_WORKER_DATA":               dir.Path("worker"),
		"OPSDECK_WORKER_NATS_URL":           natsURL,
		"OPSDECK_WORKER_NATS_USER":          natsWorker,
		"OPSDECK_WORKER_NATS_PASSWORD_FILE": natsPassword,
		"OPSDECK_GATEWAY_AUTH":              authAddr,
		"OPSDECK_GATEWAY_REPLICATION_JOBS":  managerAddr,
		"OPSDECK_GATEWAY_DNS":               wired["OPSDECK_DNS_GRPC_ADDR"],
	})
	return nil
}

// role makes a service's role and schema and returns the path of the file with its database URL.
func role(ctx context.Context, dir *datadir.Dir, database *cluster.Cluster, name string) (string, error) {
	password, _, err := dir.Secret("postgres." + name)
	if err != nil {
		return "", err
	}
	if err := database.EnsureRole(ctx, name, password, name); err != nil {
		return "", err
	}
	return dir.Put("database."+name, database.URL(name, password, cluster.Database))
}

// The users of the embedded NATS server; each has its password among the secrets under its name.
const (
	natsServices   = "nats-services"   // what the services sign in as
	natsWorker     = "nats-worker"     // worker nodes, which only listen to wake-ups
	natsSubscriber = "nats-subscriber" // whoever wants to read events
)

func startNATS(ctx context.Context, dir *datadir.Dir, cfg Config, log *zap.Logger) (*natsserver.Server, error) {
	passwords := map[string]secret.Text{}
	for _, user := range []string{natsServices, natsWorker, natsSubscriber} {
		password, _, err := dir.Secret(user)
		if err != nil {
			return nil, err
		}
		passwords[user] = secret.Text(password)
	}
	return natsserver.Start(ctx, natsserver.Config{
		Dir: dir.Path("nats"), Listen: cfg.NATSAddr, Users: []natsserver.User{
			{Name: natsServices, Password: passwords[natsServices]},
			{Name: natsWorker, Password: passwords[natsWorker], Publish: []string{worker.TunnelSubjects}, Subscribe: []string{bus.WakeSubjects, worker.TunnelSubjects}},
			natsserver.Subscriber(natsSubscriber, passwords[natsSubscriber], bus.Stream, bus.Subjects),
		},
	}, log)
}

// parts are the configurations of everything that runs.
type parts struct {
	auth    auth.Config
	dns     dns.Config
	manager replication.Config
	worker  worker.Config
	gateway gateway.Config
}

// prepare loads the configuration of every part and migrates the schemas.
func prepare(ctx context.Context, wired map[string]string) (p parts, err error) {
	var errs [5]error
	p.auth, errs[0] = app.LoadFrom[auth.Config](wired)
	p.manager, errs[1] = app.LoadFrom[replication.Config](wired)
	p.worker, errs[2] = app.LoadFrom[worker.Config](wired)
	p.gateway, errs[3] = app.LoadFrom[gateway.Config](wired)
	p.dns, errs[4] = app.LoadFrom[dns.Config](wired)
	if err := errors.Join(errs[:]...); err != nil {
		return p, err
	}
	if err := auth.Migrate(ctx, p.auth); err != nil {
		return p, fmt.Errorf("migrate auth: %w", err)
	}
	if err := replication.Migrate(ctx, p.manager); err != nil {
		return p, fmt.Errorf("migrate replication: %w", err)
	}
	if err := dns.Migrate(ctx, p.dns); err != nil {
		return p, fmt.Errorf("migrate dns: %w", err)
	}
	return p, nil
}

// watch ends the process when the database does: nothing works without it, and a restart brings it back.
func watch(database *cluster.Cluster) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-database.Done():
			return fmt.Errorf("the private PostgreSQL has ended: %w", database.Err())
		}
	}
}
