package engine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
)

// relayed gives a job a relay log in a directory.
func relayed(job engine.Job, dir string) engine.Job {
	job.Relay = &engine.Relay{Store: relay.Store{Dir: dir}, MaxBytes: 64 << 20}
	return job
}

// purge has the source begin a new log file and forget all others. It keeps one until its engines have written what it holds.
func purge(t *testing.T, s *mysqltest.Server) {
	t.Helper()
	s.Exec(t, "FLUSH BINARY LOGS")
	c := s.Connect(t)
	require.Eventually(t, func() bool {
		now, err := c.Flavor.CurrentPosition(c)
		require.NoError(t, err)
		s.Exec(t, "PURGE BINARY LOGS TO '"+now.File+"'")
		oldest, err := c.Execute("SHOW BINARY LOGS")
		require.NoError(t, err)
		file, err := oldest.GetString(0, 0)
		require.NoError(t, err)
		return file == now.File
	}, patience, 10*time.Millisecond)
}

// awaitRelay waits until the relay log has all that the source has logged.
func (p *pair) awaitRelay(t *testing.T, r *running) {
	t.Helper()
	c := p.source.Connect(t)
	now, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	goal, err := mysql.ParsePoint(c.Flavor, now)
	require.NoError(t, err)
	r.await(t, func() bool {
		_, last, _ := r.snapshot()
		if last.Relay == nil {
			return false
		}
		at, err := mysql.ParsePoint(c.Flavor, last.Relay.End)
		require.NoError(t, err)
		return at.Covers(goal)
	})
}

// TestRelayedCopy purges the source's log while the copy runs, and again while the job is paused.
func TestRelayedCopy(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.t SELECT seq, 0 FROM mysql.seq_1_to_20000")
	dir := t.TempDir()
	slow := relayed(p.job("slow", 1, "shop"), dir)
	slow.ChunkSize, slow.MaxRowsPerSecond = 100, 100 // minutes, however busy the machine
	run := start(t, slow)
	run.awaitEvent(t, "from the snapshot at")
	p.source.Exec(t, "UPDATE shop.t SET v = 1 WHERE id % 2 = 0", "DELETE FROM shop.t WHERE id % 7 = 0")
	p.awaitRelay(t, run)
	purge(t, p.source)
	p.source.Exec(t, "UPDATE shop.t SET v = 2 WHERE id % 3 = 0")
	p.awaitRelay(t, run)
	run.stop(t) // in the copy
	_, last, _ := run.snapshot()
	require.Equal(t, "job_stage_full", last.Stage)

	// What the relay log has was purged at the source; what the source has logged since is asked for.
	purge(t, p.source)
	p.source.Exec(t, "INSERT INTO shop.t VALUES (100000, 3)")
	job := relayed(p.job("slow", 2, "shop"), dir)
	run = start(t, job)
	p.awaitEqual(t, run, "shop")

	// The target is behind what the relay log has when the job is paused.
	p.target.Exec(t, "SET GLOBAL read_only = ON")
	lock := p.target.Connect(t)
	_, err := lock.Execute("LOCK TABLES shop.t READ")
	require.NoError(t, err)
	p.source.Exec(t, "UPDATE shop.t SET v = v + 1 WHERE id < 1000", "ALTER TABLE shop.t ADD w INT DEFAULT 5", "INSERT INTO shop.t VALUES (100001, 3, 4)")
	p.awaitRelay(t, run)
	run.stop(t)
	purge(t, p.source)
	_, err = lock.Execute("UNLOCK TABLES")
	require.NoError(t, err)
	job.Epoch = 3
	run = start(t, job)
	p.awaitEqual(t, run, "shop")
	run.stop(t)

	// Another node has no relay log, and the source no log for it.
	p.source.Exec(t, "DELETE FROM shop.t WHERE id = 1")
	purge(t, p.source)
	other := relayed(p.job("slow", 4, "shop"), t.TempDir())
	other.Relay.Elsewhere = "node-7"
	run = start(t, other)
	err = <-run.done
	require.ErrorContains(t, err, "the source has purged")
	require.ErrorContains(t, err, "the worker node node-7 still has a relay log of the job")
	require.True(t, mysql.Permanent(err))
}

// TestRelayedSubscription purges the source's log while a job copies to Kafka, which waits for a table meanwhile.
func TestRelayedSubscription(t *testing.T) {
	t.Parallel()
	s := newSubscribed(t)
	s.source.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.t SELECT seq, 0 FROM mysql.seq_1_to_100000",
		"CREATE TABLE shop.u LIKE shop.t", "INSERT INTO shop.u SELECT * FROM shop.t", "CREATE TABLE shop.last (id INT PRIMARY KEY)", "INSERT INTO shop.last VALUES (1)")
	job := relayed(s.job("relayed", 1, "shop"), t.TempDir())
	job.ChunkSize = 5
	run := start(t, job)
	run.await(t, func() bool {
		_, last, _ := run.snapshot()
		return last.CopiedRows > 0
	})
	lock := s.source.Connect(t)
	_, err := lock.Execute("LOCK TABLES shop.last WRITE")
	require.NoError(t, err)
	s.source.Exec(t, "UPDATE shop.t SET v = 1 WHERE id = 100000", "INSERT INTO shop.t VALUES (200000, 2)")
	p := &pair{source: s.source}
	p.awaitRelay(t, run)
	purge(t, s.source)
	_, last, _ := run.snapshot()
	require.Equal(t, "job_stage_full", last.Stage)
	_, err = lock.Execute("UNLOCK TABLES")
	require.NoError(t, err)
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "DELETE FROM shop.t WHERE id = 1")
	r := kafkatest.Read(t, s.brokers, `relayed\..*`)
	var changes []string
	for _, m := range r.Next(t, atLeast(200001+4)) {
		if change := told(t, m); !strings.HasPrefix(change, "r ") {
			changes = append(changes, change)
		}
	}
	require.ElementsMatch(t, []string{`u {"id":100000}`, `c {"id":200000}`, `d {"id":1}`, `tombstone {"id":1}`}, changes)
	run.stop(t)
}

// TestRelayOfALostSource: what a source has logged that was lost with it is not applied, when one takes its place that never had it.
func TestRelayOfALostSource(t *testing.T) {
	t.Parallel()
	source := mysqltest.Start(t, 1)
	replica := startReplica(t, source, 2)
	p := &pair{source: source, target: mysqltest.Start(t, 3)}
	source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t SELECT seq, seq FROM mysql.seq_1_to_1000")
	job := relayed(p.job("lost", 1, "app"), t.TempDir())
	job.Alternates = []mysql.Config{replica.Config()}
	run := start(t, job)
	p.awaitEqual(t, run, "app")
	run.awaitEvent(t, "job_stage_incr")
	run.stop(t)
	job.Epoch, job.MaxRowsPerSecond = 2, 1 // nothing is applied for minutes
	run = start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	source.Exec(t, "UPDATE app.t SET v = -v WHERE id < 500")
	catchUp(t, replica, source)
	replica.Exec(t, "STOP SLAVE")
	source.Exec(t, "INSERT INTO app.t VALUES (5000, 1)")
	p.awaitRelay(t, run)
	require.NoError(t, source.Kill())
	require.Error(t, <-run.done)

	replica.Exec(t, "DELETE FROM app.t WHERE id = 7")
	p.source = replica
	job.Epoch, job.MaxRowsPerSecond = 3, 0
	run = start(t, job)
	p.awaitEqual(t, run, "app")
	p.awaitRelay(t, run)
	run.stop(t)
	replica.Exec(t, "INSERT INTO app.t VALUES (6000, 2)")
	job.Epoch = 4 // and goes on from there
	run = start(t, job)
	p.awaitEqual(t, run, "app")
	run.stop(t)
}

// TestRelayEnds: what is done leaves nothing behind, and what is applied is deleted.
func TestRelayEnds(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE done", "CREATE TABLE done.t (id INT PRIMARY KEY)", "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT)")
	dir := t.TempDir()
	job := relayed(p.job("ends", 1, "done"), dir)
	job.Step = string(engine.StepFull)
	run := start(t, job)
	require.NoError(t, <-run.done)
	require.NoDirExists(t, filepath.Join(dir, "one"))

	job = relayed(p.job("trims", 1, "shop"), dir)
	job.Relay.MaxBytes = 8 << 20
	run = start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	for range 20 {
		p.source.Exec(t, "INSERT INTO shop.t (v) SELECT REPEAT('x', 1000) FROM mysql.seq_1_to_1000")
	}
	p.awaitEqual(t, run, "shop")
	var files []string
	run.await(t, func() bool {
		var err error
		files, err = filepath.Glob(filepath.Join(dir, "one", "*.relay"))
		require.NoError(t, err)
		_, last, _ := run.snapshot()
		return last.Relay.Bytes < 4<<20 && len(files) == 1
	})
	for path, mode := range map[string]os.FileMode{files[0]: 0o600, filepath.Dir(files[0]): os.ModeDir | 0o700} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode())
	}
	run.stop(t)
}

// TestCrashesRelayed is TestCrashes for a job with a relay log, whose files are as short as can be.
func TestCrashesRelayed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	crash(t, 21, nil, func(job *engine.Job) {
		*job = relayed(*job, dir)
		job.Relay.MaxBytes = 8 << 20
	})
}
