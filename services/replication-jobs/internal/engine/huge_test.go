package engine_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// hugeMiB is the environment variable with the size of the transaction of TestHugeTransaction, 192 MiB by default.
const hugeMiB = "OPSDECK_TEST_HUGE_MIB"

// workerMiB is the memory that a worker may take with one job, whatever comes.
const workerMiB = 256

// TestHugeTransaction applies a transaction that is larger than the memory that its worker may take, with large rows and small ones.
func TestHugeTransaction(t *testing.T) {
	t.Parallel()
	size := 192
	if text := os.Getenv(hugeMiB); text != "" {
		var err error
		size, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	p := pair{source: mysqltest.Start(t, 1, "--max-allowed-packet=64M"), target: mysqltest.Start(t, 2, "--max-allowed-packet=64M")}
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.small (id INT AUTO_INCREMENT PRIMARY KEY, filler VARCHAR(1000))",
		"CREATE TABLE app.large (id INT AUTO_INCREMENT PRIMARY KEY, filler LONGBLOB)")
	process, kill := startWorker(t, p.job("huge", 1, "app"))
	defer kill()
	target := p.target.Connect(t)
	await := func(question, answer string) {
		require.Eventually(t, func() bool {
			r, err := target.Execute(question)
			if err != nil || r.RowNumber() == 0 {
				return false // the worker has not made the table yet
			}
			text, err := r.GetString(0, 0)
			return err == nil && text == answer
		}, 10*time.Minute, 20*time.Millisecond)
	}
	await("SELECT stage FROM opsdeck.replication_job WHERE job_id = 'huge'", "stream")
	p.source.Exec(t, "BEGIN",
		fmt.Sprintf("INSERT INTO app.small (filler) SELECT REPEAT('x', 1000) FROM mysql.seq_1_to_%d", (size-64)*1000),
		"INSERT INTO app.large (filler) SELECT REPEAT(seq % 10, 4 * 1024 * 1024) FROM mysql.seq_1_to_16",
		"UPDATE app.small SET filler = REVERSE(filler) WHERE id = 1", "INSERT INTO app.small (filler) VALUES ('last')", "COMMIT")
	await("SELECT filler FROM app.small ORDER BY id DESC LIMIT 1", "last")
	require.Equal(t, p.source.Checksums(t, "app"), p.target.Checksums(t, "app"))
	if peak := peakMiB(t, process); !underRace {
		require.Less(t, peak, workerMiB)
	}
}

// peakMiB is the most memory that a process has had resident.
func peakMiB(t *testing.T, process int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	require.NoError(t, err)
	match := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, match, "%s", status)
	kib, err := strconv.Atoi(string(match[1]))
	require.NoError(t, err)
	t.Logf("the worker took %d MiB at most", kib>>10)
	return kib >> 10
}
