package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
)

// workerJob is the environment variable that makes the test binary a worker, which is what can be killed.
const workerJob = "OPSDECK_TEST_JOB"

// runWorker runs the job of the environment, if there is one, and reports whether there was.
func runWorker() bool {
	text := os.Getenv(workerJob)
	if text == "" {
		return false
	}
	var job engine.Job
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, engine.Run(context.Background(), job, &listener{}, zap.NewNop()))
	return true
}

// startWorker runs the job in a process of its own, until the returned function kills it.
func startWorker(t *testing.T, job engine.Job) (process int, kill func()) {
	t.Helper()
	text, err := json.Marshal(job)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), workerJob+"="+string(text))
	require.NoError(t, cmd.Start())
	return cmd.Process.Pid, func() {
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // says that it was killed
	}
}
