package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The demo ends with equal checksums of all its tables, and leaves nothing behind.
func TestDemo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("migrates half a million rows")
	}
	dir := scratch(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	demo := exec.CommandContext(ctx, opsdeckProgram, "demo", "--addr", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	demo.Env = append(hermetic(), "TMPDIR="+dir)
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := demo.CombinedOutput()
	text := string(out)
	require.NoError(t, err, text)
	verdicts := regexp.MustCompile(`(?m)^ +(\w+) +source (\d+ rows \w+) +target (\d+ rows \w+) +equal$`).FindAllStringSubmatch(text, -1)
	require.Len(t, verdicts, 8, text)
	for _, verdict := range verdicts {
		require.Equal(t, verdict[2], verdict[3], verdict[1])
	}
	require.NotContains(t, text, "DIFFERENT")
	require.Contains(t, text, "/swagger/index.html")
	require.Empty(t, processesBelow(t, dir))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, strings.TrimSpace(text))
}
