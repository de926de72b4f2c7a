package apply_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/pace"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// source and target serve all tests of the package; each test has a schema and a job of its own.
var source, target *mariadb.Server

func TestMain(m *testing.M) {
	code, err := withServers(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func withServers(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i, server := range []**mariadb.Server{&source, &target} {
		dir, err := os.MkdirTemp("", "opsdeck-apply-")
		if err != nil {
			return 0, err
		}
		defer func() { _ = os.RemoveAll(dir) }() // the machine cleans its temporary files itself
		if *server, err = mariadb.Start(ctx, mysqltest.Options(dir, uint32(i+1))); err != nil {
			return 0, err
		}
		defer func() { _ = (*server).Kill() }()
	}
	return m.Run(), nil
}

func config(s *mariadb.Server) mysql.Config {
	return mysql.Config{Host: "127.0.0.1", Port: s.Port(), User: s.User(), Password: s.Password()}
}

func connect(t testing.TB, s *mariadb.Server) *mysql.Conn {
	t.Helper()
	c, err := mysql.Connect(t.Context(), config(s))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// patience bounds a run on a machine that is busy with other things; none that succeeds waits for it.
const patience = 5 * time.Minute

// job is a replication of one schema from where the source was when the job was made.
type job struct {
	schema   string
	source   *mysql.Conn
	target   *mysql.Conn
	start    mysql.Position
	epoch    int64
	handover *progress.Handover
	merge    int
	workers  int
	history  int
	policy   apply.Policy
	pace     *pace.Pace
	group    int64 // with a time-out of a minute
	queue    int64
	events   []string
	logger   *zap.Logger
	via      *mysql.Config // how the applier reaches the target; nil for the direct way
}

func newJob(t testing.TB, schema string) *job {
	t.Helper()
	j := &job{schema: schema, source: connect(t, source), target: connect(t, target), logger: zap.NewNop()}
	require.NoError(t, progress.Ensure(j.target))
	require.NoError(t, progress.Forget(j.target, schema, "incarnation"))
	j.both(t, "DROP DATABASE IF EXISTS "+schema, "CREATE DATABASE "+schema)
	var err error
	j.start, err = j.source.Flavor.CurrentPosition(j.source)
	require.NoError(t, err)
	j.claim(t)
	return j
}

// claim begins a new run of the job.
func (j *job) claim(t testing.TB) {
	t.Helper()
	j.epoch++
	state, err := progress.Claim(j.target, j.schema, "incarnation", j.epoch)
	require.NoError(t, err)
	if !state.Position.IsZero() {
		j.start = state.Position
	}
}

// at executes statements, Spelled for the server.
func (j *job) at(t testing.TB, c *mysql.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := c.Execute(mysqltest.Spelled(c, s))
		require.NoError(t, err, s)
	}
}

func (j *job) both(t testing.TB, statements ...string) {
	t.Helper()
	j.at(t, j.source, statements...)
	j.at(t, j.target, statements...)
}

// write executes statements at the source.
func (j *job) write(t testing.TB, statements ...string) {
	t.Helper()
	j.at(t, j.source, append([]string{"USE " + j.schema}, statements...)...)
}

// create makes the same tables on both sides and starts behind them.
func (j *job) create(t testing.TB, statements ...string) {
	t.Helper()
	j.both(t, append([]string{"USE " + j.schema}, statements...)...)
	var err error
	j.start, err = j.source.Flavor.CurrentPosition(j.source)
	require.NoError(t, err)
}

// run applies until the source's present position is stored, or the job fails.
func (j *job) run(t testing.TB) (apply.Stats, error) {
	t.Helper()
	selection, err := mapping.New([]filter.SchemaRule{{Schema: j.schema}}, nil)
	require.NoError(t, err)
	end, err := j.source.Flavor.CurrentPosition(j.source)
	require.NoError(t, err)
	until, err := mysql.ParsePoint(j.source.Flavor, end)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := binlog.Open(ctx, binlog.Config{
		Source: config(source), Flavor: j.source.Flavor, Start: j.start, Selection: selection, QueueBytes: j.queue, Logger: zap.NewNop(),
	})
	require.NoError(t, err)
	defer stream.Close()
	to := config(target)
	if j.via != nil {
		to = *j.via
	}
	a := apply.New(apply.Config{
		Target: to, Job: j.schema, Epoch: j.epoch, Flavor: j.source.Flavor, Start: j.start, Mapping: selection,
		Handover: j.handover, Merge: j.merge, GroupBytes: j.group, GroupTimeout: time.Minute, Workers: j.workers, History: j.history,
		Pace: j.pace, Conflicts: j.policy, Logger: j.logger,
		Event: func(kind, message string) { j.events = append(j.events, kind+": "+message) },
	})
	failed := make(chan error, 1)
	go func() { failed <- a.Run(ctx, stream.Transactions()) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-failed:
			return a.Stats(), cmp.Or(stream.Err(), err)
		case <-tick.C:
			at, err := mysql.ParsePoint(j.source.Flavor, a.Stats().Position)
			require.NoError(t, err)
			if at.Covers(until) {
				cancel()
				<-failed //nolint:errcheck // it was told to stop
				return a.Stats(), nil
			}
		}
	}
}

// converge applies everything and compares the tables.
func (j *job) converge(t testing.TB) apply.Stats {
	t.Helper()
	stats, err := j.run(t)
	require.NoError(t, err)
	j.claim(t)
	j.same(t)
	return stats
}

// same compares definitions and checksums of all tables.
func (j *job) same(t testing.TB) {
	t.Helper()
	want := j.tables(t, j.source)
	require.Equal(t, want, j.tables(t, j.target))
}

func (j *job) tables(t testing.TB, c *mysql.Conn) map[string]string {
	t.Helper()
	tables, err := mysql.LoadTables(c, func(schema, _ string) bool { return schema == j.schema })
	require.NoError(t, err)
	out := map[string]string{}
	for _, table := range tables {
		out[table.Name] = mysqltest.Checksum(t, c, table.Schema, table.Name)
	}
	return out
}

// value reads the only value of a statement.
func value(t testing.TB, c *mysql.Conn, statement string) string {
	t.Helper()
	r, err := c.Execute(statement)
	require.NoError(t, err)
	require.Equal(t, 1, r.RowNumber(), statement)
	v, err := r.GetString(0, 0)
	require.NoError(t, err)
	return v
}
