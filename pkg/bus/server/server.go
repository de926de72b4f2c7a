// Package server runs a NATS server inside the process: JetStream in files that are synced before every
// acknowledgement. Only programs that import it link the server.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/secret"
)

const startWait = 30 * time.Second

// Config of an embedded server.
type Config struct {
	Dir    string // where JetStream keeps its files
	Listen string // host:port to listen on, port 0 for any; empty when only this process may connect
	Users  []User // who may connect; anybody in this process when empty, which Listen does not allow
}

// User may connect with a password, and use every subject.
type User struct {
	Name     string
	Password secret.Text
}

// Server is a running embedded server.
type Server struct{ nats *server.Server }

// Start runs a server and returns when it takes connections.
func Start(ctx context.Context, cfg Config, log *zap.Logger) (*Server, error) {
	o, err := options(cfg)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("NATS server: %w", err)
	}
	s.SetLoggerV2(logger{log.Named("nats").Sugar()}, false, false, false)
	s.Start()
	wait := startWait
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end))
	}
	if !s.ReadyForConnections(wait) {
		s.Shutdown()
		return nil, fmt.Errorf("NATS server on %q with files in %s is not ready after %v; its log says why", cfg.Listen, cfg.Dir, wait)
	}
	return &Server{s}, nil
}

// InProcess connects a client to the server without a socket.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.nats) }

// URL is where clients outside the process connect, empty when they cannot.
func (s *Server) URL() string {
	if s.nats.Addr() == nil {
		return ""
	}
	return s.nats.ClientURL()
}

// Stop ends the connections and the server; what was acknowledged is on disk.
func (s *Server) Stop(ctx context.Context) error {
	s.nats.Shutdown()
	stopped := make(chan struct{})
	go func() {
		s.nats.WaitForShutdown()
		close(stopped)
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the NATS server: %w", ctx.Err())
	}
}

func options(cfg Config) (*server.Options, error) {
	o := &server.Options{
		ServerName: "opsdeck",
		DontListen: cfg.Listen == "",
		JetStream:  true,
		StoreDir:   cfg.Dir,
		SyncAlways: true, // an acknowledged message survives a power cut
		NoSigs:     true, // signals are the program's business
		Users:      users(cfg.Users),
	}
	if cfg.Listen == "" {
		return o, nil
	}
	if len(cfg.Users) == 0 {
		return nil, errors.New("NATS server: a listener needs users with passwords")
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("NATS server: listen address: %w", err)
	}
	o.Host = host
	if o.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("NATS server: listen address %s: port: %w", cfg.Listen, err)
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	return o, nil
}

// users is nil for none: an empty list would make the server want credentials that nobody has.
func users(all []User) []*server.User {
	var converted []*server.User
	for _, u := range all {
		converted = append(converted, &server.User{Username: u.Name, Password: u.Password.Reveal()})
	}
	return converted
}

// logger hands the server's log lines to zap. A fatal line is an error here: the server does not end the process.
type logger struct{ zap *zap.SugaredLogger }

func (l logger) Noticef(format string, v ...any) { l.zap.Infof(format, v...) }
func (l logger) Warnf(format string, v ...any)   { l.zap.Warnf(format, v...) }
func (l logger) Errorf(format string, v ...any)  { l.zap.Errorf(format, v...) }
func (l logger) Fatalf(format string, v ...any)  { l.zap.Errorf(format, v...) }
func (l logger) Debugf(format string, v ...any)  { l.zap.Debugf(format, v...) }
func (l logger) Tracef(format string, v ...any)  { l.zap.Debugf(format, v...) }
