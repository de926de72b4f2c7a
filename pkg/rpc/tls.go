package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc/credentials"
)

// TLSConfig names the files that secure calls between hosts. Without any, calls are in the clear, which is refused for
// addresses other than unix sockets and loopback.
type TLSConfig struct {
	Cert string `env:"TLS_CERT" help:"Path of this process's certificate (PEM), shown to those who call it and, for mutual TLS, to those it calls."`
	Key  string `env:"TLS_KEY" help:"Path of the private key of the certificate (PEM)."`
	CA   string `env:"TLS_CA" help:"Path of the certificates (PEM) that sign the other side's. On a server it makes client certificates mandatory."`
}

// check refuses half a pair: to pass over the other half would be to run without TLS.
func (t TLSConfig) check() error {
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("TLS_CERT and TLS_KEY: give both or none")
	}
	return nil
}

// Server returns the credentials of a server, or nil when no certificate is configured.
func (t TLSConfig) Server() (credentials.TransportCredentials, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.Cert == "" {
		return nil, nil //nolint:nilnil // no credentials is what gRPC calls plain text
	}
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	if cfg.RootCAs != nil {
		cfg.ClientCAs, cfg.ClientAuth = cfg.RootCAs, tls.RequireAndVerifyClientCert
	}
	return credentials.NewTLS(cfg), nil
}

// Client returns the credentials for calling others, or nil when neither CA nor certificate is configured.
func (t TLSConfig) Client() (credentials.TransportCredentials, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.Cert == "" && t.CA == "" {
		return nil, nil //nolint:nilnil // no credentials is what gRPC calls plain text
	}
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(cfg), nil
}

func (t TLSConfig) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("TLS_CERT and TLS_KEY: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("TLS_CA: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("TLS_CA: %s holds no certificate", t.CA)
		}
	}
	return cfg, nil
}

// Private reports whether an address is reached without leaving the machine.
func Private(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// RequireTLS refuses an address that other machines reach when there are no credentials.
func RequireTLS(address string, creds credentials.TransportCredentials) error {
	if creds == nil && !Private(address) {
		return errors.New(address + " can be reached from other machines: configure TLS, or use a unix socket or 127.0.0.1")
	}
	return nil
}

// Listen opens a listener on host:port or unix:///path. A socket left by a killed process is replaced; one that a process still
// listens on, or a file that is no socket, is not.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var cfg net.ListenConfig
	path, isSocket := strings.CutPrefix(address, "unix://")
	if !isSocket {
		return cfg.Listen(ctx, "tcp", address)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	listener, err := cfg.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return listener, os.Chmod(path, 0o600)
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("replace socket: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s exists and is no socket", path)
	}
	if conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path); err == nil {
		return errors.Join(fmt.Errorf("another process listens on %s", path), conn.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replace socket: %w", err)
	}
	return nil
}
