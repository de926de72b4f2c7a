package engine_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// TestFullDisk fills the disk of the relay log with a transaction, which comes through once there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v TEXT)", "INSERT INTO app.t VALUES (0, 'first')")
	run := again(t, relayed(p.job("full", 1, "app"), dir))
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "INSERT INTO app.t VALUES (1, 'small')", "INSERT INTO app.t SELECT seq, REPEAT('x', 10000) FROM mysql.seq_2_to_2000")
	full := "failed: the disk of the worker node is full, the relay log cannot grow: " + dir + " (in OPSDECK_WORKER_DATA) holds "
	run.await(t, func() bool {
		events, _, _ := run.snapshot()
		return strings.Count(events, full) > 1
	})
	require.Equal(t, []string{"2"}, answer(t, p.target, "SELECT COUNT(*) FROM app.t"), "what was whole is applied")
	require.NoError(t, syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size=200m"))
	p.awaitEqual(t, run, "app")
	run.stop(t)
}
