// Package mariadb runs private MariaDB servers from the machine's own binaries: for the demo, and for tests that need a real server. Tests also
// run other versions, and MySQL, from where they were unpacked.
package mariadb

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// Options configure a server.
type Options struct {
	// Dir is where the server keeps everything. It is created if it is missing; a server that it holds already is started again.
	// Its path must be short enough for a unix socket in it.
	Dir string
	// Port is the TCP port on 127.0.0.1; 0 takes a free one.
	Port uint16
	// ServerID is the replication identity, different for every server.
	ServerID uint32
	// User and Password are those of the administrator that the server gets; by default opsdeck and a random one.
	User, Password string
	// Basedir is where a MariaDB or a MySQL was unpacked that runs instead of the machine's MariaDB. Of a MySQL an empty data directory is kept there.
	Basedir string
	// Args are further command line options, for example --innodb-buffer-pool-size=1G.
	Args []string
}

// Server is a running, or killed, server.
type Server struct {
	opt      Options
	software distribution
	account  *syscall.Credential // nil: the current user's
	process  *exec.Cmd
	exited   chan struct{}
}

const stopTimeout = 30 * time.Second

// Start prepares the data directory where needed and starts the server. It returns when the server answers. The caller ends it with
// Stop or Kill; it dies with this process in any case.
func Start(ctx context.Context, opt Options) (*Server, error) {
	s := &Server{opt: opt, software: distribution{basedir: opt.Basedir, mysql: IsMySQL(opt.Basedir)}}
	if err := s.software.check(); err != nil {
		return nil, err
	}
	if s.opt.User == "" {
		s.opt.User = "opsdeck"
	}
	if s.opt.Password == "" {
		s.opt.Password = crand.Text()
	}
	if s.opt.Port == 0 {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		s.opt.Port = port
	}
	if err := s.install(ctx); err != nil {
		return nil, err
	}
	return s, s.Restart(ctx)
}

// IsMySQL reports whether the server is a MySQL.
func (s *Server) IsMySQL() bool { return s.software.mysql }

// Port returns the TCP port on 127.0.0.1.
func (s *Server) Port() uint16 { return s.opt.Port }

// PID returns the number of the server's process.
func (s *Server) PID() int { return s.process.Process.Pid }

// User returns the administrator's name.
func (s *Server) User() string { return s.opt.User }

// Password returns the administrator's password.
func (s *Server) Password() string { return s.opt.Password }

// Addr returns the server's host:port.
func (s *Server) Addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(s.opt.Port)))
}

// Restart starts a stopped or killed server again, on the same port and data. It returns when the server answers.
func (s *Server) Restart(ctx context.Context) error {
	args := append(s.software.args(), append([]string{
		"--datadir=" + s.path("data"), "--socket=" + s.path("sock"), "--pid-file=" + s.path("pid"), "--tmpdir=" + s.path("tmp"),
		"--log-error=" + s.path("error.log"), "--init-file=" + s.path("init.sql"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(int(s.opt.Port)), "--skip-name-resolve",
		"--server-id=" + strconv.FormatUint(uint64(s.opt.ServerID), 10),
		"--log-bin=bin", "--binlog-format=ROW", "--binlog-row-image=FULL",
		"--character-set-server=utf8mb4", "--max-allowed-packet=64M",
	}, s.opt.Args...)...)
	s.process = exec.Command(s.software.server(), args...) //nolint:gosec,noctx // the server outlives ctx, which bounds only its start
	s.process.SysProcAttr = &syscall.SysProcAttr{Credential: s.account, Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.software.server(), err)
	}
	s.exited = make(chan struct{})
	go func(process *exec.Cmd, exited chan struct{}) {
		_ = process.Wait() // how it ended is in its log
		close(exited)
	}(s.process, s.exited)
	return s.await(ctx)
}

// await tries to log in until that works, the server exits or ctx ends.
func (s *Server) await(ctx context.Context) error {
	for {
		c, err := client.ConnectWithContext(ctx, s.Addr(), s.opt.User, s.opt.Password, "", time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s did not start; the end of its log:\n%s", s.software.server(), s.logTail())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), s.Kill())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server in order.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

// Kill ends the server at once, as a crash would.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

func (s *Server) end(signal syscall.Signal) error {
	if err := s.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the server: %w", err)
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(stopTimeout):
	}
	_ = s.process.Process.Kill() // gone already is fine
	<-s.exited
	return fmt.Errorf("the server had to be killed: it did not stop within %s", stopTimeout)
}

// Exec runs statements, one after the other, as the administrator.
func (s *Server) Exec(ctx context.Context, statements ...string) error {
	c, err := s.Connect(ctx, "")
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.Addr(), err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Conn.Conn.Close() })
	defer stop()
	for _, statement := range statements {
		if _, err := c.Execute(statement); err != nil {
			return fmt.Errorf("execute %.80q: %w", statement, err)
		}
	}
	return nil
}

func (s *Server) path(name string) string { return filepath.Join(s.opt.Dir, name) }

func (s *Server) logTail() string {
	const most = 2000
	log, err := os.ReadFile(s.path("error.log"))
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-most):])
}

// The ports to choose from lie below those that systems give to outgoing connections, which would take a free one away.
const (
	lowestPort = 12000
	ports      = 20000
	portTries  = 100
)

func freePort() (uint16, error) {
	var err error
	for range portTries {
		port := lowestPort + rand.IntN(ports) //nolint:gosec // any will do
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil { //nolint:noctx // no name to look up, nothing to wait for
			return uint16(port), l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}
