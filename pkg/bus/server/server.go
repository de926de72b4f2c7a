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
	"golang.org/x/crypto/bcrypt"

	"github.com/opsdeck/opsdeck/pkg/secret"
)

const startWait = 30 * time.Second

// Config of an embedded server.
type Config struct {
	Dir    string // where JetStream keeps its files
	Listen string // host:port to listen on, port 0 for any; empty when only this process may connect
	Users  []User // who may connect; anybody in this process when empty, which Listen does not allow
}

// User may connect with a password.
type User struct {
	Name     string
	Password secret.Text
	// Publish and Subscribe are the subjects, wildcards included, that the user may use; every subject when both are nil.
	Publish, Subscribe []string
}

// Subscriber is a user who may read the events of a stream, from any place in it, and do nothing else. Consumers belong to nobody:
// programs that share the user can remove each other's.
func Subscriber(name string, password secret.Text, stream, subjects string) User {
	return User{
		Name: name, Password: password, Subscribe: []string{subjects, "_INBOX.>"},
		Publish: []string{
			"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO." + stream,
			"$JS.API.CONSUMER.CREATE." + stream + ".>", "$JS.API.CONSUMER.DURABLE.CREATE." + stream + ".>",
			"$JS.API.CONSUMER.CREATE." + stream, "$JS.API.CONSUMER.INFO." + stream + ".>", "$JS.API.CONSUMER.DELETE." + stream + ".>", "$JS.API.CONSUMER.MSG.NEXT." + stream + ".>",
			"$JS.ACK." + stream + ".>", "$JS.FC." + stream + ".>",
		},
	}
}

// Server is a running embedded server.
type Server struct{ nats *server.Server }

// Start runs a server and returns when it takes connections.
func Start(ctx context.Context, cfg Config, log *zap.Logger) (*Server, error) {
	o, err := options(cfg)
	if err != nil {
		return nil, err
	}
	if err := free(ctx, cfg.Listen); err != nil {
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

// free tells at once of an address that another process holds: the server itself would try it for half a minute.
func free(ctx context.Context, address string) error {
	if address == "" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("NATS server: %w", err)
	}
	return listener.Close()
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
	known, err := users(cfg.Users)
	if err != nil {
		return nil, err
	}
	o := &server.Options{
		ServerName: "opsdeck",
		DontListen: cfg.Listen == "",
		JetStream:  true,
		StoreDir:   cfg.Dir,
		SyncAlways: true, // an acknowledged message survives a power cut
		NoSigs:     true, // signals are the program's business
		Users:      known,
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
func users(all []User) ([]*server.User, error) {
	var converted []*server.User
	for _, u := range all {
		// The least cost will do: these are random secrets, not what people think up.
		hash, err := bcrypt.GenerateFromPassword([]byte(u.Password.Reveal()), bcrypt.MinCost)
		if err != nil {
			return nil, fmt.Errorf("NATS server: password of user %s: %w", u.Name, err)
		}
		user := &server.User{Username: u.Name, Password: string(hash)}
		if u.Publish != nil || u.Subscribe != nil {
			user.Permissions = &server.Permissions{Publish: only(u.Publish), Subscribe: only(u.Subscribe)}
		}
		converted = append(converted, user)
	}
	return converted, nil
}

// only allows these subjects; none when there are none, where an empty list would allow all.
func only(subjects []string) *server.SubjectPermission {
	if len(subjects) == 0 {
		return &server.SubjectPermission{Deny: []string{">"}}
	}
	return &server.SubjectPermission{Allow: subjects}
}

// logger hands the server's log lines to zap. A fatal line is an error here: the server does not end the process.
type logger struct{ zap *zap.SugaredLogger }

func (l logger) Noticef(format string, v ...any) { l.zap.Debugf(format, v...) } // mostly a banner
func (l logger) Warnf(format string, v ...any)   { l.zap.Warnf(format, v...) }
func (l logger) Errorf(format string, v ...any)  { l.zap.Errorf(format, v...) }
func (l logger) Fatalf(format string, v ...any)  { l.zap.Errorf(format, v...) }
func (l logger) Debugf(format string, v ...any)  { l.zap.Debugf(format, v...) }
func (l logger) Tracef(format string, v ...any)  { l.zap.Debugf(format, v...) }
