package engine_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/verify"
)

// forgetful stands before a server and says nothing more on any connection, without closing it, once a client has sent a word, which has to be
// in the clear for that.
func forgetful(t *testing.T, server mysql.Config, word string) mysql.Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := server.Addr()
	forgotten := make(chan struct{})
	forget := sync.OnceFunc(func() { close(forgotten) })
	var running sync.WaitGroup
	carry := func(from, to net.Conn) {
		defer func() { _ = to.Close() }() // the other way may have closed it
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if bytes.Contains(buffer[:n], []byte(word)) {
				forget()
			}
			select {
			case <-forgotten:
				continue
			default:
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", address)
			if err != nil {
				_ = client.Close() // the test has ended
				return
			}
			running.Go(func() { carry(client, onward) })
			running.Go(func() { carry(onward, client) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		running.Wait()
	})
	server.SSL.Mode = mysql.SSLDisabled
	server.Port = uint16(listener.Addr().(*net.TCPAddr).Port)
	return server
}

// Connections that a firewall forgets while a run begins, or copies, do not keep it waiting for ever.
func TestForgottenConnections(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE forgotten", "CREATE TABLE forgotten.t (id INT PRIMARY KEY, v VARCHAR(20))",
		"INSERT INTO forgotten.t VALUES (1, 'a row of the copy')")
	for name, test := range map[string]struct {
		adjust func(*testing.T, *engine.Job)
		want   string
	}{
		"of the target, at the beginning": {func(t *testing.T, j *engine.Job) { j.Target = forgetful(t, j.Target, "table_schema = 'opsdeck'") }, "target"},
		"of the target, in the copy":      {func(t *testing.T, j *engine.Job) { j.Target = forgetful(t, j.Target, "a row of the copy") }, "target"},
		"of the source, at the beginning": {func(t *testing.T, j *engine.Job) { j.Source = forgetful(t, j.Source, "binlog_format") }, "source"},
		"of the source, in the copy":      {func(t *testing.T, j *engine.Job) { j.Source = forgetful(t, j.Source, "FROM `forgotten`") }, "source"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := p.job(name, 1, "forgotten")
			job.Do[0].Rename = "forgotten_" + test.want + name[len(name)-1:]
			test.adjust(t, &job)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			require.ErrorContains(t, engine.Run(ctx, job, &listener{}, zap.NewNop()), test.want)
		})
	}
}

// A reader that a run was cut off from stands in the way of an ALTER TABLE, and that in the way of the next run, which ends it.
func TestForgottenReaderIsEnded(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE held", "CREATE TABLE held.t (id INT PRIMARY KEY)", "INSERT INTO held.t SELECT seq FROM mysql.seq_1_to_5000")
	job := p.job("held", 1, "held")
	job.ChunkSize, job.MaxRowsPerSecond = 10, 20
	first := start(t, job)
	p.awaitAnswer(t, first, "SELECT COUNT(*) > 0 FROM opsdeck.replication_chunk", "1")
	altered := make(chan error, 1)
	alter := p.source.Connect(t)
	go func() {
		_, err := alter.Execute("ALTER TABLE held.t ADD v INT")
		altered <- err
	}()
	waiting := "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock%'"
	first.await(t, func() bool { return answer(t, p.source, waiting)[0] == "1" })
	job.Epoch, job.MaxRowsPerSecond = 2, 0
	second := start(t, job)
	p.awaitEqual(t, second, "held")
	require.NoError(t, <-altered)
	p.awaitEqual(t, second, "held")
	second.stop(t)
	require.Error(t, <-first.done)
}

// As above with the readers of a copy to Kafka, which waits for another table.
func TestForgottenReaderOfASubscriptionIsEnded(t *testing.T) {
	t.Parallel()
	s := newSubscribed(t)
	s.source.Exec(t, "CREATE DATABASE kept", "CREATE TABLE kept.t (id INT PRIMARY KEY)", "INSERT INTO kept.t SELECT seq FROM mysql.seq_1_to_200",
		"CREATE TABLE kept.u (id INT PRIMARY KEY)", "INSERT INTO kept.u SELECT seq FROM mysql.seq_1_to_50000", "ANALYZE TABLE kept.t, kept.u")
	job := s.job("kept", 1, "kept")
	job.ChunkSize = 1
	first := start(t, job)
	first.awaitEvent(t, "kept.t is copied")
	altered := make(chan error, 1)
	alter := s.source.Connect(t)
	go func() {
		_, err := alter.Execute("ALTER TABLE kept.t ADD v INT")
		altered <- err
	}()
	first.await(t, func() bool {
		return answer(t, s.source, "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata lock%'")[0] == "1"
	})
	second := start(t, s.job("kept", 2, "kept"))
	require.NoError(t, <-altered)
	require.Error(t, <-first.done)
	second.awaitEvent(t, "job_stage_incr")
	second.stop(t)
}

// A verification that a run was cut off from has a snapshot at the source, which the next run ends.
func TestForgottenVerificationIsEnded(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE seen", "CREATE TABLE seen.t (id INT PRIMARY KEY, v INT)", "INSERT INTO seen.t VALUES (1, 1), (2, 2)")
	first := startVerifying(t, p.job("seen", 1, "seen"))
	p.awaitEqual(t, first.running, "seen")
	p.target.Exec(t, "DELETE FROM seen.t WHERE id = 1")
	lock := p.target.Connect(t)
	_, err := lock.Execute("LOCK TABLES seen.t READ")
	require.NoError(t, err)
	p.source.Exec(t, "UPDATE seen.t SET v = 3 WHERE id = 2") // behind which the verification waits with its snapshot
	first.desk.Place(verify.Order{Number: 1, MaxLag: time.Hour, RowsPerSecond: 1_000_000}, verify.Progress{})
	const snapshots = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_mysql_thread_id <> 0"
	var session string
	first.await(t, func() bool {
		open := answer(t, p.source, snapshots)
		if len(open) == 1 {
			session = open[0]
		}
		return session != ""
	})
	second := start(t, p.job("seen", 2, "seen"))
	second.await(t, func() bool {
		return answer(t, p.source, "SELECT COUNT(*) FROM information_schema.processlist WHERE id = "+session)[0] == "0"
	})
	_, err = lock.Execute("UNLOCK TABLES")
	require.NoError(t, err)
	require.Error(t, <-first.done)
	second.stop(t)
}
