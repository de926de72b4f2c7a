package replication_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// renamed makes a job replicate shop.orders as store.sales.
func renamed(source, target *mysqltest.Server) func(*replicationv1.JobConfig) {
	return func(c *replicationv1.JobConfig) {
		between(source, target)(c)
		c.SrcTask.ReplicateDoDb = []*replicationv1.SchemaRule{{
			TableSchema: "shop", TableSchemaRename: "store", Tables: []*replicationv1.TableRule{{TableName: "orders", TableRename: "sales", ColumnMapFrom: []string{"what", "id"}}},
		}}
	}
}

// answer is what a server answers, row by row.
func answer(t testing.TB, s *mysqltest.Server, statement string) [][]string {
	t.Helper()
	r, err := s.Connect(t).Execute(statement)
	require.NoError(t, err)
	out := make([][]string, r.RowNumber())
	for i := range out {
		out[i] = make([]string, r.ColumnNumber())
		for j := range out[i] {
			out[i][j], err = r.GetString(i, j)
			require.NoError(t, err)
		}
	}
	return out
}

func rows(t testing.TB, s *mysqltest.Server, table string) string {
	t.Helper()
	return fmt.Sprint(answer(t, s, "SELECT id, what FROM "+table+" ORDER BY id"))
}

func (m *manager) reverse(id string, accounts *replicationv1.ReverseConfig) error {
	_, err := m.jobs(admin).ReverseJob(m.t.Context(), &replicationv1.ReverseJobRequest{JobType: "migration", JobId: id, ReverseConfig: accounts})
	return err
}

func (m *manager) startReverse(id string) error {
	_, err := m.jobs(admin).StartReverseJob(m.t.Context(), &replicationv1.StartReverseJobRequest{JobType: "migration", JobId: id})
	return err
}

func TestAJobIsReversed(t *testing.T) {
	t.Parallel()
	source, target := mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	fill(t, source)
	m := startManager(t)
	data := shortDir(t)
	stop := m.startWorker(data)
	id := m.create(admin, "forth", renamed(source, target))
	same := func() {
		t.Helper()
		require.Eventually(t, func() bool { return rows(t, source, "shop.orders") == rows(t, target, "store.sales") }, patience, moment, "%v", m.detail(admin, id))
	}
	require.Eventually(t, func() bool {
		return m.detail(admin, id).GetBasicTaskProfile().GetJobBaseInfo().GetJobSteps()[1].GetStepSchedule() == 100
	}, patience, moment)
	same()

	requireFault(t, m.startReverse(id), codes.FailedPrecondition, "NOT_REVERSE", "forth-migration is running")
	requireFault(t, m.reverse(id, &replicationv1.ReverseConfig{SrcUser: "nobody", SrcPwd: "secret"}), codes.FailedPrecondition, "NOT_REVERSIBLE", "the connection to the original target")
	target.Exec(t, "CREATE USER weak IDENTIFIED BY 'secret'")
	requireFault(t, m.reverse(id, &replicationv1.ReverseConfig{SrcUser: "weak", SrcPwd: "secret"}), codes.FailedPrecondition, "NOT_REVERSIBLE", "the account at the original target")
	source.Exec(t, "CREATE TRIGGER shop.counts AFTER INSERT ON shop.orders FOR EACH ROW SET @n = 1")
	requireFault(t, m.reverse(id, nil), codes.FailedPrecondition, "NOT_REVERSIBLE", "triggers shop.counts")
	source.Exec(t, "DROP TRIGGER shop.counts")
	require.NoError(t, m.reverse(id, nil))
	requireFault(t, m.reverse(id, nil), codes.AlreadyExists, "JOB_EXISTS", "reverse-forth-migration")
	const back = "reverse-forth-migration"
	require.Equal(t, "reverse-init", m.status(back))
	requireFault(t, m.reverse(back, nil), codes.FailedPrecondition, "NOT_REVERSIBLE", "is a reverse job itself")
	_, err := m.jobs(admin).PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: back})
	requireFault(t, err, codes.FailedPrecondition, "JOB_WAITS", back)

	// While the source writes nothing ends, also when the worker is killed meanwhile.
	require.NoError(t, m.startReverse(id), "the id of the original stands for that of the reverse job")
	next := 5000
	write := func() {
		insertOrders(t, source, next, next+1)
		next++
	}
	require.Eventually(t, func() bool {
		write()
		return m.says(id, "the source still writes to what is replicated: stop the writers")
	}, patience, moment)
	stop()
	for range 3 {
		write()
	}
	stop = m.startWorker(data)
	require.Equal(t, "reverse-init", m.status(back))
	require.Eventually(t, func() bool { return m.status(id) == "finished" && m.status(back) == "running" }, patience, moment, "%v", m.detail(admin, id))
	same()
	require.NotContains(t, m.published(), "opsdeck.replication.job.deleted")

	// What is written at the target comes back, and nothing goes forth any more.
	target.Exec(t, "INSERT INTO store.sales (id, what) VALUES (-1, 'back')", "UPDATE store.sales SET what = 'changed' WHERE id = 7", "DELETE FROM store.sales WHERE id = 8")
	same()
	require.Contains(t, rows(t, source, "shop.orders"), "back")
	target.Exec(t, "ALTER TABLE store.sales ADD INDEX (what)")
	require.Eventually(t, func() bool { return len(answer(t, source, "SHOW INDEX FROM shop.orders")) == 2 }, patience, moment)
	requireFault(t, m.startReverse(id), codes.FailedPrecondition, "NOT_REVERSE", "is running")
	_, err = m.update(request(t, "forth", renamed(source, target)).GetJob())
	requireFault(t, err, codes.FailedPrecondition, "JOB_HANDED_OVER", back)
	stop()
}

// says reports whether a message is among the events of a job.
func (m *manager) says(id, message string) bool {
	for _, l := range m.detail(admin, id).GetTaskLogs() {
		for _, e := range l.GetTaskEvents() {
			if e.GetMessage() == message {
				return true
			}
		}
	}
	return false
}

func TestAnAbandonedReverseEndsNothing(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(admin, "forth", all)
	back := func(c *replicationv1.JobConfig) {
		c.Reverse, c.TaskStepName, c.SrcTask.WaitOnJob = true, "job_stage_incr", id
		c.SrcTask.MysqlConnectionConfig, c.DestTask.MysqlConnectionConfig = c.GetDestTask().GetMysqlConnectionConfig(), c.GetSrcTask().GetMysqlConnectionConfig()
	}
	made := m.create(admin, "by-hand", back)
	require.Equal(t, "reverse-init", m.status(made))
	requireFault(t, m.startReverse(made), codes.FailedPrecondition, "JOB_NOT_RUNNING", "is pending")
	_, err := m.jobs(admin).PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	requireFault(t, m.startReverse(made), codes.FailedPrecondition, "JOB_NOT_RUNNING", "is paused")
	_, err = m.pool.Exec(t.Context(), `UPDATE replication.jobs SET successor = $2 WHERE id = $1`, id, made)
	require.NoError(t, err)
	_, err = m.jobs(admin).DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "migration", JobId: made})
	require.NoError(t, err)
	var successor string
	require.NoError(t, m.pool.QueryRow(t.Context(), `SELECT successor FROM replication.jobs WHERE id = $1`, id).Scan(&successor))
	require.Empty(t, successor)

	for want, with := range map[string]func(*replicationv1.JobConfig){
		"is required of a reverse job":                       func(c *replicationv1.JobConfig) { c.Reverse = true },
		"is for reverse jobs":                                func(c *replicationv1.JobConfig) { c.SrcTask.WaitOnJob = id },
		"is job_stage_incr":                                  func(c *replicationv1.JobConfig) { back(c); c.TaskStepName = "all" },
		"leave it out":                                       func(c *replicationv1.JobConfig) { back(c); c.SrcTask.Gtid = "0-1-1" },
		"does not replicate the other way":                   func(c *replicationv1.JobConfig) { back(c); c.SrcTask.MysqlConnectionConfig.MysqlPort = 1 },
		"is not the id of a migration job: those end with -": func(c *replicationv1.JobConfig) { back(c); c.SrcTask.WaitOnJob = "x-sync" },
	} {
		_, err := m.jobs(admin).CreateJob(t.Context(), request(t, "wrong", with))
		require.ErrorContains(t, err, want)
	}
	_, err = m.jobs(admin).CreateJob(t.Context(), request(t, "wrong", back, func(c *replicationv1.JobConfig) { c.SrcTask.WaitOnJob = "none-migration" }))
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", "none-migration")
	requireFault(t, m.startReverse("none-migration"), codes.NotFound, "JOB_NOT_FOUND", "none-migration")
	requireFault(t, m.reverse("none-migration", nil), codes.NotFound, "JOB_NOT_FOUND", "none-migration")
}
