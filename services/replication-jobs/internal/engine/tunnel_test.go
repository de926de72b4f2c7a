package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/bus/server"
	"github.com/opsdeck/opsdeck/pkg/bustest"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/tunnel"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/verify"
)

// farSource is a source that only another node reaches, which this side knows by NATS alone.
type farSource struct {
	nats    *server.Server
	near    *nats.Conn
	route   tunnel.Route
	config  mysql.Config
	traffic *tunnel.Traffic
	cut     func() // ends the other node
}

func newFarSource(t testing.TB, s *mysqltest.Server) *farSource {
	t.Helper()
	f := &farSource{nats: bustest.Server(t), config: s.Config(), traffic: &tunnel.Traffic{}}
	f.near = bustest.Connect(t, f.nats).NATS()
	f.route = tunnel.Route{Run: "far", Epoch: 1, Key: [tunnel.KeySize]byte{1}}
	f.serve(t)
	return f
}

// serve starts the other node.
func (f *farSource) serve(t testing.TB) {
	t.Helper()
	far := bustest.Connect(t, f.nats).NATS()
	ctx, cancel := context.WithCancel(context.Background())
	dial := func(ctx context.Context) (net.Conn, error) { return f.config.DialContext(ctx, "tcp", f.config.Addr()) }
	done := make(chan error, 1)
	go func() { done <- tunnel.Serve(ctx, far, f.route, []tunnel.Dialer{dial}, f.traffic, zap.NewNop()) }()
	f.cut = func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	}
}

// through has a job reach its source by way of the other node, and in no other way.
func (f *farSource) through(job engine.Job) engine.Job {
	job.Source.Host, job.Source.Port = "far.invalid", 3306
	job.Source.Dial = func(ctx context.Context) (net.Conn, error) { return tunnel.Dial(ctx, f.near, f.route, 0) }
	return job
}

func TestTunnel(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	far := newFarSource(t, p.source)
	var overheard bytes.Buffer
	spy := bustest.Connect(t, far.nats).NATS()
	sub, err := spy.SubscribeSync(">")
	require.NoError(t, err)
	require.NoError(t, sub.SetPendingLimits(-1, -1))
	require.NoError(t, spy.Flush())
	p.source.Exec(t, "CREATE DATABASE far", "CREATE TABLE far.t (id INT PRIMARY KEY, v VARCHAR(40))",
		"INSERT INTO far.t SELECT seq, CONCAT('top secret ', seq) FROM mysql.seq_1_to_20000")

	job := far.through(p.job("far", 1, "far"))
	run := startVerifying(t, job)
	p.awaitEqual(t, run.running, "far")
	p.source.Exec(t, "UPDATE far.t SET v = 'changed' WHERE id % 3 = 0", "DELETE FROM far.t WHERE id % 5 = 0", "ALTER TABLE far.t ADD n INT")
	p.awaitEqual(t, run.running, "far")
	p.target.Exec(t, "DELETE FROM far.t WHERE id = 7")
	_, found := run.order(t, verify.Order{Repair: true})
	require.Equal(t, []string{"far.t|missing|id=7|"}, found, "verification reads the source through the tunnel as well")
	p.awaitEqual(t, run.running, "far")
	require.Greater(t, far.traffic.Figures().Read, int64(20000*20))

	far.cut()
	require.ErrorContains(t, <-run.done, "the other node ended the connection")
	require.Zero(t, far.traffic.Figures().Connections)
	for {
		m, err := sub.NextMsg(100 * time.Millisecond)
		if err != nil {
			break
		}
		if !strings.HasPrefix(m.Subject, "$") { // NATS's own advisories name opsdeck's stream
			overheard.Write(m.Data)
		}
	}
	require.NoError(t, sub.Unsubscribe())
	require.Greater(t, overheard.Len(), 100_000)
	require.NotContains(t, overheard.String(), "top secret", "who listens on NATS learns nothing")
	require.NotContains(t, overheard.String(), p.source.User())

	p.source.Exec(t, "INSERT INTO far.t SELECT seq, 'later', 1 FROM mysql.seq_30001_to_31000")
	far.serve(t)
	job.Epoch = 2
	again := start(t, job)
	p.awaitEqual(t, again, "far")
	again.stop(t)
	far.cut()
}

func TestTunnelOfASubscription(t *testing.T) {
	t.Parallel()
	s := newSubscribed(t)
	far := newFarSource(t, s.source)
	s.source.Exec(t, "CREATE DATABASE far", "CREATE TABLE far.t (id INT PRIMARY KEY)", "INSERT INTO far.t VALUES (1), (2)")
	run := start(t, far.through(s.job("far", 1, "far")))
	r := kafkatest.Read(t, s.brokers, `far\..*`)
	r.Next(t, atLeast(2))
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "INSERT INTO far.t VALUES (3)")
	require.Equal(t, `c {"id":3}`, told(t, r.Next(t, atLeast(1))[0]))
	run.stop(t)
	far.cut()
}

// TestTunnelOfARelayedJob: the relay log lies where the job runs, and is applied there while the node of the source is lost.
func TestTunnelOfARelayedJob(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	far := newFarSource(t, p.source)
	p.source.Exec(t, "CREATE DATABASE far", "CREATE TABLE far.t (id INT PRIMARY KEY, v INT)", "INSERT INTO far.t SELECT seq, 0 FROM mysql.seq_1_to_5000")
	job := far.through(relayed(p.job("far", 1, "far"), t.TempDir()))
	slow := job
	slow.ChunkSize, slow.MaxRowsPerSecond = 100, 100 // minutes, however busy the machine
	run := start(t, slow)
	run.awaitEvent(t, "from the snapshot at")
	p.source.Exec(t, "UPDATE far.t SET v = 1 WHERE id % 2 = 0")
	p.awaitRelay(t, run)
	purge(t, p.source)
	run.stop(t) // in the copy
	job.Epoch++
	run = start(t, job)
	p.awaitEqual(t, run, "far")

	release := p.hold(t, "far.t")
	p.source.Exec(t, "DELETE FROM far.t WHERE id % 3 = 0")
	p.awaitRelay(t, run)
	want := p.source.Checksums(t, "far")
	far.cut()
	require.Error(t, <-run.done)
	p.source.Exec(t, "INSERT INTO far.t VALUES (6000, 6)")
	release()
	job.Epoch++
	run = start(t, job)
	err := <-run.done
	require.ErrorContains(t, err, "what the relay log holds is applied, as far as ")
	require.Equal(t, want, p.target.Checksums(t, "far"))

	far.serve(t)
	job.Epoch++
	run = start(t, job)
	p.awaitEqual(t, run, "far")
	run.stop(t)
	far.cut()
}

// BenchmarkTunnel copies a table from a source that is reached directly, and from one that another node reaches.
func BenchmarkTunnel(b *testing.B) {
	const rows = 200_000
	p := &pair{source: mysqltest.Start(b, 1), target: mysqltest.Start(b, 2)}
	far := newFarSource(b, p.source)
	p.source.Exec(b, "CREATE DATABASE far", "CREATE TABLE far.t (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL, KEY (k))",
		fmt.Sprintf("INSERT INTO far.t SELECT seq, RAND() * %d, REPEAT(MD5(RAND()), 3), MD5(seq) FROM mysql.seq_1_to_%d", rows, rows))
	epoch := int64(0)
	for name, through := range map[string]func(engine.Job) engine.Job{
		"direct": func(job engine.Job) engine.Job { return job },
		"tunnel": far.through,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				epoch++
				job := through(p.job("far", epoch, "far"))
				job.Incarnation = fmt.Sprint(epoch) // nothing is left of the copy before
				job.Step, job.ChunkSize, job.DropTableIfExists = string(engine.StepFull), 2000, true
				require.NoError(b, engine.Run(b.Context(), job, &listener{}, zap.NewNop()))
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
		})
	}
	far.cut()
}
