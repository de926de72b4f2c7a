package replication_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/worker"
)

// startWorker runs a worker node until the test ends or stop is called.
func (m *manager) startWorker(data string) (stop func()) {
	m.t.Helper()
	rt, _, err := app.NewRuntime(app.ProcessConfig{LogLevel: "fatal"})
	require.NoError(m.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- worker.Run(ctx, rt, worker.Config{
			ManagerAddr: m.cfg.GRPCAddr, AuthAddr: m.authAddr, Secret: "a secret of the worker", Data: data, Name: "w1", Address: "127.0.0.1",
			Datacenter: "dc1", NATSURL: m.natsURL, NATSUser: natsUser, NATSPassword: "nats-password", MaxMessage: 4 << 20,
		})
	}()
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cancel()
			require.NoError(m.t, <-done)
		}
	}
	m.t.Cleanup(stop)
	return stop
}

// between makes a job replicate the schema shop from one server to the other.
func between(source, target *mysqltest.Server) func(*replicationv1.JobConfig) {
	return func(c *replicationv1.JobConfig) {
		c.TaskStepName = "all"
		c.SrcTask.ReplicateDoDb = []*replicationv1.SchemaRule{{TableSchema: "shop"}}
		c.SrcTask.MysqlConnectionConfig = connection(source)
		c.DestTask.MysqlConnectionConfig = connection(target)
	}
}

func connection(s *mysqltest.Server) *replicationv1.MySQLConnection {
	return &replicationv1.MySQLConnection{MysqlHost: "127.0.0.1", MysqlPort: int32(s.Port()), MysqlUser: s.User(), MysqlPassword: s.Password()}
}

func fill(t testing.TB, s *mysqltest.Server) {
	t.Helper()
	s.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, what VARCHAR(40))", "CREATE DATABASE empty")
	insertOrders(t, s, 0, 5000)
}

func insertOrders(t testing.TB, s *mysqltest.Server, from, to int) {
	t.Helper()
	var values []string
	for i := from; i < to; i++ {
		values = append(values, fmt.Sprintf("(%d, 'order %d')", i, i))
	}
	s.Exec(t, "INSERT INTO shop.orders VALUES "+strings.Join(values, ", "))
}

func (m *manager) requireSame(source, target *mysqltest.Server, id string) {
	m.t.Helper()
	want := source.Checksums(m.t, "shop")
	require.Eventuallyf(m.t, func() bool { return fmt.Sprint(target.Checksums(m.t, "shop")) == fmt.Sprint(want) }, patience, moment,
		"%v: %v", id, m.detail(admin, id))
}

func TestRowsArrive(t *testing.T) {
	t.Parallel()
	source, target := mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	fill(t, source)
	m := startManager(t)
	m.startWorker(shortDir(t))
	id := m.create(admin, "real", between(source, target))
	m.requireSame(source, target, id)

	insertOrders(t, source, 5000, 6000)
	m.requireSame(source, target, id)
	require.Eventually(t, func() bool {
		steps := m.detail(admin, id).GetBasicTaskProfile().GetJobBaseInfo().GetJobSteps()
		return steps[0].GetStepStatus() == "finished" && steps[1].GetStepSchedule() == 100
	}, patience, moment)
	d := m.detail(admin, id)
	require.Equal(t, "running", d.GetBasicTaskProfile().GetJobBaseInfo().GetJobStatus())
	for i, task := range []string{"src", "dest"} {
		l := d.GetTaskLogs()[i]
		require.Contains(t, log(l), "Driver: job_stage_full")
		require.Contains(t, log(l), "Driver: job_stage_incr")
		status, err := replicationv1.NewMonitorServiceClient(m.as(admin)).GetTaskStatus(t.Context(), &replicationv1.GetTaskStatusRequest{AllocationId: l.GetAllocationId(), TaskName: task})
		require.NoError(t, err)
		require.Equal(t, "100.0", status.GetTasksStatus().GetProgressPct())
		require.NotEmpty(t, status.GetTasksStatus().GetCurrentCoordinates().GetGtidSet())
	}
}

func TestWhatWasStoppedGoesOn(t *testing.T) {
	t.Parallel()
	source, target := mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	fill(t, source)
	m := startManager(t)
	data := shortDir(t)
	stop := m.startWorker(data)
	id := m.create(admin, "real", between(source, target))
	m.requireSame(source, target, id)

	// Paused, nothing moves, also not after a restart of the worker; resumed, it goes on.
	m.do(pause, id)
	stop() // whatever the worker did before it heard of the pause is done
	insertOrders(t, source, 6000, 6001)
	m.startWorker(data)
	require.NotEqual(t, source.Checksums(t, "shop"), target.Checksums(t, "shop"))
	m.do(resume, id)
	m.requireSame(source, target, id)

	// A target that dies shows, and heals.
	require.NoError(t, target.Kill())
	insertOrders(t, source, 6001, 6002)
	require.Eventually(t, func() bool { return m.status(id) == "retrying" }, patience, moment)
	target.Restart(t)
	m.requireSame(source, target, id)
	require.Eventually(t, func() bool { return m.status(id) == "running" }, patience, moment)

	// A deleted job leaves nothing on the target, and one of its name starts from scratch.
	m.do(remove, id)
	session := target.Connect(t)
	require.Eventually(t, func() bool { return progressRows(t, session) == 0 }, patience, moment)
	target.Exec(t, "DROP DATABASE shop")
	m.create(admin, "real", between(source, target))
	m.requireSame(source, target, id)
}

func progressRows(t testing.TB, c *mysql.Conn) int64 {
	t.Helper()
	r, err := c.Execute("SELECT count(*) FROM opsdeck.replication_job")
	require.NoError(t, err)
	n, err := r.GetInt(0, 0)
	require.NoError(t, err)
	return n
}

func TestFailuresShowAndHeal(t *testing.T) {
	t.Parallel()
	source, target := mysqltest.Start(t, 1), mysqltest.Start(t, 2)
	source.Exec(t, "CREATE DATABASE shop", "CREATE USER late@'%' IDENTIFIED BY 'old password'", "GRANT ALL ON *.* TO late@'%'")
	m := startManager(t)
	m.startWorker(shortDir(t))
	says := func(id, text string) {
		t.Helper()
		require.Eventuallyf(t, func() bool {
			d := m.detail(admin, id)
			return d.GetBasicTaskProfile().GetJobBaseInfo().GetJobStatus() == "retrying" && len(d.GetTaskLogs()) == 2 &&
				strings.Contains(strings.Join(log(d.GetTaskLogs()[0]), "\n"), text)
		}, patience, moment, "%s", text)
		require.NotContains(t, fmt.Sprint(m.detail(admin, id)), "new password")
	}
	account := m.create(admin, "account", between(source, target), func(c *replicationv1.JobConfig) {
		c.SrcTask.MysqlConnectionConfig.MysqlUser, c.SrcTask.MysqlConnectionConfig.MysqlPassword = "late", "new password"
		c.SrcTask.ReplicateDoDb[0].Tables = []*replicationv1.TableRule{{TableName: "customers"}}
	})
	table := m.create(admin, "table", between(source, target), func(c *replicationv1.JobConfig) {
		c.SrcTask.ReplicateDoDb[0].Tables = []*replicationv1.TableRule{{TableName: "orders"}}
	})
	host := m.create(admin, "host", between(source, target), func(c *replicationv1.JobConfig) {
		c.SrcTask.MysqlConnectionConfig.MysqlPort = 1
	})
	says(account, "refuses user")
	says(table, "shop.orders")
	says(host, "nothing listens on 127.0.0.1:1")

	source.Exec(t, "ALTER USER late@'%' IDENTIFIED BY 'new password'", "CREATE TABLE shop.orders (id INT PRIMARY KEY, what VARCHAR(40))",
		"CREATE TABLE shop.customers (id INT PRIMARY KEY)")
	require.Eventually(t, func() bool { return m.status(account) == "running" && m.status(table) == "running" }, 2*patience, moment)
	require.Equal(t, "retrying", m.status(host))
}

func TestLookingIntoAnInstance(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, 1)
	fill(t, s)
	s.Exec(t, "CREATE VIEW shop.recent AS SELECT * FROM shop.orders")
	m := startManager(t)
	client := replicationv1.NewMySQLServiceClient(m.as(anyone))
	host, port := "127.0.0.1", int32(s.Port())

	schemas, err := client.ListSchemas(t.Context(), &replicationv1.ListSchemasRequest{MysqlHost: host, MysqlPort: port, MysqlUser: s.User(), MysqlPassword: s.Password()})
	require.NoError(t, err)
	requireProto(t, &replicationv1.ListSchemasResponse{Schemas: []*replicationv1.Schema{
		{SchemaName: "empty"}, {SchemaName: "shop", Tables: []*replicationv1.SchemaTable{{TableName: "orders"}}},
	}}, schemas)
	columns := &replicationv1.ListColumnsRequest{MysqlHost: host, MysqlPort: port, MysqlUser: s.User(), MysqlPassword: s.Password(), MysqlSchema: "shop", MysqlTable: "orders"}
	answer, err := client.ListColumns(t.Context(), columns)
	require.NoError(t, err)
	require.Equal(t, []string{"id", "what"}, answer.GetColumns())
	columns.MysqlTable = "absent"
	_, err = client.ListColumns(t.Context(), columns)
	requireFault(t, err, codes.NotFound, "TABLE_NOT_FOUND", "shop.absent")

	check := &replicationv1.CheckConnectionRequest{MysqlHost: host, MysqlPort: port, MysqlUser: s.User(), MysqlPassword: s.Password()}
	tried, err := client.CheckConnection(t.Context(), check)
	require.NoError(t, err)
	require.Equal(t, "ok", tried.GetMessage())
	check.MysqlPassword = "wrong secret"
	tried, err = client.CheckConnection(t.Context(), check)
	require.NoError(t, err)
	require.Contains(t, tried.GetMessage(), "refuses user")
	require.NotContains(t, tried.GetMessage(), "wrong secret")
	_, err = client.ListSchemas(t.Context(), &replicationv1.ListSchemasRequest{MysqlHost: host, MysqlPort: port, MysqlUser: s.User(), MysqlPassword: "wrong secret"})
	requireFault(t, err, codes.FailedPrecondition, "MYSQL_REFUSED", "refuses user")
	_, err = client.ListSchemas(t.Context(), &replicationv1.ListSchemasRequest{MysqlHost: host, MysqlPort: 1, MysqlUser: "u", MysqlPassword: "a secret"})
	requireFault(t, err, codes.FailedPrecondition, "MYSQL_UNREACHABLE", "127.0.0.1:1")
	_, err = client.CheckConnection(t.Context(), &replicationv1.CheckConnectionRequest{MysqlHost: host, MysqlPort: port, MysqlUser: "u", MysqlPassword: "p", IsMysqlPasswordEncrypted: true})
	requireFault(t, err, codes.InvalidArgument, "PASSWORD_UNREADABLE", "mysql_password")
}
