package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = time.Minute
	moment   = 5 * time.Millisecond
)

// scriptedManager wants what the test says and remembers what it heard.
type scriptedManager struct {
	mu     sync.Mutex
	wanted []*replicationv1.Assignment
	ends   []*replicationv1.SourceEnd
	told   map[string]*replicationv1.SourceEndReport // newest report of a source's end by job
	away   bool
	lease  time.Duration
	heard  map[string]*replicationv1.RunReport // newest report by job
	relays []string                            // in the newest report
	drop   []string                            // relay logs to be deleted
	events map[string][]*replicationv1.RunEvent
}

func newManager() *scriptedManager {
	return &scriptedManager{lease: time.Minute, heard: map[string]*replicationv1.RunReport{}, events: map[string][]*replicationv1.RunEvent{}}
}

func (m *scriptedManager) Reconcile(_ context.Context, r *replicationv1.ReconcileRequest, _ ...grpc.CallOption) (*replicationv1.ReconcileResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, errors.New("the manager is away")
	}
	m.heard, m.told = map[string]*replicationv1.RunReport{}, map[string]*replicationv1.SourceEndReport{}
	for _, end := range r.GetSourceEnds() {
		m.told[end.GetJobId()] = end
	}
	for _, run := range r.GetRuns() {
		m.heard[run.GetJobId()] = run
		for _, e := range run.GetEvents() {
			if known := m.events[run.GetJobId()]; len(known) == 0 || e.GetSequence() > known[len(known)-1].GetSequence() {
				m.events[run.GetJobId()] = append(known, e)
			}
		}
	}
	m.relays = r.GetRelays()
	return &replicationv1.ReconcileResponse{
		Assignments: m.wanted, SourceEnds: m.ends, DropRelays: m.drop, Interval: durationpb.New(10 * time.Millisecond), Lease: durationpb.New(m.lease),
	}, nil
}

func (m *scriptedManager) want(all ...*replicationv1.Assignment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted = all
}

// found are the relay logs that the node has told of last.
func (m *scriptedManager) found() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.relays
}

func (m *scriptedManager) surplus(relays ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop = relays
}

func (m *scriptedManager) leave(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *scriptedManager) report(job string) *replicationv1.RunReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard[job]
}

func (m *scriptedManager) log(job, target string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, e := range m.events[job] {
		if e.GetTarget() == target {
			all = append(all, e.GetEventType()+": "+e.GetMessage())
		}
	}
	return all
}

func assignment(id string, epoch int64) *replicationv1.Assignment {
	at := func(host string) *replicationv1.MySQLConnection {
		return &replicationv1.MySQLConnection{MysqlHost: host, MysqlPort: 3306, MysqlUser: "u", MysqlPassword: "p"}
	}
	return &replicationv1.Assignment{Epoch: epoch, Incarnation: "inc", Job: &replicationv1.JobConfig{
		JobId: id, TaskStepName: "all", Retry: proto.Int32(2),
		SrcTask: &replicationv1.SourceTask{
			MysqlConnectionConfig: at("source"), ChunkSize: proto.Int32(7),
			ReplicateDoDb: []*replicationv1.SchemaRule{{TableSchema: "shop", Tables: []*replicationv1.TableRule{{TableName: "orders"}}}},
		},
		DestTask: &replicationv1.DestTask{MysqlConnectionConfig: at("target"), ParallelWorkers: proto.Int32(3)},
	}}
}

// work is one call of the scripted engine: the test feeds it and says how it ends.
type work struct {
	ctx      context.Context
	job      engine.Job
	reporter engine.Reporter
	end      chan error
}

// scriptedEngine hands every call to the test.
type scriptedEngine chan *work

func (e scriptedEngine) run(ctx context.Context, job engine.Job, reporter engine.Reporter) error {
	w := &work{ctx: ctx, job: job, reporter: reporter, end: make(chan error, 1)}
	e <- w
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-w.end:
		return err
	}
}

func (e scriptedEngine) next(t *testing.T) *work {
	t.Helper()
	select {
	case w := <-e:
		return w
	case <-time.After(patience):
		require.FailNow(t, "the engine was not started")
		return nil
	}
}

func startNode(t *testing.T, m *scriptedManager) scriptedEngine {
	t.Helper()
	return startNodeWith(t, m, relay.Store{Dir: t.TempDir()}, Tunnels{})
}

func startNodeWith(t *testing.T, m *scriptedManager, relays relay.Store, tunnels Tunnels) scriptedEngine {
	t.Helper()
	e := make(scriptedEngine, 16)
	traffic := func() *replicationv1.MessageStatus { return &replicationv1.MessageStatus{InMessages: 5} }
	node := NewNode(Identity{ID: "6f0e5b8e-6f0b-4b9c-8e0a-1d6b6f1c2a3b", Name: "n"}, m, e.run, relays, tunnels, traffic, zap.NewNop())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return e
}

func ended(t *testing.T, w *work) {
	t.Helper()
	select {
	case <-w.ctx.Done():
	case <-time.After(patience):
		require.FailNow(t, "the run was not stopped")
	}
}

func TestRunsFollowTheManager(t *testing.T) {
	t.Parallel()
	m := newManager()
	e := startNode(t, m)
	m.want(assignment("a", 1), assignment("b", 2))
	one, two := e.next(t), e.next(t)
	a, b := one, two
	if a.job.ID != "a" {
		a, b = two, one
	}
	require.Equal(t, engine.Job{
		ID: "a", Incarnation: "inc", Epoch: 1, Step: "all", ChunkSize: 7, ParallelWorkers: 3,
		Source: mysql.Config{Host: "source", Port: 3306, User: "u", Password: "p"}, Target: mysql.Config{Host: "target", Port: 3306, User: "u", Password: "p"},
		Do: a.job.Do, Ignore: a.job.Ignore, Objects: a.job.Objects, Finish: a.job.Finish, Verify: a.job.Verify,
	}, a.job)
	require.Equal(t, "shop", a.job.Do[0].Schema)
	require.Equal(t, "orders", a.job.Do[0].Tables[0].Name)

	named := &replicationv1.Assignment{Job: &replicationv1.JobConfig{JobId: "b"}, Epoch: 2}
	later := &replicationv1.Assignment{Job: &replicationv1.JobConfig{JobId: "c"}, Epoch: 5}
	m.want(assignment("a", 3), named, later)
	ended(t, a)
	require.EqualValues(t, 3, e.next(t).job.Epoch, "a new epoch is a new run")
	require.NoError(t, b.ctx.Err(), "the other goes on")
	m.want(assignment("a", 3))
	ended(t, b)
	require.Eventually(t, func() bool { return m.report("b") == nil && m.report("a") != nil }, patience, moment)
	require.Empty(t, e)
}

// TestRelayLogsAreDeleted: a node tells of all that it finds, and deletes what it is told to, but for that of a run that has not ended.
func TestRelayLogsAreDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"inc", "orphan"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	m := newManager()
	e := startNodeWith(t, m, relay.Store{Dir: dir}, Tunnels{})
	relayed := assignment("a", 1)
	relayed.Job.SrcTask.BinlogRelay, relayed.Job.SrcTask.BinlogRelayMaxMib, relayed.RelayNode = true, proto.Int32(64), "other"
	m.want(relayed)
	w := e.next(t)
	require.Equal(t, &engine.Relay{MaxBytes: 64 << 20, Elsewhere: "other"}, w.job.Relay)
	require.Eventually(t, func() bool { return slices.Equal([]string{"inc", "orphan"}, m.found()) }, patience, moment)
	m.surplus("inc", "orphan")
	require.Eventually(t, func() bool { return slices.Equal([]string{"inc"}, m.found()) }, patience, moment)
	m.want()
	ended(t, w)
	require.Eventually(t, func() bool { return len(m.found()) == 0 }, patience, moment)
	require.NoDirExists(t, filepath.Join(dir, "inc"))
}

func TestARunThatIsToldToFinishesOnce(t *testing.T) {
	t.Parallel()
	m := newManager()
	e := startNode(t, m)
	m.want(assignment("a", 1))
	w := e.next(t)
	select {
	case <-w.job.Finish:
		require.FailNow(t, "nobody has told it to finish")
	default:
	}
	m.want(&replicationv1.Assignment{Job: &replicationv1.JobConfig{JobId: "a"}, Epoch: 1, Finish: true})
	select {
	case <-w.job.Finish:
	case <-time.After(patience):
		require.FailNow(t, "it was not told to finish")
	}
	w.reporter.Progress(engine.Progress{Stage: "job_stage_incr", End: mysql.Position{GTIDSet: "0-1-7"}})
	w.end <- nil
	require.Eventually(t, func() bool {
		r := m.report("a")
		return r.GetState() == replicationv1.RunState_RUN_STATE_FINISHED && r.GetEndGtidSet() == "0-1-7"
	}, patience, moment)
	require.Empty(t, e, "it is not started again")
}

func TestAFailureShowsAndHeals(t *testing.T) {
	t.Parallel()
	m := newManager()
	e := startNode(t, m)
	m.want(assignment("a", 1))
	e.next(t).end <- errors.New("the source is away")
	require.Eventually(t, func() bool {
		return m.report("a").GetState() == replicationv1.RunState_RUN_STATE_RETRYING && m.report("a").GetError() == "the source is away"
	}, patience, moment)
	again := e.next(t)
	for _, target := range []string{"src", "dst"} {
		log := m.log("a", target)
		require.Equal(t, `Terminated: Exit Code: 2, Exit Message: "the source is away"`, log[0])
		require.Regexp(t, `^Restarting: Task restarting in \d`, log[1])
	}
	again.reporter.Progress(engine.Progress{Stage: "job_stage_full", Percent: 10})
	require.Equal(t, replicationv1.RunState_RUN_STATE_RETRYING, m.report("a").GetState(), "it may still fail at once")
	again.reporter.Event("Driver", "job_stage_full")
	require.Eventually(t, func() bool {
		again.reporter.Progress(engine.Progress{Stage: "job_stage_full", Percent: 10})
		return m.report("a").GetState() == replicationv1.RunState_RUN_STATE_RUNNING && m.report("a").GetError() == ""
	}, patience, moment)
	require.Equal(t, []string{"Started: Task started by client", "Driver: job_stage_full"}, m.log("a", "src")[2:])
	require.InDelta(t, 10, m.report("a").GetCopiedPercent(), 0)
}

func TestADecisionIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	m := newManager()
	e := startNode(t, m)
	m.want(assignment("a", 1))
	stop := fmt.Errorf("apply: %w", &apply.StoppedError{Position: "bin.1:4711", Err: errors.New("no such column")})
	e.next(t).end <- stop
	require.Eventually(t, func() bool { return m.report("a").GetStoppedAt() == "bin.1:4711" }, patience, moment)
	known := assignment("a", 1)
	known.Job = &replicationv1.JobConfig{JobId: "a"}
	known.Decisions = []*replicationv1.StatementDecision{{Position: "bin.1:4711", Replacement: "DROP TABLE a.b"}}
	m.want(known)
	again := e.next(t)
	for again.job.Decisions == nil {
		again.end <- stop
		again = e.next(t)
	}
	require.Equal(t, []ddl.Decision{{Position: "bin.1:4711", Replacement: "DROP TABLE a.b"}}, again.job.Decisions)
	require.Eventually(t, func() bool {
		again.reporter.Progress(engine.Progress{Stage: "job_stage_incr"})
		return m.report("a").GetState() == replicationv1.RunState_RUN_STATE_RUNNING && m.report("a").GetStoppedAt() == ""
	}, patience, moment)
}

func TestACopyFinishes(t *testing.T) {
	t.Parallel()
	m := newManager()
	e := startNode(t, m)
	a := assignment("a", 1)
	a.Job.TaskStepName = "job_stage_full"
	m.want(a)
	e.next(t).end <- nil
	require.Eventually(t, func() bool { return m.report("a").GetState() == replicationv1.RunState_RUN_STATE_FINISHED }, patience, moment)
	require.Empty(t, e)
}

func TestAnEndThatNobodyAskedForIsAFailure(t *testing.T) {
	t.Parallel()
	m := newManager()
	e := startNode(t, m)
	m.want(assignment("a", 1))
	e.next(t).end <- nil
	require.Eventually(t, func() bool { return m.report("a").GetError() == errEnded.Error() }, patience, moment)
}

func TestAPanicIsTheFailureOfOneJob(t *testing.T) {
	t.Parallel()
	r := &run{log: zap.NewNop(), engine: func(context.Context, engine.Job, engine.Reporter) error { panic("boom") }}
	require.ErrorContains(t, r.try(t.Context()), "boom")
}

func TestEventsSurviveAnAbsentManager(t *testing.T) {
	t.Parallel()
	m := newManager()
	e := startNode(t, m)
	a := assignment("a", 1)
	a.StoredSequence = 40
	m.want(a)
	w := e.next(t)
	m.leave(true)
	for range 500 {
		w.reporter.Event("Driver", strings.Repeat("ä", 10000))
	}
	w.reporter.Event("Driver", "the last")
	m.leave(false)
	require.Eventually(t, func() bool {
		log := m.log("a", "dst")
		return len(log) > 0 && log[len(log)-1] == "Driver: the last"
	}, patience, moment)
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.events["a"]
	require.LessOrEqual(t, len(events), maxEvents+1)
	require.EqualValues(t, 541, events[len(events)-1].GetSequence(), "numbers go on from what is stored")
	require.LessOrEqual(t, len(events[0].GetMessage()), 8192)
}

func TestANodeWithoutAnswersStopsItsRuns(t *testing.T) {
	t.Parallel()
	m := newManager()
	m.lease = 200 * time.Millisecond
	e := startNode(t, m)
	m.want(assignment("a", 1))
	w := e.next(t)
	m.leave(true)
	ended(t, w)
	m.want(assignment("a", 2))
	m.leave(false)
	require.EqualValues(t, 2, e.next(t).job.Epoch)
}
