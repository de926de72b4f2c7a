// Package mysqltest gives tests private servers: the machine's MariaDB, or what OPSDECK_TEST_SOURCE and OPSDECK_TEST_TARGET name.
package mysqltest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

const startTimeout = 5 * time.Minute

// Server is a private server that ends with the test.
type Server struct {
	*mariadb.Server
}

// Start starts a server for the test, with further command line options.
func Start(t testing.TB, serverID uint32, args ...string) *Server {
	t.Helper()
	// Not t.TempDir: the server's user could not enter it, and its path is too long for a socket.
	dir, err := os.MkdirTemp("", "opsdeck-db-") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), startTimeout)
	defer cancel()
	s, err := mariadb.Start(ctx, Options(dir, serverID, args...))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Kill()) })
	return &Server{Server: s}
}

// Config returns how to log in as the administrator.
func (s *Server) Config() mysql.Config {
	return mysql.Config{Host: "127.0.0.1", Port: s.Port(), User: s.User(), Password: s.Password()}
}

// Connect opens a session that ends with the test.
func (s *Server) Connect(t testing.TB) *mysql.Conn {
	t.Helper()
	c, err := mysql.Connect(t.Context(), s.Config())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Exec runs statements, Spelled for the server.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	spelled := make([]string, len(statements))
	for i, statement := range statements {
		spelled[i] = s.Spelled(statement)
	}
	require.NoError(t, s.Server.Exec(t.Context(), spelled...))
}

// Restart starts the server again after a kill.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	require.NoError(t, s.Server.Restart(ctx))
}
