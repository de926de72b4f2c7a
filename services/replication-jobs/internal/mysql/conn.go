// Package mysql connects to MySQL and MariaDB servers and hides what differs between the two: positions, GTID sets,
// statements and metadata.
package mysql

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

const (
	dialTimeout = 10 * time.Second
	// loginTimeout bounds what comes between the connection and the first statement of its owner.
	loginTimeout = 20 * time.Second
)

// sessionMode keeps zero dates and explicit zeros of AUTO_INCREMENT columns as they are, and refuses every value that a
// column cannot hold instead of cutting it.
const sessionMode = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION,STRICT_ALL_TABLES"

// Config says where a server is and who logs in.
type Config struct {
	Host     string
	Port     uint16
	User     string
	Password string
	SSL      SSL
	// Socket is the path of a unix socket, by which the server is reached instead of Host and Port; "" for those.
	Socket string
	// Dial reaches the server from where Host, Port and Socket mean nothing; nil for what they say. What it returns may outlive its context.
	Dial func(context.Context) (net.Conn, error) `json:"-"`
}

// DialContext opens a connection to the server, on which nobody has logged in; it is for the client library.
func (c Config) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial(ctx)
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
}

// Addr returns host:port, or the path of the socket, fit for messages: it holds no secret.
func (c Config) Addr() string {
	if c.Socket != "" {
		return c.Socket
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
}

// Conn is one session with a server. It is not safe for concurrent use.
type Conn struct {
	*client.Conn
	// Flavor is the family of the server.
	Flavor Flavor
	// Version is the server's VERSION(), for example 10.11.6-MariaDB.
	Version string
	// MaxAllowedPacket is the largest statement in bytes that the server takes.
	MaxAllowedPacket int
	// Config is how the session was opened, with what was preferred as it was chosen: "required" or "disabled".
	Config Config

	ctx     context.Context //nolint:containedctx // the session ends with it; see Connect
	socket  net.Conn
	unbind  func() bool
	batches bool // the server takes several statements at a time
	// compound is the text of the last one, to be written over.
	compound []byte
}

// Connect opens a session in UTC and utf8mb4 whose UPDATE counts are found rows. The session lives no longer than ctx: when
// ctx ends the socket is closed and the statement under way fails with the cause of ctx. There is no read timeout, because
// a statement of hours (an ALTER TABLE) is legitimate; a vanished peer is found by TCP keepalive.
func Connect(ctx context.Context, cfg Config) (*Conn, error) {
	if cfg.SSL.Mode != "" && cfg.SSL.Mode != SSLPreferred {
		return connect(ctx, cfg)
	}
	if cfg.Socket != "" { // it does not leave the machine
		cfg.SSL.Mode = SSLDisabled
		return connect(ctx, cfg)
	}
	cfg.SSL.Mode = SSLRequired
	c, err := connect(ctx, cfg)
	if err != nil && strings.Contains(err.Error(), withoutTLS) {
		cfg.SSL.Mode = SSLDisabled
		return connect(ctx, cfg)
	}
	return c, err
}

// Settled returns the configuration with what is preferred as the server has it, which it asks unless that is settled.
func (c Config) Settled(ctx context.Context) (Config, error) {
	if c.SSL.Mode != "" && c.SSL.Mode != SSLPreferred {
		return c, nil
	}
	conn, err := Connect(ctx, c)
	if err != nil {
		return c, err
	}
	return conn.Config, conn.Close()
}

// withoutTLS is what the driver says of a server that offers no encryption; it has no error of its own for that.
const withoutTLS = "does not support TLS"

func connect(ctx context.Context, cfg Config) (*Conn, error) {
	encryption, err := cfg.TLS()
	if err != nil {
		return nil, err
	}
	c := &Conn{ctx: ctx, Config: cfg}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		socket, err := cfg.DialContext(ctx, network, address)
		if err == nil {
			c.socket = socket
			c.unbind = context.AfterFunc(c.ctx, func() { _ = socket.Close() })
			err = socket.SetDeadline(time.Now().Add(loginTimeout))
		}
		return socket, err
	}
	inner, err := client.ConnectWithDialer(ctx, "", cfg.Addr(), cfg.User, cfg.Password, "", dial, func(o *client.Conn) error {
		for _, capability := range []uint32{gomysql.CLIENT_FOUND_ROWS, gomysql.CLIENT_LOCAL_FILES} { // files: see Load
			if err := o.SetCapability(capability); err != nil {
				return err
			}
		}
		if encryption != nil {
			o.SetTLSConfig(encryption)
		}
		return o.SetCollation("utf8mb4_general_ci")
	})
	if err != nil {
		c.drop()
		return nil, explainConnect(cfg, c.cause(err))
	}
	c.Conn = inner
	err = c.setUp()
	if err == nil {
		err = c.socket.SetDeadline(time.Time{})
	}
	if err != nil {
		c.drop()
		return nil, explainConnect(cfg, c.cause(err))
	}
	return c, nil
}

func (c *Conn) setUp() error {
	if _, err := c.Execute("SET NAMES utf8mb4"); err != nil {
		return err
	}
	if _, err := c.Execute("SET SESSION time_zone = '+00:00', sql_mode = '" + sessionMode + "', autocommit = 1, wait_timeout = 28800"); err != nil {
		return err
	}
	r, err := c.Execute("SELECT VERSION(), @@max_allowed_packet")
	if err != nil {
		return err
	}
	if c.Version, err = r.GetString(0, 0); err != nil {
		return fmt.Errorf("read the server's version: %w", err)
	}
	size, err := r.GetInt(0, 1)
	if err != nil {
		return fmt.Errorf("read the server's max_allowed_packet: %w", err)
	}
	c.MaxAllowedPacket = int(size)
	c.Flavor = Detect(c.Version)
	return c.showAll()
}

// showAll has MySQL show the primary keys that it has generated: its log has their columns too. A server that only speaks like such a version need
// not know the variable.
func (c *Conn) showAll() error {
	if c.Flavor.Name() != gomysql.MySQLFlavor {
		return nil
	}
	if since, err := c.CompareServerVersion("8.0.30"); err != nil || since < 0 {
		return nil //nolint:nilerr // a version that says nothing is not one that generates keys
	}
	const variable = "show_gipk_in_create_table_and_information_schema"
	known, err := c.Execute("SHOW SESSION VARIABLES LIKE '" + variable + "'")
	if err != nil || known.RowNumber() == 0 {
		return err
	}
	_, err = c.Execute("SET SESSION " + variable + " = ON")
	return err
}

// Execute runs one statement. With arguments it is prepared, executed and closed.
func (c *Conn) Execute(statement string, args ...any) (*gomysql.Result, error) {
	r, err := c.Conn.Execute(statement, args...)
	return r, c.cause(err)
}

// Run executes a statement without arguments, which may be large: it is not copied on the way.
func (c *Conn) Run(statement []byte) (*gomysql.Result, error) {
	return c.Execute(unsafe.String(unsafe.SliceData(statement), len(statement))) //nolint:gosec // nobody changes it meanwhile, and nobody keeps it
}

// ExecuteSelectStreaming hands the rows of a SELECT to row one by one; a row's values are valid until row returns.
func (c *Conn) ExecuteSelectStreaming(statement string, result *gomysql.Result, row client.SelectPerRowCallback, header client.SelectPerResultCallback) error {
	return c.cause(c.Conn.ExecuteSelectStreaming(statement, result, row, header))
}

// Stmt is a prepared statement of a session.
type Stmt struct {
	*client.Stmt
	conn *Conn
}

// Prepare prepares a statement; it ends with its Close or with the session.
func (c *Conn) Prepare(statement string) (*Stmt, error) {
	s, err := c.Conn.Prepare(statement)
	if err != nil {
		return nil, c.cause(err)
	}
	return &Stmt{Stmt: s, conn: c}, nil
}

// Execute runs the statement with its arguments.
func (s *Stmt) Execute(args ...any) (*gomysql.Result, error) {
	r, err := s.Stmt.Execute(args...)
	return r, s.conn.cause(err)
}

// Begin starts a transaction.
func (c *Conn) Begin() error { return c.cause(c.Conn.Begin()) }

// Commit ends the transaction under way.
func (c *Conn) Commit() error { return c.cause(c.Conn.Commit()) }

// Rollback undoes the transaction under way.
func (c *Conn) Rollback() error { return c.cause(c.Conn.Rollback()) }

// Close ends the session without waiting for the server.
func (c *Conn) Close() error {
	c.drop()
	return nil
}

// Transaction runs do between BEGIN and COMMIT, and rolls back when do fails.
func (c *Conn) Transaction(do func() error) error {
	if err := c.Begin(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	if err := do(); err != nil {
		_ = c.Rollback() // the first error tells more; a session that cannot roll back is discarded by its owner
		return err
	}
	if err := c.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (c *Conn) drop() {
	if c.socket == nil {
		return
	}
	c.unbind()
	_ = c.socket.Close()
}

// cause turns the socket error that follows the end of the session's context into the reason for that end.
func (c *Conn) cause(err error) error {
	if err != nil && c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return err
}
