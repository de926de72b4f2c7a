package apply_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// wire stands before the target, keeps what is sent there, and may change it.
type wire struct {
	mu     sync.Mutex
	sent   []string
	change func(message []byte)
}

// listen serves until the test ends, and returns how to reach the target through the wire.
func (w *wire) listen(t *testing.T) *mysql.Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	to := config(target)
	address := to.Addr()
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				_ = client.Close()
				continue
			}
			serving.Go(func() {
				_, _ = io.Copy(client, server)
				_ = client.Close()
			})
			serving.Go(func() {
				w.copy(server, client)
				_ = server.Close()
			})
		}
	})
	to.Port = uint16(listener.Addr().(*net.TCPAddr).Port)
	to.SSL.Mode = mysql.SSLDisabled
	return &to
}

func (w *wire) copy(server, client net.Conn) {
	message := make([]byte, 1<<20)
	for {
		n, err := client.Read(message)
		if err != nil {
			return
		}
		if w.change != nil {
			w.change(message[:n])
		}
		w.mu.Lock()
		w.sent = append(w.sent, string(message[:n]))
		w.mu.Unlock()
		if _, err := server.Write(message[:n]); err != nil {
			return
		}
	}
}

// messages are those that contain a word.
func (w *wire) messages(word string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, message := range w.sent {
		if strings.Contains(message, word) {
			out = append(out, message)
		}
	}
	return out
}

func TestATransactionIsOneMessage(t *testing.T) {
	t.Parallel()
	j := newJob(t, "burst")
	j.merge = 1
	var w wire
	j.via = w.listen(t)
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE u (id INT PRIMARY KEY, v INT)", "INSERT INTO u VALUES (1,1),(2,2)")
	for n := range 5 {
		j.write(t, "BEGIN", fmt.Sprintf("INSERT INTO t VALUES (%d,1)", n), "UPDATE u SET v = v + 1", "COMMIT")
	}
	j.converge(t)
	commits := w.messages("INTO `burst`.")
	require.Len(t, commits, 5)
	for _, message := range commits {
		for _, part := range []string{"BEGIN NOT ATOMIC START TRANSACTION;", "INTO `burst`.`t`", "INTO `burst`.`u`", "UPDATE opsdeck.replication_job", ";COMMIT; END"} {
			require.Contains(t, message, part)
		}
	}
}

// The first of two changes fits, the second does not: neither remains.
func TestABurstThatDoesNotFitChangesNothing(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"unfitmissing": "DELETE FROM u WHERE id = 2", "unfitdouble": "INSERT INTO u VALUES (3,3)", "unfitwarning": "ALTER TABLE u MODIFY v TINYINT",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, name)
			j.create(t, "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE u (id INT PRIMARY KEY, v INT)", "INSERT INTO u VALUES (1,1),(2,2)")
			j.at(t, j.target, damage)
			j.write(t, "BEGIN", "INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (3,300)", "UPDATE u SET v = v + 300 WHERE id = 2", "COMMIT")
			_, err := j.run(t)
			require.Error(t, err)
			require.Equal(t, "0", value(t, j.target, "SELECT COUNT(*) FROM "+name+".t"))
			j.claim(t)
			require.Empty(t, value(t, j.target, "SELECT gtid_set FROM opsdeck.replication_job WHERE job_id = '"+name+"'"))
		})
	}
}

func TestATargetThatTakesNoBursts(t *testing.T) {
	t.Parallel()
	j := newJob(t, "stepwise")
	j.merge = 1
	core, logs := observer.New(zap.InfoLevel)
	j.logger = zap.New(core)
	w := wire{change: func(message []byte) {
		if at := bytes.Index(message, []byte("NOT ATOMIC")); at >= 0 {
			message[at] = 'X' // no statement of any server
		}
	}}
	j.via = w.listen(t)
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY)")
	j.write(t, "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "DELETE FROM t WHERE id = 1")
	j.converge(t)
	require.Equal(t, 1, logs.FilterMessage("the target takes transactions statement by statement").Len())
	require.Len(t, w.messages("START TRANSACTION;"), 1)
}
