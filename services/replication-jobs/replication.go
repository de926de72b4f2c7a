// Package replication is the manager of replication jobs: it keeps what people want replicated, decides which worker node
// does it, and tells how it goes.
package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"google.golang.org/grpc"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/instance"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/job"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/loglevel"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/migrations"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/monitor"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/node"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/placement"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/validation"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/wake"
)

// name is the service's name and that of its schema.
const name = "replication"

// Config is what the manager can be told.
type Config struct {
	app.ServiceConfig `envPrefix:"OPSDECK_REPLICATION_"`

	AuthAddr string        `env:"OPSDECK_REPLICATION_AUTH_ADDR" envDefault:"127.0.0.1:7101" help:"gRPC address of the auth service, whose keys sign the tokens of callers."`
	RSAKey   string        `env:"OPSDECK_REPLICATION_RSA_PRIVATE_KEY" help:"Path of an RSA private key (PEM, PKCS#1 or PKCS#8) that decrypts the passwords of jobs with is_mysql_password_encrypted. Readable by the service's user only."`
	Lease    time.Duration `env:"OPSDECK_REPLICATION_NODE_LEASE" envDefault:"10s" help:"A worker node that is silent for longer is down, and others take its jobs."`
	Interval time.Duration `env:"OPSDECK_REPLICATION_RECONCILE_INTERVAL" envDefault:"1s" help:"How often worker nodes report."`
}

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Interval <= 0:
		return fmt.Errorf("OPSDECK_REPLICATION_RECONCILE_INTERVAL is %v, want more than nothing", c.Interval)
	case c.Lease < 3*c.Interval:
		return fmt.Errorf("OPSDECK_REPLICATION_NODE_LEASE is %v, want at least three times the reconcile interval of %v", c.Lease, c.Interval)
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
	if err := placement.RaiseEpochs(ctx, svc.Pool); err != nil {
		return err
	}
	auth, err := dialAuth(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, auth.Close()) }()
	key, err := loadKey(cfg.RSAKey)
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	bus.AddWorker(workers, svc.Bus)
	nodes := wake.New(svc.Bus, svc.Log)
	job.AddForgetWorker(workers, svc.Pool, svc.Sealer, nodes, forget)
	job.AddForgetTopicWorker(workers, svc.Sealer, forgetTopic)
	queue, err := jobs.New(svc.Pool, name, workers, svc.Log, jobs.Options{StopWait: cfg.Drain})
	if err != nil {
		return err
	}
	news, err := access.Listen(svc.Bus)
	if err != nil {
		return err
	}
	svc.Decider = access.NewRemote(authv1.NewAccessServiceClient(auth), news)
	server, err := svc.Server(authn.NewRemoteKeys(authv1.NewKeyServiceClient(auth)))
	if err != nil {
		return err
	}
	placements := placement.NewService(svc.Pool, queue, svc.Sealer, nodes, placement.Config{Lease: cfg.Lease, Interval: cfg.Interval}, svc.Log)
	jobService := job.NewService(svc.Pool, queue, svc.Sealer, key, validation.CheckReverse, nodes)
	replicationv1.RegisterJobServiceServer(server, jobService)
	replicationv1.RegisterSubscriptionServiceServer(server, job.NewSubscriptions(jobService))
	replicationv1.RegisterVerifyServiceServer(server, job.NewVerifications(jobService))
	replicationv1.RegisterLogServiceServer(server, loglevel.NewService(svc.Bus, svc.Log))
	replicationv1.RegisterMonitorServiceServer(server, monitor.NewService(svc.Pool))
	replicationv1.RegisterNodeServiceServer(server, node.NewService(svc.Pool, cfg.Lease))
	replicationv1.RegisterMySQLServiceServer(server, instance.NewService(key, svc.Log))
	replicationv1.RegisterValidationServiceServer(server, validation.NewService(key, svc.Log))
	replicationv1.RegisterWorkerServiceServer(server, placements)
	return svc.Serve(ctx, server, queue.Run, placements.Run)
}

func dialAuth(cfg Config) (*grpc.ClientConn, error) {
	creds, err := cfg.TLS.Client()
	if err != nil {
		return nil, err
	}
	if err := rpc.RequireTLS(cfg.AuthAddr, creds); err != nil {
		return nil, fmt.Errorf("OPSDECK_REPLICATION_AUTH_ADDR: %w", err)
	}
	return rpc.Dial(rpc.ClientConfig{Target: cfg.AuthAddr, TLS: creds, MaxMessage: cfg.MaxMessage})
}

// loadKey returns nil, which decrypts nothing, when no key is configured.
func loadKey(path string) (job.Decrypter, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // see above
	}
	key, err := secret.LoadRSA(path)
	if err != nil {
		return nil, fmt.Errorf("OPSDECK_REPLICATION_RSA_PRIVATE_KEY: %w", err)
	}
	return key, nil
}

// forget removes a deleted job's progress from its target.
func forget(ctx context.Context, target *replicationv1.MySQLConnection, jobID, incarnation string) error {
	conn, err := mysql.Connect(ctx, mysql.ConfigOf(target))
	if err != nil {
		return err
	}
	return errors.Join(progress.Forget(conn, jobID, incarnation), conn.Close())
}

// forgetTopic removes a deleted subscription's progress from its cluster.
func forgetTopic(ctx context.Context, target *replicationv1.KafkaTask, jobID, incarnation string) error {
	return kafka.Forget(ctx, kafka.ConfigOf(target), kafka.Job{ID: jobID, Incarnation: incarnation})
}
