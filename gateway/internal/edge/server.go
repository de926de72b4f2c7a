package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	ioMargin       = 10 * time.Second // that reading and writing may take beside the call itself
)

// Server listens for HTTP calls.
type Server struct {
	Log      *zap.Logger
	Handler  http.Handler
	CertFile string // with KeyFile: serve TLS and HTTP/2
	KeyFile  string
	Timeout  time.Duration // of one call
	Drain    time.Duration // how long calls under way may take when the server is told to stop
}

// Serve answers calls on a listener until ctx ends, then lets the calls under way finish within the drain time.
func (s Server) Serve(ctx context.Context, listener net.Listener) error {
	errorLog, err := zap.NewStdLogAt(s.Log, zap.DebugLevel) // its lines are about clients that misbehave
	if err != nil {
		return fmt.Errorf("make the log of the HTTP server: %w", err)
	}
	server := &http.Server{
		Handler: s.Handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ReadTimeout: s.Timeout + ioMargin, WriteTimeout: s.Timeout + 2*ioMargin,
		ErrorLog: errorLog,
	}
	serve := func() error { return server.Serve(listener) }
	if s.CertFile != "" {
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		serve = func() error { return server.ServeTLS(listener, s.CertFile, s.KeyFile) }
	}
	stopped := make(chan error, 1)
	end := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Drain)
		defer cancel()
		err := server.Shutdown(drain)
		if errors.Is(err, context.DeadlineExceeded) {
			s.Log.Warn("calls were still under way at the end of the drain time and were cut", zap.Duration("drain", s.Drain))
			err = server.Close()
		}
		stopped <- err
	})
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		end()
		return fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
	}
	return <-stopped
}
