package engine_test

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func TestMain(m *testing.M) {
	if runWorker() {
		return
	}
	goleak.VerifyTestMain(m)
}

// listener remembers what a run reports.
type listener struct {
	mu     sync.Mutex
	events []string
	last   engine.Progress
	heard  int
}

func (l *listener) Event(kind, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, kind+": "+message)
}

func (l *listener) Progress(p engine.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = p
	l.heard++
}

func (l *listener) snapshot() (events string, last engine.Progress, heard int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.events, "\n"), l.last, l.heard
}

type pair struct {
	source, target *mysqltest.Server
}

func (p *pair) job(id string, epoch int64, schema string) engine.Job {
	return engine.Job{
		ID: id, Incarnation: "one", Epoch: epoch, Source: p.source.Config(), Target: p.target.Config(),
		Do: []filter.SchemaRule{{Schema: schema}}, ChunkSize: 200,
	}
}

// running is a run under way.
type running struct {
	*listener
	cancel context.CancelFunc
	done   chan error
}

// start runs the job until stop.
func start(t *testing.T, job engine.Job) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{listener: &listener{}, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- engine.Run(ctx, job, r.listener, zap.NewNop()) }()
	return r
}

// stop pauses the run.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	require.ErrorIs(t, <-r.done, context.Canceled)
}

// patience bounds a wait for something that comes about: long, since a machine may be busy with other tests.
const patience = 6 * time.Minute

// await waits for a condition, which must come about before the run ends.
func (r *running) await(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		select {
		case err := <-r.done:
			events, _, _ := r.snapshot()
			require.FailNow(t, "the run has ended", "%v, after these events:\n%s", err, events)
		case <-time.After(10 * time.Millisecond):
		}
		require.Less(t, time.Now(), deadline, "waited in vain")
	}
}

func (r *running) awaitEvent(t *testing.T, part string) {
	t.Helper()
	r.await(t, func() bool {
		events, _, _ := r.snapshot()
		return strings.Contains(events, part)
	})
}

func (p *pair) equal(t *testing.T, schema string) bool {
	t.Helper()
	return maps.Equal(p.source.Checksums(t, schema), p.target.Checksums(t, schema))
}

// awaitEqual waits until the target is like the source, which must not change meanwhile.
func (p *pair) awaitEqual(t *testing.T, r *running, schema string) {
	t.Helper()
	want := p.source.Checksums(t, schema)
	require.NotEmpty(t, want)
	r.await(t, func() bool { return maps.Equal(want, p.target.Checksums(t, schema)) })
}

func TestRun(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	for name, test := range map[string]func(*testing.T, *pair){
		"a copy is followed by the binary log": testAll,
		"a job of the full stage ends":         testFull,
		"an interrupted copy is made whole":    testSettle,
		"a job of the incremental stage":       testIncremental,
		"a new incarnation starts again":       testIncarnation,
		"a later run fences an earlier one":    testFence,
		"errors are in words":                  testErrors,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

func testAll(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE all_steps", "CREATE TABLE all_steps.t (id INT PRIMARY KEY, v INT)",
		"INSERT INTO all_steps.t SELECT seq, seq FROM mysql.seq_1_to_5000")
	run := start(t, p.job("all", 1, "all_steps"))
	p.awaitEqual(t, run, "all_steps")
	p.source.Exec(t, "UPDATE all_steps.t SET v = -v WHERE id % 3 = 0", "DELETE FROM all_steps.t WHERE id % 5 = 0",
		"CREATE TABLE all_steps.later (id INT PRIMARY KEY)", "INSERT INTO all_steps.later VALUES (1), (2)", "ALTER TABLE all_steps.t ADD note VARCHAR(9) DEFAULT 'x'")
	p.awaitEqual(t, run, "all_steps")
	run.await(t, func() bool {
		_, last, _ := run.snapshot()
		return last.ExecTx > 0 && last.Lag == 0 && last.Executed.GTIDSet != ""
	})
	run.stop(t)
	events, last, _ := run.snapshot()
	require.Contains(t, events, "Driver: job_stage_full")
	require.Contains(t, events, "Driver: job_stage_incr")
	require.Equal(t, "job_stage_incr", last.Stage)
	require.InDelta(t, 100, last.Percent, 0)
	require.Equal(t, int64(5000), last.CopiedRows)

	p.source.Exec(t, "INSERT INTO all_steps.t SELECT seq, 1, 'later' FROM mysql.seq_10001_to_10100")
	run = start(t, p.job("all", 2, "all_steps"))
	p.awaitEqual(t, run, "all_steps")
	run.stop(t)
}

func testFull(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE full_step", "CREATE TABLE full_step.t (id INT PRIMARY KEY)", "INSERT INTO full_step.t SELECT seq FROM mysql.seq_1_to_1000")
	job := p.job("full", 1, "full_step")
	job.Step = string(engine.StepFull)
	l := &listener{}
	require.NoError(t, engine.Run(t.Context(), job, l, zap.NewNop()))
	require.True(t, p.equal(t, "full_step"))
	_, last, _ := l.snapshot()
	require.Equal(t, int64(1000), last.CopiedRows)
	job.Epoch = 2
	require.NoError(t, engine.Run(t.Context(), job, l, zap.NewNop()), "what is done is not done again")
}

// A copy that was interrupted holds rows of two moments; a job that only copies still ends with the rows of one.
func testSettle(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE settle", "CREATE TABLE settle.t (id INT PRIMARY KEY, v INT, UNIQUE (v))",
		"INSERT INTO settle.t SELECT seq, seq FROM mysql.seq_1_to_60000")
	job := p.job("settle", 1, "settle")
	job.Step = string(engine.StepFull)
	job.ChunkSize, job.MaxRowsPerSecond = 100, 1000 // so that it is not done before it is interrupted
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx, job, &listener{}, zap.NewNop()) }()
	target := p.target.Connect(t)
	require.Eventually(t, func() bool {
		r, err := target.Execute("SELECT COUNT(*) FROM opsdeck.replication_chunk WHERE job_id = 'settle'")
		if err != nil || r.RowNumber() == 0 {
			return false
		}
		n, err := r.GetInt(0, 0)
		return err == nil && n > 5
	}, patience, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	p.source.Exec(t, "UPDATE settle.t SET v = -v WHERE id % 2 = 0", "DELETE FROM settle.t WHERE id % 100 = 1", "UPDATE settle.t SET id = 70000 + id WHERE id % 100 = 2")
	job.Epoch, job.MaxRowsPerSecond = 2, 0
	l := &listener{}
	require.NoError(t, engine.Run(t.Context(), job, l, zap.NewNop()))
	require.True(t, p.equal(t, "settle"))
	events, _, _ := l.snapshot()
	require.Contains(t, events, "continuing the copy")
}

func testIncremental(t *testing.T, p *pair) {
	for _, s := range []*mysqltest.Server{p.source, p.target} {
		s.Exec(t, "CREATE DATABASE incr_step", "CREATE TABLE incr_step.t (id INT PRIMARY KEY)", "INSERT INTO incr_step.t VALUES (1)")
	}
	job := p.job("incr", 1, "incr_step")
	job.Step = string(engine.StepIncr)
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "INSERT INTO incr_step.t VALUES (2), (3)")
	p.awaitEqual(t, run, "incr_step")
	run.stop(t)
	p.source.Exec(t, "DELETE FROM incr_step.t WHERE id = 1")
	job.Epoch = 2
	run = start(t, job)
	p.awaitEqual(t, run, "incr_step")
	run.stop(t)
}

func testIncarnation(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE again", "CREATE TABLE again.t (id INT PRIMARY KEY)", "INSERT INTO again.t VALUES (1)")
	job := p.job("again", 1, "again")
	job.Step = string(engine.StepFull)
	require.NoError(t, engine.Run(t.Context(), job, &listener{}, zap.NewNop()))
	p.source.Exec(t, "INSERT INTO again.t VALUES (2)")
	job.Incarnation, job.Epoch, job.DropTableIfExists = "two", 2, true
	require.NoError(t, engine.Run(t.Context(), job, &listener{}, zap.NewNop()))
	require.True(t, p.equal(t, "again"))
}

func testFence(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE fence", "CREATE TABLE fence.t (id INT PRIMARY KEY)")
	first := start(t, p.job("fence", 1, "fence"))
	first.awaitEvent(t, "job_stage_incr")
	run := start(t, p.job("fence", 2, "fence"))
	run.awaitEvent(t, "job_stage_incr")
	p.source.Exec(t, "INSERT INTO fence.t VALUES (1)")
	require.ErrorIs(t, <-first.done, progress.ErrFenced)
	p.awaitEqual(t, run, "fence")
	run.stop(t)
	require.ErrorIs(t, engine.Run(t.Context(), p.job("fence", 1, "fence"), &listener{}, zap.NewNop()), progress.ErrFenced)
}

func testErrors(t *testing.T, p *pair) {
	for name, tc := range map[string]struct {
		change    func(*engine.Job)
		want      string
		permanent bool
	}{
		"source unreachable": {func(j *engine.Job) { j.Source.Port = 1 }, "source: nothing listens on 127.0.0.1:1", false},
		"target password":    {func(j *engine.Job) { j.Target.Password = "secret-guess" }, `target: ` + p.target.Addr() + ` refuses user "opsdeck"`, true},
		"missing table": {func(j *engine.Job) {
			j.Do = []filter.SchemaRule{{Schema: "mysql2", Tables: []filter.TableRule{{Name: "t"}}}}
		}, "does not have mysql2", true},
		"missing schema without a copy": {func(j *engine.Job) { j.Step = string(engine.StepIncr) }, "does not have nowhere", true},
		"same server":                   {func(j *engine.Job) { j.Target = j.Source }, "the same server", true},
		"bad gtid": {func(j *engine.Job) {
			j.Do, j.StartGTID, j.Step = nil, "0-1-2:3", string(engine.StepIncr)
		}, "gtid: ", true},
		"empty schema name": {func(j *engine.Job) { j.Do = []filter.SchemaRule{{}} }, "replicate_do_db[0].table_schema", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := p.job("errors "+name, 1, "nowhere")
			tc.change(&job)
			err := engine.Run(t.Context(), job, &listener{}, zap.NewNop())
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "secret-guess")
			require.Equal(t, tc.permanent, mysql.Permanent(err))
		})
	}
}
