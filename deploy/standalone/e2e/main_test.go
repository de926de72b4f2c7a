package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// Programs under test, built once.
var opsdeckProgram, workerProgram, gatewayProgram string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "opsdeck-e2e-")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	code := m.Run()
	if err := errors.Join(endShared(), os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	transport.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return code
}

// build compiles the programs as they are shipped, without the race detector.
func build(dir string) error {
	const module = "github.com/opsdeck/opsdeck/"
	opsdeckProgram, workerProgram, gatewayProgram = filepath.Join(dir, "opsdeck"), filepath.Join(dir, "worker"), filepath.Join(dir, "gateway")
	for program, pkg := range map[string]string{
		opsdeckProgram: module + "deploy/standalone/cmd/opsdeck",
		workerProgram:  module + "services/replication-jobs/cmd/worker",
		gatewayProgram: module + "gateway/cmd/gateway",
	} {
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", program, pkg).CombinedOutput()
		if err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// nextPort is below the ports that the system gives to clients: a server finds its port free again after a restart.
var nextPort atomic.Int32

func init() { nextPort.Store(20000 + int32(os.Getpid()%800)*10) }

func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := int(nextPort.Add(1))
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		require.NoError(t, listener.Close())
		return port
	}
	require.FailNow(t, "no free port in a thousand")
	return 0
}

// await asks until the answer is nil, and fails with the last answer when patience ends.
func await(t testing.TB, patience time.Duration, what string, ask func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil || last == nil {
			last = err // not what comes of the end of patience
		}
		var hopeless permanentError
		require.False(t, errors.As(err, &hopeless), "%s: %v", what, err)
		select {
		case <-ctx.Done():
			require.FailNow(t, "gave up waiting for "+what, "after %v, the last answer was: %v", patience, last)
		case <-tick.C:
		}
	}
}

// permanentError ends an await at once.
type permanentError struct{ error }

// scratch makes a directory with a path short enough for sockets in it, which other users may pass through: the database servers
// run as users of their own when we are root.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ops-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
