package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// A worker's host vanishes in the middle of a transaction: the target hears nothing of it and keeps the session with its locks. The next run does not
// wait for them.
func TestWorkerHostVanishes(t *testing.T) {
	t.Parallel()
	o, p, schema := newOpsdeck(t, noWorker), newPair(t), newSchema()
	network := startProxy(t, freePort(t), p.target.Addr())
	kill, revive := newWorker(t, o)
	p.source.load(t, schema, 100)
	job := p.job("vanished", schema)
	job["dest_task"].(object)["mysql_connection_config"].(object)["mysql_port"] = network.port
	id := o.create(t, job)
	o.awaitCaughtUp(t, id)

	conn, err := p.target.Connect(t.Context(), schema)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	for _, statement := range []string{"BEGIN", "SELECT * FROM big WHERE id = 7 FOR UPDATE"} {
		_, err = conn.Execute(statement)
		require.NoError(t, err)
	}
	// Too much for one message to the target, in which a host that vanishes leaves nothing open.
	p.source.exec(t, "BEGIN", "INSERT INTO "+schema+".live (note) SELECT REPEAT('in between', 6) FROM "+schema+".seq_1_to_2000", "UPDATE "+schema+".big SET n = 0 WHERE id IN (6, 7, 8)", "COMMIT")
	// The server answers from what it has read before unless nobody asked for a tenth of a second.
	const transactions = "(SELECT SLEEP(0.2)) AS unasked, information_schema.innodb_trx "
	const under = "SELECT COUNT(*) FROM " + transactions + "WHERE trx_state = '%s'"
	await(t, patience, "the transaction to wait", func(ctx context.Context) error { return p.target.wants(ctx, 1, fmt.Sprintf(under, "LOCK WAIT")) })
	network.lose()
	kill(t)
	_, err = conn.Execute("ROLLBACK")
	require.NoError(t, err)
	await(t, patience, "the session to stay with its transaction", func(ctx context.Context) error {
		return p.target.wants(ctx, 1, "SELECT COUNT(*) FROM "+transactions+"JOIN information_schema.processlist ON id = trx_mysql_thread_id WHERE command = 'Sleep' AND trx_rows_modified > 0")
	})
	revive(t)
	p.awaitSame(t, schema)
	o.awaitStatus(t, id, "running")
	o.order(t, "delete", id)
}

// A target that has no room left is told, loses nothing, and goes on when there is room again.
func TestTargetFull(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	server, err := mariadb.Start(ctx, mariadb.Options{Dir: filepath.Join(scratch(t), "db"), ServerID: 7, Port: uint16(freePort(t)), Args: []string{
		"--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:80M",
		"--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=16M", "--performance-schema=OFF", "--skip-log-bin",
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Kill()) })
	o, p, schema := sharedOpsdeck(t), &pair{source: sharedPair(t).source, target: &database{server}}, newSchema()
	p.source.load(t, schema, 1000)
	p.source.exec(t, "CREATE TABLE "+schema+".heavy (id INT PRIMARY KEY, b VARCHAR(2000))")
	id := o.create(t, p.job("no-room-"+schema, schema))
	o.awaitCaughtUp(t, id)
	p.target.exec(t, "CREATE DATABASE ballast", "CREATE TABLE ballast.b (id INT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(2000))")
	for _, rows := range []int{1000, 100, 1} {
		for err = nil; err == nil; {
			err = p.target.Exec(t.Context(), fmt.Sprintf("INSERT INTO ballast.b (b) SELECT REPEAT('b', 2000) FROM mysql.seq_1_to_%d", rows))
		}
		require.ErrorContains(t, err, "is full")
	}
	p.source.exec(t, "INSERT INTO "+schema+".heavy SELECT seq, REPEAT('h', 2000) FROM "+schema+".seq_1_to_2000")
	o.awaitTrouble(t, id, "the server has no room left for the table: free space on its disk, or raise the limit of its tablespace", "is full")
	p.target.exec(t, "DROP TABLE ballast.b")
	p.awaitSame(t, schema)
	o.awaitStatus(t, id, "running")
	o.order(t, "delete", id)
}
