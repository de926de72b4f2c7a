// Package run executes the jobs that the manager gives to a worker node.
package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/verify"
)

// Engine does the work of a job until ctx ends, it fails, or there is nothing left to do.
type Engine func(ctx context.Context, job engine.Job, reporter engine.Reporter) error

const (
	// healthy is how long a job must have worked for its failures to be forgotten.
	healthy      = 30 * time.Second
	firstPause   = time.Second
	longestPause = 15 * time.Second
	// settled is how long a restarted job must have worked to count as running again: some fail right after connecting.
	settled = 900 * time.Millisecond
	// maxEvents bounds what is kept while the manager is away; the oldest go first.
	maxEvents = 200
)

var errEnded = errors.New("the run ended by itself")

// run is one job at work on this node. It starts the engine again after every failure.
type run struct {
	id      string
	epoch   int64
	relay   string     // the incarnation, by which its relay log is called
	job     engine.Job // its Decisions are under the lock
	retries int        // restarts before the pauses grow
	engine  Engine
	news    func()
	log     *zap.Logger
	cancel  context.CancelFunc
	done    chan struct{}
	decided chan struct{} // an operator has decided something: try again at once
	ending  sync.Once     // closes finish
	desk    *verify.Desk  // orders to compare target and source
	finish  chan struct{} // closed when the job is to end once all is applied

	mu        sync.Mutex
	state     replicationv1.RunState
	failure   string
	stoppedAt string // the position of the statement that the run stands at
	progress  engine.Progress
	connected time.Time // when the present try showed progress first; zero before
	events    []*replicationv1.RunEvent
	sequence  int64
}

func start(a *replicationv1.Assignment, e Engine, tunnels Tunnels, news func(), log *zap.Logger) *run {
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{
		id: a.GetJob().GetJobId(), epoch: a.GetEpoch(), relay: a.GetIncarnation(), job: tunnels.through(jobOf(a), a), retries: int(max(a.GetJob().GetRetry(), a.GetSubscription().GetRetry())), engine: e, news: news,
		finish: make(chan struct{}), desk: verify.NewDesk(),
		log: log.With(zap.String("job", a.GetJob().GetJobId()), zap.Int64("epoch", a.GetEpoch())), cancel: cancel, done: make(chan struct{}), decided: make(chan struct{}, 1),
		state: replicationv1.RunState_RUN_STATE_RUNNING, sequence: a.GetStoredSequence(),
	}
	r.job.Finish, r.job.Verify = r.finish, r.desk
	r.obey(a)
	r.log.Info("starting run")
	go func() {
		defer close(r.done)
		defer cancel()
		r.supervise(ctx)
		r.log.Info("run ended")
	}()
	return r
}

// supervise runs the engine until ctx ends or the job is done.
func (r *run) supervise(ctx context.Context) {
	failures := 0
	for {
		err := r.try(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil && (r.job.Step == string(engine.StepFull) || r.told()) {
			r.finished()
			return
		}
		if err == nil {
			err = errEnded
		}
		if r.worked() >= healthy {
			failures = 0
		}
		failures++
		pause := pauseAfter(failures, r.retries)
		r.fail(err, pause)
		select {
		case <-ctx.Done():
			return
		case <-r.decided:
		case <-time.After(pause):
		}
		r.again()
	}
}

// try runs the engine once; a panic of one job is a failure of that job, not of the node.
func (r *run) try(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("the engine panicked", zap.Any("panic", p), zap.Stack("stack"))
			err = fmt.Errorf("internal error of the engine: %v", p)
		}
	}()
	return r.engine(ctx, r.current(), r)
}

// current is the job with all that was decided about it so far.
func (r *run) current() engine.Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.job
}

// decide takes what operators have said about statements. A run that waits for its next try does not wait on.
func (r *run) decide(all []ddl.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(all, r.job.Decisions) {
		return
	}
	r.job.Decisions = all
	select {
	case r.decided <- struct{}{}:
	default:
	}
}

// obey takes what the manager says of a run that goes on.
func (r *run) obey(a *replicationv1.Assignment) {
	if a.GetFinish() {
		r.ending.Do(func() { close(r.finish) })
	}
	r.decide(decisionsOf(a))
	r.desk.Place(orderOf(a.GetVerify()))
}

// told reports whether the run is to end.
func (r *run) told() bool {
	select {
	case <-r.finish:
		return true
	default:
		return false
	}
}

// pauseAfter is short for the first failures, then doubles up to a bound, with a fifth of chance either way.
func pauseAfter(failures, retries int) time.Duration {
	pause := firstPause
	for range failures - 1 - retries {
		if pause *= 2; pause >= longestPause {
			pause = longestPause
			break
		}
	}
	return time.Duration(float64(pause) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // chance, not a secret
}

// worked is how long the try that just ended has worked.
func (r *run) worked() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connected.IsZero() {
		return 0
	}
	return time.Since(r.connected)
}

// fail notes that the engine failed and when it is started again.
func (r *run) fail(err error, pause time.Duration) {
	r.log.Warn("run failed", zap.Error(err), zap.Duration("pause", pause))
	r.mu.Lock()
	r.state, r.failure, r.stoppedAt = replicationv1.RunState_RUN_STATE_RETRYING, limited(err.Error()), ""
	var stopped *apply.StoppedError
	if errors.As(err, &stopped) {
		r.stoppedAt = stopped.Position
	}
	r.both("Terminated", fmt.Sprintf("Exit Code: 2, Exit Message: %q", err.Error()))
	r.both("Restarting", fmt.Sprintf("Task restarting in %v", pause))
	r.mu.Unlock()
	r.news()
}

// again notes that the engine is started again. The state stays what it is until the engine shows progress.
func (r *run) again() {
	r.mu.Lock()
	r.connected = time.Time{}
	r.both("Started", "Task started by client")
	r.mu.Unlock()
	r.news()
}

func (r *run) finished() {
	r.mu.Lock()
	r.state, r.failure, r.stoppedAt = replicationv1.RunState_RUN_STATE_FINISHED, "", ""
	r.progress.Percent = 100
	r.both("Terminated", `Exit Code: 0`)
	r.mu.Unlock()
	r.news()
}

// Event implements engine.Reporter. What the engine tells shows in the log of the writing side, as dtle's tasks tell it; the stages in both.
func (r *run) Event(kind, message string) {
	r.log.Info("event", zap.String("kind", kind), zap.String("message", message))
	r.mu.Lock()
	if message == string(engine.StepFull) || message == string(engine.StepIncr) {
		r.add("src", "Driver", message)
	}
	r.add("dst", "Driver", message)
	r.mu.Unlock()
	r.news()
}

// Progress implements engine.Reporter. It is what tells that a failed job has recovered.
func (r *run) Progress(p engine.Progress) {
	r.mu.Lock()
	r.progress = p
	if r.connected.IsZero() {
		r.connected = time.Now()
	}
	recovered := r.state == replicationv1.RunState_RUN_STATE_RETRYING && time.Since(r.connected) >= settled
	if recovered {
		r.state, r.failure, r.stoppedAt = replicationv1.RunState_RUN_STATE_RUNNING, "", ""
	}
	r.mu.Unlock()
	if recovered {
		r.news()
	}
}

func (r *run) both(kind, message string) {
	r.add("src", kind, message)
	r.add("dst", kind, message)
}

// add appends an event; the caller holds the lock.
func (r *run) add(target, kind, message string) {
	r.sequence++
	r.events = append(r.events, &replicationv1.RunEvent{
		Sequence: r.sequence, Target: target, EventType: kind, Message: limited(message), Time: timestamppb.Now(),
	})
	if surplus := len(r.events) - maxEvents; surplus > 0 {
		r.events = r.events[surplus:]
	}
}
