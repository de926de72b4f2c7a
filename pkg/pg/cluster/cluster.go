// Package cluster runs a private PostgreSQL cluster from the machine's binaries: initialised once, reached over a
// unix socket, run as an unprivileged user, and ended with the process that started it.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// Database is the one database of a cluster; each service has a schema in it.
	Database = "opsdeck"

	superuser   = "opsdeck"
	defaultPort = 5432 // only a part of the socket's name when nothing listens on TCP
	startWait   = 2 * time.Minute
)

// Config of a cluster.
type Config struct {
	Dir   string // made when absent; the cluster's files, its log and its superuser's password are below it
	Fsync bool   // off only for tests: a power cut loses the cluster
	Port  int    // loopback TCP port, unix socket only when zero
}

// Cluster is a running PostgreSQL server.
type Cluster struct {
	dir      string // Config.Dir
	sockets  string
	tempSock bool // sockets is a directory of our own outside dir
	port     int
	password string
	server   *process
}

// Start initialises the cluster when it is new, ends a server that a killed predecessor left on it, starts the
// server and waits until it takes connections.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	c, err := start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("private PostgreSQL in %s: %w", cfg.Dir, err)
	}
	return c, nil
}

func start(ctx context.Context, cfg Config) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	l := layout{dir, who}
	if err := l.prepare(); err != nil {
		return nil, err
	}
	bin, err := findBinaries(ctx, l.version())
	if err != nil {
		return nil, err
	}
	if err := endPredecessor(ctx, l.data()); err != nil {
		return nil, err
	}
	password, err := l.initialise(ctx, bin, cfg.Fsync)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, port: cfg.Port, password: password}
	if c.port == 0 {
		c.port = defaultPort
	}
	if c.sockets, c.tempSock, err = l.sockets(c.port); err != nil {
		return nil, err
	}
	if c.server, err = launch(l, bin, arguments(l, cfg, c)); err != nil {
		return nil, errors.Join(err, c.removeSockets())
	}
	if err := c.ready(ctx); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func arguments(l layout, cfg Config, c *Cluster) []string {
	listen := ""
	if cfg.Port != 0 {
		listen = "127.0.0.1"
	}
	settings := []string{
		"listen_addresses=" + listen,
		"port=" + strconv.Itoa(c.port),
		"unix_socket_directories=" + c.sockets,
		"unix_socket_permissions=0700",
		"max_connections=200",
		"password_encryption=scram-sha-256",
		"logging_collector=off",
		"log_timezone=UTC",
		"cluster_name=opsdeck",
	}
	if !cfg.Fsync {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB")
	}
	args := []string{"-D", l.data()}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// URL is how a role reaches a database of the cluster. It holds the password: keep it out of logs.
func (c *Cluster) URL(role, password, database string) string {
	query := url.Values{"host": {c.sockets}, "port": {strconv.Itoa(c.port)}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// SuperuserURL reaches a database with every right, for backups and tests.
func (c *Cluster) SuperuserURL(database string) string { return c.URL(superuser, c.password, database) }

// Done is closed when the server has ended; Err then says why.
func (c *Cluster) Done() <-chan struct{} { return c.server.done }

// Err is why the server ended by itself, nil while it runs and after Stop.
func (c *Cluster) Err() error {
	select {
	case <-c.server.done:
		return c.server.failure(c.dir)
	default:
		return nil
	}
}

// Stop ends the sessions and the server (a fast shutdown). When ctx ends first it stops at once, and the next
// start recovers from the log.
func (c *Cluster) Stop(ctx context.Context) error {
	err := c.server.stop(ctx)
	return errors.Join(err, c.removeSockets())
}

func (c *Cluster) removeSockets() error {
	if !c.tempSock {
		return nil
	}
	return os.RemoveAll(c.sockets)
}

// ready connects until the server takes connections, and makes the database when the cluster is new.
func (c *Cluster) ready(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.SuperuserURL("postgres"))
		if err == nil {
			err = ensureDatabase(ctx, conn)
			return errors.Join(err, conn.Close(ctx))
		}
		select {
		case <-c.server.done:
			return c.server.failure(c.dir)
		case <-ctx.Done():
			return fmt.Errorf("the server did not get ready: %w (last answer: %w)%s", ctx.Err(), err, logTail(c.dir))
		case <-tick.C:
		}
	}
}

func ensureDatabase(ctx context.Context, conn *pgx.Conn) error {
	var exists bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)`, Database).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE DATABASE `+Database)
	return err
}
