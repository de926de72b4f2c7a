package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// TestMySQLSettings replicates from a MySQL with settings that change what it logs: compressed transactions, generated primary keys that it hides,
// columns that are added and dropped without a copy of the table.
func TestMySQLSettings(t *testing.T) {
	t.Parallel()
	mysqltest.NeedMySQL(t, "compressed transactions and generated primary keys", mysqltest.Source)
	p := &pair{source: mysqltest.Start(t, 1, "--binlog-transaction-compression=ON", "--sql-generate-invisible-primary-key=ON",
		"--show-gipk-in-create-table-and-information-schema=OFF"), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, "CREATE DATABASE app", "CREATE TABLE app.bare (a INT, j JSON)", "CREATE TABLE app.t (id INT PRIMARY KEY, v VARCHAR(200), j JSON)",
		"INSERT INTO app.bare SELECT seq, JSON_OBJECT('n', seq) FROM mysql.seq_1_to_500", "INSERT INTO app.t SELECT seq, REPEAT('x', 100), '[1, 2]' FROM mysql.seq_1_to_2000")
	run := start(t, p.job("settings", 1, "app"))
	rows := func(server *mysqltest.Server) []string {
		return answer(t, server, "SELECT CONCAT_WS(' ', my_row_id, a, j) FROM app.bare ORDER BY my_row_id")
	}
	run.awaitEvent(t, "job_stage_incr")
	require.Equal(t, rows(p.source), rows(p.target))
	p.source.Exec(t, "UPDATE app.t SET v = REPEAT('y', 150) WHERE id % 2 = 0", "ALTER TABLE app.t ADD COLUMN first_ INT DEFAULT 3 FIRST, ALGORITHM=INSTANT",
		"UPDATE app.t SET first_ = id WHERE id % 3 = 0", "ALTER TABLE app.t DROP COLUMN v, ALGORITHM=INSTANT", "INSERT INTO app.t (id, j) VALUES (9000, '{\"a\": 1}')",
		"UPDATE app.bare SET a = -a WHERE a % 5 = 0", "DELETE FROM app.bare WHERE a % 7 = 0", "CREATE TABLE app.later (n INT)", "INSERT INTO app.later VALUES (1), (2)",
		"CREATE TABLE app.filled (id INT PRIMARY KEY) SELECT id FROM app.t WHERE id < 100", "SET binlog_row_image = 'FULL'", "UPDATE app.t SET j = JSON_SET(j, '$[0]', id) WHERE id < 50")
	p.awaitAnswer(t, run, "SELECT COUNT(*) FROM app.filled", "99")
	p.awaitAnswer(t, run, "SELECT CONCAT_WS(' ', id, first_, j) FROM app.t ORDER BY id", answer(t, p.source, "SELECT CONCAT_WS(' ', id, first_, j) FROM app.t ORDER BY id")...)
	require.Equal(t, rows(p.source), rows(p.target))
	p.awaitAnswer(t, run, "SELECT CONCAT_WS(' ', my_row_id, n) FROM app.later ORDER BY 1", "1 1", "2 2")
	run.stop(t)

	p.source.Exec(t, "SET GLOBAL binlog_row_value_options = 'PARTIAL_JSON'")
	err := engine.Run(t.Context(), p.job("settings", 2, "app"), &listener{}, zap.NewNop())
	require.ErrorContains(t, err, "the server has binlog_row_value_options=PARTIAL_JSON, replication needs binlog_row_value_options=")
	p.source.Exec(t, "SET GLOBAL binlog_row_value_options = ''")
	run = start(t, p.job("settings", 3, "app"))
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'", "UPDATE app.t SET j = JSON_SET(j, '$[0]', 7) WHERE id = 60")
	require.ErrorContains(t, <-run.done, "the source logs partial JSON updates; set binlog_row_value_options='' there")
}
