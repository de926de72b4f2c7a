// Package bindagent is the small HTTP service that runs beside named and does what only a process there can: add and remove zones, with
// the files of their first content, and list them. Records are none of its business: they travel by DNS.
package bindagent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/app"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"
	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
	"github.com/opsdeck/opsdeck/services/dns/internal/rndc"
)

// Config is what the agent can be told.
type Config struct {
	Addr       string        `env:"OPSDECK_BIND_AGENT_ADDR" envDefault:"127.0.0.1:8053" help:"Address to serve HTTP on, host:port. Addresses other than loopback need a certificate."`
	Token      secret.Text   `env:"OPSDECK_BIND_AGENT_TOKEN_FILE,file,required" help:"Token that callers must bring, at least 20 characters."`
	Cert       string        `env:"OPSDECK_BIND_AGENT_TLS_CERT" help:"Path of the agent's certificate (PEM); with it the agent serves HTTPS."`
	Key        string        `env:"OPSDECK_BIND_AGENT_TLS_KEY" help:"Path of the private key of the certificate (PEM)."`
	Control    string        `env:"OPSDECK_BIND_AGENT_CONTROL" envDefault:"127.0.0.1:953" help:"Address of named's control channel."`
	ControlKey string        `env:"OPSDECK_BIND_AGENT_CONTROL_KEY" envDefault:"/etc/bind/rndc.key" help:"Path of the key of the control channel, as rndc-confgen writes it."`
	Statistics string        `env:"OPSDECK_BIND_AGENT_STATISTICS" envDefault:"http://127.0.0.1:8054/" help:"Base URL of named's statistics channel, which lists the zones."`
	TSIGKey    string        `env:"OPSDECK_BIND_AGENT_TSIG_KEY" envDefault:"/etc/bind/opsdeck.key" help:"Path of the key that may update zones, as tsig-keygen writes it. The agent uses and tells its name only."`
	DNSPort    int           `env:"OPSDECK_BIND_AGENT_DNS_PORT" envDefault:"53" help:"Port at which named answers DNS on this host."`
	Directory  string        `env:"OPSDECK_BIND_AGENT_DIRECTORY" envDefault:"/var/cache/bind" help:"named's working directory. Zone files go into opsdeck/ below it, which named must be able to write to."`
	Timeout    time.Duration `env:"OPSDECK_BIND_AGENT_TIMEOUT" envDefault:"30s" help:"Longest a request may take named."`
	Drain      time.Duration `env:"OPSDECK_BIND_AGENT_DRAIN" envDefault:"10s" help:"How long requests under way may take to finish when the agent is told to stop."`
}

// minToken is the shortest token that is accepted, in characters.
const minToken = 20

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	switch {
	case len(c.Token) < minToken:
		return fmt.Errorf("OPSDECK_BIND_AGENT_TOKEN_FILE holds fewer than %d characters", minToken)
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("OPSDECK_BIND_AGENT_TLS_CERT and OPSDECK_BIND_AGENT_TLS_KEY: give both or none")
	case c.Cert == "" && !rpc.Private(c.Addr):
		return fmt.Errorf("OPSDECK_BIND_AGENT_ADDR: %s can be reached from other machines: configure a certificate, or use 127.0.0.1", c.Addr)
	case c.DNSPort < 1 || c.DNSPort > 65535:
		return errors.New("OPSDECK_BIND_AGENT_DNS_PORT must be 1 to 65535")
	case !filepath.IsAbs(c.Directory):
		return errors.New("OPSDECK_BIND_AGENT_DIRECTORY must be an absolute path")
	case c.Timeout <= 0 || c.Drain <= 0:
		return errors.New("OPSDECK_BIND_AGENT_TIMEOUT and OPSDECK_BIND_AGENT_DRAIN must be more than 0")
	}
	return nil
}

// zoneDirectory is where zone files go, below named's working directory.
const zoneDirectory = "opsdeck"

// Limits of the HTTP server.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
)

// Run serves until ctx ends.
func Run(ctx context.Context, rt *app.Runtime, cfg Config) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("OPSDECK_BIND_AGENT_ADDR: %w", err)
	}
	return Serve(ctx, rt, cfg, listener)
}

// Serve serves on a listener, which it closes, until ctx ends.
func Serve(ctx context.Context, rt *app.Runtime, cfg Config, listener net.Listener) error {
	defer func() { _ = listener.Close() }() // closed already when serving ended in order
	named, err := newNamed(cfg)
	if err != nil {
		return err
	}
	defer named.close()
	rt.OnReady("named", func(ctx context.Context) error {
		_, err := named.version(ctx)
		return err
	})
	if cfg.Cert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			return fmt.Errorf("OPSDECK_BIND_AGENT_TLS_CERT and OPSDECK_BIND_AGENT_TLS_KEY: %w", err)
		}
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	rt.Log.Info("serving", zap.Stringer("address", listener.Addr()), zap.Bool("tls", cfg.Cert != ""))
	server := &http.Server{
		Handler:           handler(rt.Log, cfg, named),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: readTimeout + cfg.Timeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: zap.NewStdLog(rt.Log),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Drain)
		defer cancel()
		stopped <- server.Shutdown(drain)
	})
	err = server.Serve(listener)
	if stop() { // nobody told it to stop
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}

// newNamed reads the keys and opens the directory.
func newNamed(cfg Config) (*named, error) {
	control, err := keyfile.Read(cfg.ControlKey)
	if err != nil {
		return nil, fmt.Errorf("OPSDECK_BIND_AGENT_CONTROL_KEY: %w", err)
	}
	update, err := keyfile.Read(cfg.TSIGKey)
	if err != nil {
		return nil, fmt.Errorf("OPSDECK_BIND_AGENT_TSIG_KEY: %w", err)
	}
	root, err := os.OpenRoot(cfg.Directory)
	if err != nil {
		return nil, fmt.Errorf("OPSDECK_BIND_AGENT_DIRECTORY: %w", err)
	}
	if err := root.Mkdir(zoneDirectory, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, errors.Join(fmt.Errorf("OPSDECK_BIND_AGENT_DIRECTORY: %w", err), root.Close())
	}
	return &named{
		control: rndc.Client{Addr: cfg.Control, Key: control}, tsigKey: update.Name, root: root, statistics: cfg.Statistics, turn: make(chan struct{}, 1),
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}, nil
}
