// Package bustest gives a test a NATS server of its own, inside the test's process.
package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/bus/server"
)

const stopWait = time.Minute

// Server runs a server without a listener until the test ends.
func Server(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir()}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWait)
		defer cancel()
		require.NoError(t, s.Stop(ctx))
	})
	return s
}

// Connect connects to a server until the test ends.
func Connect(t testing.TB, s *server.Server) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(t.Context(), Config(t, s), zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWait)
		defer cancel()
		require.NoError(t, conn.Close(ctx))
	})
	return conn
}

// Config is how a service under test connects to a server.
func Config(t testing.TB, s *server.Server) bus.Config {
	t.Helper()
	return bus.Config{Name: t.Name(), Options: []nats.Option{s.InProcess()}}
}

// New runs a server and connects to it.
func New(t testing.TB) *bus.Conn {
	t.Helper()
	return Connect(t, Server(t))
}
