package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	pidFile = "postmaster.pid"
	// politely is how long a predecessor gets for its fast shutdown before it is stopped at once.
	politely = 20 * time.Second
)

// endPredecessor stops a server that still runs on the data directory, because the process that started it was
// killed, and waits until every one of its processes is gone.
func endPredecessor(ctx context.Context, data string) error {
	if _, err := os.Stat(data); os.IsNotExist(err) {
		return nil
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(politely)
	for asked := false; ; {
		running, err := processesIn(data)
		if err != nil {
			return err
		}
		if len(running) == 0 {
			return clearStale(data)
		}
		switch {
		case !asked:
			signalServer(data, running, fast)
			asked = true
		case time.Now().After(deadline):
			signalServer(data, running, immediate)
			deadline = deadline.Add(politely)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("an older server (process %d) does not end: %w", running[0], ctx.Err())
		case <-tick.C:
		}
	}
}

// signalServer signals the postmaster only; without it, the others end by themselves.
func signalServer(data string, running []int, s syscall.Signal) {
	text, err := os.ReadFile(filepath.Join(data, pidFile)) //nolint:gosec // our own data directory
	if err != nil {
		return
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return
	}
	for _, p := range running {
		if p == pid {
			_ = syscall.Kill(pid, s) // gone already is what we want
		}
	}
}

// processesIn lists the processes whose working directory is the data directory: those of its server, whatever
// the pid file says.
func processesIn(data string) ([]int, error) {
	real, err := filepath.EvalSymlinks(data)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// Unreadable is another user's process, or one that ended: not this server's.
		if cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd")); err == nil && cwd == real {
			found = append(found, pid)
		}
	}
	return found, nil
}
