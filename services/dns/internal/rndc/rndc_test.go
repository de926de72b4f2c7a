package rndc_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/services/dns/dnstest"
	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
	"github.com/opsdeck/opsdeck/services/dns/internal/rndc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCommands(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "ops-") // t.TempDir is closed to the server's user
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	named, err := dnstest.StartNamed(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, named.Stop()) })
	key, err := keyfile.Read(named.ControlKeyFile())
	require.NoError(t, err)
	c := rndc.Client{Addr: named.ControlAddr(), Key: key}

	text, err := c.Do(t.Context(), "status")
	require.NoError(t, err)
	require.Contains(t, text, "version: BIND")
	_, err = c.Do(t.Context(), "showzone example.org")
	require.True(t, rndc.NotFound(err), err)
	_, err = c.Do(t.Context(), "delzone example.org")
	require.True(t, rndc.NotFound(err), err)
	_, err = c.Do(t.Context(), "nonsense")
	var failure *rndc.Failure
	require.ErrorAs(t, err, &failure)
	require.False(t, rndc.Exists(err) || rndc.NotFound(err))

	content := "$TTL 60\n@ SOA ns h 1 1 1 2 1\n@ NS ns\nns A 192.0.2.1\n"
	require.NoError(t, os.WriteFile(filepath.Join(named.Zones(), "example.org.db"), []byte(content), 0o644))
	add := `addzone example.org { type primary; file "example.org.db"; };`
	_, err = c.Do(t.Context(), add)
	require.NoError(t, err)
	_, err = c.Do(t.Context(), add)
	require.True(t, rndc.Exists(err), err)
	text, err = c.Do(t.Context(), "showzone example.org")
	require.NoError(t, err)
	require.Contains(t, text, `file "example.org.db"`)

	stranger := c
	stranger.Key.Secret = []byte("not the secret of this server")
	_, err = stranger.Do(t.Context(), "status")
	require.ErrorContains(t, err, "is the key one of its controls")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Do(ended, "status")
	require.ErrorIs(t, err, context.Canceled)
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, silent.Close()) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := silent.Accept()
		if err == nil {
			cancel()
			_ = conn.Close()
		}
	}()
	_, err = rndc.Client{Addr: silent.Addr().String(), Key: keyfile.Key{Algorithm: "hmac-sha256.", Secret: make([]byte, 16)}}.Do(ctx, "status")
	require.Error(t, err)
}
