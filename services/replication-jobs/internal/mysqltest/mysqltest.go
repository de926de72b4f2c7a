// Package mysqltest gives tests private MariaDB servers.
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

const startTimeout = time.Minute

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
	s, err := mariadb.Start(ctx, mariadb.Options{Dir: dir, ServerID: serverID, Args: append([]string{
		// A killed process loses nothing that it has handed to the kernel, so tests need not wait for the disk.
		"--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--innodb-buffer-pool-size=256M",
	}, args...)})
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

// Exec runs statements.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	require.NoError(t, s.Server.Exec(t.Context(), statements...))
}

// Restart starts the server again after a kill.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	require.NoError(t, s.Server.Restart(ctx))
}

// Checksums returns the checksum of every base table of the schemas, by schema.table.
func (s *Server) Checksums(t testing.TB, schemas ...string) map[string]string {
	t.Helper()
	c, err := mysql.Connect(t.Context(), s.Config())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	out := map[string]string{}
	for _, schema := range schemas {
		r, err := c.Execute(`SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = ?`, schema)
		require.NoError(t, err)
		for i := range r.RowNumber() {
			name, err := r.GetString(i, 0)
			require.NoError(t, err)
			sum, err := c.Execute("CHECKSUM TABLE " + mysql.QuoteTable(schema, name))
			require.NoError(t, err)
			out[schema+"."+name], err = sum.GetString(0, 1)
			require.NoError(t, err)
		}
	}
	return out
}
