package worker

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

func TestSockets(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "s") // t.TempDir is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	allowed, denied := filepath.Join(dir, "allowed"), filepath.Join(dir, "allowed-not")
	for _, d := range []string{allowed, denied} {
		require.NoError(t, os.Mkdir(d, 0o700))
		l, err := net.Listen("unix", filepath.Join(d, "sock"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
	}
	require.NoError(t, os.Symlink(filepath.Join(denied, "sock"), filepath.Join(allowed, "link")))
	require.NoError(t, os.Symlink(allowed, filepath.Join(dir, "linked")))
	for path, want := range map[string]bool{
		"": true, filepath.Join(allowed, "sock"): true, filepath.Join(allowed, "below/none"): true, filepath.Join(dir, "linked", "sock"): true,
		filepath.Join(denied, "sock"): false, filepath.Join(allowed, "link"): false, allowed + "/../allowed-not/sock": false, allowed: false, "sock": false, "/": false,
	} {
		err := sockets{"relative", "/nowhere", allowed}.check("", path)
		require.Equal(t, want, err == nil, "%s: %v", path, err)
		if path != "" {
			require.ErrorContains(t, sockets(nil).check(path), "OPSDECK_WORKER_SOCKET_DIRS", "denied by default")
			require.True(t, mysql.Permanent(sockets(nil).check(path)))
		}
	}
	sock := filepath.Join(allowed, "sock")
	c, err := sockets{allowed}.dialer(sock)(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Close())
	_, err = sockets(nil).dialer(sock)(t.Context())
	require.ErrorContains(t, err, "lets no job use the socket", "nor a job that another node runs")

	job := engine.Job{Source: mysql.Config{Socket: "/source"}, Target: mysql.Config{Socket: "/target"}}
	require.Equal(t, []string{"/source", "/target"}, local(job))
	job.Source.Dial = func(context.Context) (net.Conn, error) { return nil, net.ErrClosed }
	require.Equal(t, []string{"/target"}, local(job), "the other socket is the other node's")
}
