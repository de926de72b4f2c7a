package engine_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

const withoutSource = "relay: the source cannot be reached, applying what the relay log holds"

// hold keeps a job from writing to a table of the target, until the returned function lets go.
func (p *pair) hold(t *testing.T, table string) (release func()) {
	t.Helper()
	c := p.target.Connect(t)
	_, err := c.Execute("LOCK TABLES " + table + " READ")
	require.NoError(t, err)
	return func() {
		_, err := c.Execute("UNLOCK TABLES")
		require.NoError(t, err)
	}
}

// awaitSame waits until the target is as the source once was.
func (p *pair) awaitSame(t *testing.T, r *running, schema string, want map[string]string) {
	t.Helper()
	r.await(t, func() bool { return maps.Equal(want, p.target.Checksums(t, schema)) })
}

// ahead is a job whose source is lost after its relay log has got ahead of the target, and what the source held.
func ahead(t *testing.T, p *pair) (engine.Job, map[string]string) {
	t.Helper()
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY, v INT)", "INSERT INTO app.t SELECT seq, 0 FROM mysql.seq_1_to_1000")
	job := relayed(p.job("outage", 1, "app"), t.TempDir())
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	p.awaitEqual(t, run, "app")
	release := p.hold(t, "app.t")
	p.source.Exec(t, "INSERT INTO app.t VALUES (4000, 4)", "UPDATE app.t SET v = 1 WHERE id % 2 = 0", "SET SESSION time_zone = 'SYSTEM'", "ALTER TABLE app.t ADD at TIMESTAMP NOT NULL DEFAULT '2020-02-02 02:02:02'",
		"DELETE FROM app.t WHERE id % 7 = 0", "INSERT INTO app.t (id, v) VALUES (5000, 5)")
	p.awaitRelay(t, run)
	want := p.source.Checksums(t, "app")
	require.NoError(t, p.source.Kill())
	require.Error(t, <-run.done)
	release()
	job.Epoch++
	return job, want
}

// TestOutage: what the relay log holds is applied while the source is down, by workers that are killed meanwhile, and the job goes on from there.
func TestOutage(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	job, want := ahead(t, p)

	slow := job
	slow.MaxRowsPerSecond, slow.Merge = 1, 1 // the update takes minutes, however busy the machine
	_, kill := startWorker(t, slow)
	require.Eventually(t, func() bool { return answer(t, p.target, "SELECT COUNT(*) FROM app.t WHERE id = 4000")[0] == "1" }, patience, 10*time.Millisecond)
	kill()
	job.Epoch++
	run := start(t, job)
	err := <-run.done
	require.ErrorContains(t, err, "nothing listens on "+job.Source.Addr())
	require.ErrorContains(t, err, "what the relay log holds is applied, as far as ")
	require.False(t, mysql.Permanent(err))
	require.Equal(t, want, p.target.Checksums(t, "app"))
	events, last, _ := run.snapshot()
	require.Contains(t, events, withoutSource)
	require.Contains(t, events, "job_stage_incr")
	require.True(t, last.SourceAway)
	require.Contains(t, last.Relay.Waits, "nothing listens on")

	job.Epoch++ // there is nothing left to do
	run = start(t, job)
	require.ErrorContains(t, <-run.done, "what the relay log holds is applied, as far as ")
	events, _, _ = run.snapshot()
	require.Empty(t, events)

	p.source.Restart(t)
	p.source.Exec(t, "UPDATE app.t SET v = v + 1 WHERE id < 100")
	job.Epoch++
	run = start(t, job)
	p.awaitEqual(t, run, "app")
	_, last, _ = run.snapshot()
	require.False(t, last.SourceAway)
	run.stop(t)
}

// TestOutageEnds: a run that applies what its relay log holds goes over to the source when that is back.
func TestOutageEnds(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	job, _ := ahead(t, p)
	release := p.hold(t, "app.t") // the log does not come to its end before
	run := start(t, job)
	run.awaitEvent(t, withoutSource)
	p.source.Restart(t)
	run.awaitEvent(t, "relay: reading the binary log of "+job.Source.Addr())
	p.source.Exec(t, "INSERT INTO app.t (id, v) VALUES (6000, 6)")
	release()
	p.awaitEqual(t, run, "app")
	run.stop(t)
}

// TestCutOff: a source that writes on while the network is cut, some times.
func TestCutOff(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", "INSERT INTO app.t SELECT seq, 0 FROM mysql.seq_1_to_1000")
	job := relayed(p.job("cut", 1, "app"), t.TempDir())
	var gate *gate
	gate, job.Source = newGate(t, job.Source)
	run := again(t, job)
	run.awaitEvent(t, "job_stage_incr")
	for range 3 {
		p.awaitEqual(t, run, "app")
		release := p.hold(t, "app.t")
		p.source.Exec(t, "UPDATE app.t SET v = v + 1", "INSERT INTO app.t (v) SELECT seq FROM mysql.seq_1_to_100")
		p.awaitRelay(t, run)
		want := p.source.Checksums(t, "app")
		gate.set(true)
		p.source.Exec(t, "DELETE FROM app.t ORDER BY id LIMIT 50")
		release()
		p.awaitSame(t, run, "app", want)
		run.await(t, func() bool {
			events, _, _ := run.snapshot()
			return strings.Contains(events[strings.LastIndex(events, "failed: ")+1:], "what the relay log holds is applied, as far as ")
		})
		gate.set(false)
	}
	p.awaitEqual(t, run, "app")
	run.stop(t)
}

// TestOutageOfASubscription: what the relay log holds reaches Kafka while the source is down.
func TestOutageOfASubscription(t *testing.T) {
	t.Parallel()
	s := newSubscribed(t)
	s.source.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(20) CHARACTER SET gbk)", "INSERT INTO shop.t VALUES (1, '单')")
	job := relayed(s.job("outage", 1, "shop"), t.TempDir())
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	run.stop(t)
	job.Epoch++
	job.Subscription.GroupBytes, job.Subscription.GroupTimeout = 1<<30, time.Hour // nothing is written before the source is lost
	run = start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "UPDATE shop.t SET v = '蓝'", "INSERT INTO shop.t VALUES (2, '红')")
	(&pair{source: s.source}).awaitRelay(t, run)
	run.stop(t)
	require.NoError(t, s.source.Kill())

	job.Epoch++
	job.Subscription.GroupBytes, job.Subscription.GroupTimeout = 1, 100*time.Millisecond
	run = start(t, job)
	require.ErrorContains(t, <-run.done, "what the relay log holds is applied, as far as ")
	events, _, _ := run.snapshot()
	require.Contains(t, events, withoutSource)
	r := kafkatest.Read(t, s.brokers, `outage\..*`)
	var got []string
	for _, m := range r.Next(t, atLeast(3)) {
		got = append(got, told(t, m)+" "+parse(t, m).After["v"].(string))
	}
	require.Equal(t, []string{`r {"id":1} 单`, `u {"id":1} 蓝`, `c {"id":2} 红`}, got)

	s.source.Restart(t)
	s.source.Exec(t, "INSERT INTO shop.t VALUES (3, '黄')")
	job.Epoch++
	run = start(t, job)
	require.Equal(t, `c {"id":3}`, told(t, r.Next(t, atLeast(1))[0]))
	run.stop(t)
}
