package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

const (
	defaultChunkSize = 2000
	copyReaders      = 2
	minCopyWriters   = 4
	minQueue         = 4096
	watchEvery       = 3 * time.Second
	watchPatience    = 20 * time.Second
)

// run is one run of a job.
type run struct {
	job     Job
	log     *zap.Logger
	report  *report
	mapping *mapping.Mapping
	// source and target are for short questions and for the job's own state; rows travel through other sessions.
	source, target *mysql.Conn
}

// Run runs the job until ctx ends, which pauses it, or until a job of StepFull is done, which returns nil. Errors are in words for
// the operator; mysql.Permanent tells those that trying again cannot cure, and progress.ErrFenced says that a later run owns
// the job.
func Run(ctx context.Context, job Job, reporter Reporter, log *zap.Logger) error {
	r := &run{job: job, log: log, report: newReport(reporter)}
	work := r.run
	if job.Subscription != nil {
		work = r.subscribe
	}
	if err := work(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return mysql.Explain(err)
	}
	return nil
}

func (r *run) run(ctx context.Context) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	defer r.disconnect()
	state, err := progress.Claim(r.target, r.job.ID, r.job.Incarnation, r.job.Epoch)
	if err != nil {
		return err
	}
	stop := r.report.start(ctx)
	defer stop()
	if err := r.replicate(ctx, state); err != nil {
		return r.fenced(err)
	}
	return nil
}

// replicate goes through the stages that are left.
func (r *run) replicate(ctx context.Context, state progress.State) error {
	var err error
	if state.Stage != progress.StageStream {
		if state.Position, err = r.reachStream(ctx, state.Stage); err != nil {
			return err
		}
	}
	copied, err := progress.LoadCopy(r.target, r.job.ID)
	if err != nil {
		return err
	}
	if Step(r.job.Step) == StepFull {
		return r.settle(ctx, state.Position, copied, r.stream)
	}
	return r.stream(ctx, state.Position, copied)
}

// fenced returns progress.ErrFenced instead of an error that comes from a later run being at work on the same tables, such as a row
// that exists already.
func (r *run) fenced(err error) error {
	owner := r.ask(func() error { return progress.CheckOwner(r.target, r.job.ID, r.job.Epoch) })
	if errors.Is(owner, progress.ErrFenced) {
		return progress.ErrFenced
	}
	return err
}

// connect opens both ends and looks at what the source must have set.
func (r *run) connect(ctx context.Context) error {
	if r.job.Source.Addr() == r.job.Target.Addr() {
		return &mysql.Error{Sentence: "source and target are the same server, " + r.job.Source.Addr(), Permanent: true}
	}
	err := r.connectSource(ctx)
	if err != nil {
		return err
	}
	if r.target, err = mysql.Connect(ctx, r.job.Target); err != nil {
		r.disconnect()
		return fmt.Errorf("target: %w", err)
	}
	if err := progress.Ensure(r.target); err != nil {
		r.disconnect()
		return fmt.Errorf("target: %w", err)
	}
	return nil
}

// connectSource opens the source and looks at what it must have set.
func (r *run) connectSource(ctx context.Context) error {
	var err error
	if r.mapping, err = mapping.New(r.job.Do, r.job.Ignore); err != nil {
		return &mysql.Error{Sentence: err.Error(), Permanent: true}
	}
	if r.source, err = mysql.Connect(ctx, r.job.Source); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := checkSource(r.source); err != nil {
		r.disconnect()
		return fmt.Errorf("source: %w", err)
	}
	return nil
}

func (r *run) disconnect() {
	for _, c := range []*mysql.Conn{r.source, r.target} {
		if c != nil {
			_ = c.Close() // nothing is open on it
		}
	}
}

// reachStream does what comes before streaming, and returns where that starts: behind a copy, or at the position that the job asks for.
func (r *run) reachStream(ctx context.Context, stage progress.Stage) (mysql.Position, error) {
	var start mysql.Position
	var mapped mapping.Change // a copy has recorded its tables itself
	var err error
	if stage == progress.StageCopy || r.wantsCopy() {
		start, err = r.copy(ctx)
	} else {
		start, mapped, err = r.chooseStart()
	}
	if err != nil {
		return start, err
	}
	rec, err := progress.NewRecorder(r.target, r.job.ID, r.job.Epoch)
	if err != nil {
		return start, err
	}
	return start, r.target.Transaction(func() error {
		if err := rec.ChangeMapping(mapped); err != nil {
			return err
		}
		return rec.SetStage(progress.StageStream, start)
	})
}

// wantsCopy reports whether a job without progress begins with a copy: one that is told where in the binary log to start does not.
func (r *run) wantsCopy() bool {
	switch Step(r.job.Step) {
	case StepFull:
		return true
	case StepIncr:
		return false
	}
	return r.job.StartGTID == "" && !r.job.AutoGTID
}

func (r *run) copy(ctx context.Context) (mysql.Position, error) {
	copier := fullcopy.New(fullcopy.Options{
		Source: r.job.Source, Target: r.job.Target, JobID: r.job.ID, Epoch: r.job.Epoch, Mapping: r.mapping,
		ChunkSize: cmp.Or(r.job.ChunkSize, defaultChunkSize), Readers: copyReaders, Writers: max(r.job.ParallelWorkers, minCopyWriters),
		DropTableIfExists: r.job.DropTableIfExists, SkipCreate: r.job.SkipCreateDBTable,
		Event: r.report.event, Log: r.log,
	})
	r.report.copying(copier)
	copied, err := copier.Run(ctx)
	if err != nil {
		return mysql.Position{}, err
	}
	return copied.Start(), nil
}

// settle ends a job that only copies. A copy that was interrupted holds rows of several moments: the binary log between the first and
// the last of them makes it whole.
func (r *run) settle(ctx context.Context, start mysql.Position, copied *progress.Copy, stream streamer) error {
	if len(copied.Snapshots) == 0 {
		return nil
	}
	goal, err := mysql.ParsePoint(r.source.Flavor, copied.Snapshots[len(copied.Snapshots)-1])
	if err != nil {
		return err
	}
	if reached(r.source.Flavor, start, goal) {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.report.onTick(func(p Progress) {
		if reached(r.source.Flavor, p.Executed, goal) {
			cancel(errSettled)
		}
	})
	if err := stream(ctx, start, copied); !errors.Is(context.Cause(ctx), errSettled) {
		return err
	}
	return nil
}

// streamer follows the binary log from start on until ctx ends.
type streamer func(ctx context.Context, start mysql.Position, copied *progress.Copy) error

var errSettled = errors.New("the copy is whole")

// reached reports whether what was executed at p includes the goal. A position that cannot be parsed has not reached anything.
func reached(flavor mysql.Flavor, p mysql.Position, goal mysql.Point) bool {
	at, err := mysql.ParsePoint(flavor, p)
	return err == nil && at.Covers(goal)
}

// stream applies the binary log from start on until ctx ends.
func (r *run) stream(ctx context.Context, start mysql.Position, copied *progress.Copy) error {
	zone, err := systemZone(r.source)
	if err != nil {
		return err
	}
	handover, err := copied.Handover(r.source.Flavor)
	if err != nil {
		return err
	}
	stream, err := r.open(ctx, start)
	if err != nil {
		return err
	}
	defer stream.Close()
	applier := apply.New(apply.Config{
		Target: r.job.Target, Job: r.job.ID, Epoch: r.job.Epoch, Flavor: r.source.Flavor, Start: start,
		Mapping: r.mapping, Handover: handover, Merge: r.job.Merge, Workers: r.job.ParallelWorkers, Decisions: r.job.Decisions, SystemZone: zone, Event: r.report.event, Logger: r.log,
	})
	r.report.streaming(stream, applier, r.queue(), copied.Rows())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.watch(ctx) })
	group.Go(func() error { return r.finish(ctx, applier) })
	group.Go(func() error {
		if err := applier.Run(ctx, stream.Transactions()); err != nil {
			return err
		}
		return cmp.Or(stream.Err(), context.Cause(ctx), errStreamEnded)
	})
	if err := group.Wait(); !errors.Is(err, errFinished) {
		return err
	}
	return r.end()
}

// watch asks the target now and then whether it is there: while nothing changes at the source nobody else does.
func (r *run) watch(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		err := r.ask(func() error {
			_, err := r.target.Execute("DO 1")
			return err
		})
		if err != nil {
			return fmt.Errorf("target %s: %w", r.job.Target.Addr(), mysql.Explain(err))
		}
	}
}

// ask puts a short question to the target, and hangs up if it does not answer.
func (r *run) ask(question func() error) error {
	defer time.AfterFunc(watchPatience, func() { _ = r.target.Close() }).Stop()
	return question()
}

// errStreamEnded is for an end of the stream that nobody has asked for and nothing explains.
var errStreamEnded = errors.New("the source ended the binary log stream")
