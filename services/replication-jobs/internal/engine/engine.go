package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/origin"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/pace"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
)

const (
	defaultChunkSize = 2000
	copyReaders      = 2
	minCopyWriters   = 4
	minQueue         = 4096
)

// run is one run of a job.
type run struct {
	job     Job
	log     *zap.Logger
	report  *report
	mapping *mapping.Mapping
	pace    *pace.Pace
	// source and target are for short questions and for the job's own state; rows travel through other sessions.
	source, target *mysql.Conn
	// facts are those of the source.
	facts facts
	// leaveOut are the names of the target, which what other jobs have brought from there carries.
	leaveOut []string
	// relay is the job's relay log, nil without one; writing is what writes it.
	relay   *relay.Log
	writing *writing
}

// Run runs the job until ctx ends, which pauses it, or until a job of StepFull is done, which returns nil. Errors are in words for
// the operator; mysql.Permanent tells those that trying again cannot cure, and progress.ErrFenced says that a later run owns
// the job.
func Run(ctx context.Context, job Job, reporter Reporter, log *zap.Logger) error {
	for {
		if err := begin(ctx, job, reporter, log); !errors.Is(err, errSourceBack) {
			return err
		}
	}
}

// begin runs the job with what is known of it and of its servers at the time.
func begin(ctx context.Context, job Job, reporter Reporter, log *zap.Logger) error {
	r := &run{job: job, log: log, report: newReport(reporter), pace: pace.New(job.MaxRowsPerSecond, job.MaxBytesPerSecond)}
	work := r.run
	if job.Subscription != nil {
		work = r.subscribe
	}
	if err := r.withRelay(ctx, work); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return mysql.Explain(err)
	}
	return r.removeRelay()
}

func (r *run) run(ctx context.Context) error {
	if err := r.prepare(); err != nil {
		return err
	}
	defer r.disconnect()
	return watched(ctx, "target", r.job.Target, func(ctx context.Context) error {
		state, err := r.claim(ctx)
		if err != nil {
			return err
		}
		with := func(ctx context.Context) error {
			if err := r.identify(); err != nil {
				return err
			}
			stop := r.report.start(ctx)
			defer stop()
			return r.fenced(r.replicate(ctx, state))
		}
		without := func(ctx context.Context) error {
			if r.leaveOut, err = origin.Names(r.target); err != nil {
				return fmt.Errorf("target: %w", err)
			}
			return r.fenced(r.stages(ctx, state))
		}
		return r.withSource(ctx, state, with, without)
	})
}

// replicate goes through the stages that are left, and through the copy again where a statement has torn what was copied.
func (r *run) replicate(ctx context.Context, state known) error {
	for {
		err := r.stages(ctx, state)
		var torn *apply.TornError
		if !errors.As(err, &torn) {
			return err
		}
		if state, err = r.copyAgain(ctx, torn); err != nil {
			return err
		}
	}
}

// copyAgain takes the job back to its copy, for the tables that were torn.
func (r *run) copyAgain(ctx context.Context, torn *apply.TornError) (known, error) {
	rec, err := progress.NewRecorder(r.target, r.job.ID, r.job.Epoch)
	if err != nil {
		return known{}, err
	}
	if err := r.target.Transaction(func() error { return rec.CopyAgain(torn.Tables) }); err != nil {
		return known{}, mysql.Explain(err)
	}
	r.report.event("copy", torn.Error())
	k, err := r.known()
	if err != nil {
		return k, err
	}
	return k, r.connectSource(ctx, k)
}

// stages goes through the stages that are left.
func (r *run) stages(ctx context.Context, state known) error {
	var err error
	if state.Stage != progress.StageStream {
		if state.Position, err = r.reachStream(ctx, state); err != nil {
			return err
		}
	}
	copied, err := progress.LoadCopy(r.target, r.job.ID)
	if err != nil {
		return err
	}
	if Step(r.job.Step) == StepFull {
		if err := r.settle(ctx, state.Position, copied, r.stream); err != nil {
			return err
		}
		if err := r.createObjects(ctx); err != nil {
			return err
		}
		return r.ended(r.target)
	}
	return r.stream(ctx, state.Position, copied)
}

// fenced returns progress.ErrFenced instead of an error that comes from a later run being at work on the same tables, such as a row
// that exists already.
func (r *run) fenced(err error) error {
	if err == nil || r.target == nil {
		return err
	}
	owner := ask(r.target, func() error { return progress.CheckOwner(r.target, r.job.ID, r.job.Epoch) })
	if errors.Is(owner, progress.ErrFenced) {
		return progress.ErrFenced
	}
	return err
}

// reachStream does what comes before streaming, and returns where that starts: behind a copy, where the job was before it was taken back to
// that, or at the position that the job asks for.
func (r *run) reachStream(ctx context.Context, state known) (mysql.Position, error) {
	start := state.Position
	var own []ddl.Name // a copy has recorded its tables itself
	var mapped mapping.Change
	var err error
	if state.Stage == progress.StageNew {
		if r.job.SourceDependency {
			r.report.event("warning", NoDependency)
		}
		if err := r.nameObjects(); err != nil {
			return start, err
		}
	}
	if state.Stage == progress.StageCopy || r.wantsCopy() {
		err = r.relayed(ctx, state.start, func(ctx context.Context) error {
			copied, err := r.copy(ctx)
			if err == nil && start.IsZero() {
				start = copied.Start()
			}
			return err
		})
	} else if start, own, mapped, err = r.chooseStart(); err == nil {
		err = r.refuseShared(own)
	}
	if err != nil {
		return start, err
	}
	rec, err := progress.NewRecorder(r.target, r.job.ID, r.job.Epoch)
	if err != nil {
		return start, err
	}
	return start, r.target.Transaction(func() error {
		if err := rec.PutOwn(own); err != nil {
			return err
		}
		if err := rec.ChangeMapping(mapped); err != nil {
			return err
		}
		return rec.BeginStream(start)
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

func (r *run) copy(ctx context.Context) (*progress.Copy, error) {
	copier := fullcopy.New(fullcopy.Options{
		// As the first sessions were opened: what is preferred is tried once, not by each of them.
		Source: r.source.Config, Target: r.target.Config, JobID: r.job.ID, Epoch: r.job.Epoch, Mapping: r.mapping,
		ChunkSize: cmp.Or(r.job.ChunkSize, defaultChunkSize), Readers: copyReaders, Writers: max(r.job.ParallelWorkers, minCopyWriters),
		DropTableIfExists: r.job.DropTableIfExists, SkipCreate: r.job.SkipCreateDBTable, Origin: r.facts.Origin, Pace: r.pace,
		Objects: r.job.Objects,
		Event:   r.report.event, Log: r.log,
	})
	r.report.copying(copier)
	return copier.Run(ctx)
}

// stream applies the binary log from start on until ctx ends.
func (r *run) stream(ctx context.Context, start mysql.Position, copied *progress.Copy) error {
	handover, err := copied.Handover(r.facts.flavor())
	if err != nil {
		return err
	}
	stream, err := r.open(ctx, start)
	if err != nil {
		return err
	}
	defer stream.Close()
	applier := apply.New(apply.Config{
		Target: r.target.Config, Job: r.job.ID, Epoch: r.job.Epoch, Flavor: r.facts.flavor(), Start: start,
		Mapping: r.mapping, Origin: r.facts.Origin, Handover: handover, Decisions: r.job.Decisions, SystemZone: r.facts.Zone,
		Merge: r.job.Merge, GroupBytes: r.job.GroupBytes, GroupTimeout: r.job.GroupTimeout, Workers: r.job.ParallelWorkers, History: r.job.History,
		Pace: r.pace, Conflicts: apply.Policy(r.job.Conflicts), Objects: r.job.Objects, Arrived: r.createObjects, Event: r.report.event, Logger: r.log,
	})
	r.report.streaming(stream, applier, r.queue(), copied.Rows())
	group, working := errgroup.WithContext(ctx)
	if r.source != nil { // else the end waits until it is back, as does verification
		group.Go(func() error { return r.finish(working, applier) })
	}
	if r.source != nil && r.job.Verify != nil {
		group.Go(func() error { return r.verify(working, stream, applier) })
	}
	group.Go(func() error {
		if err := applier.Run(working, stream.Transactions()); err != nil {
			return err
		}
		return cmp.Or(stream.Err(), context.Cause(working), errStreamEnded)
	})
	if err := group.Wait(); !errors.Is(err, errFinished) {
		return err
	}
	return r.end(ctx)
}

// errStreamEnded is for an end of the stream that nobody has asked for and nothing explains.
var errStreamEnded = errors.New("the source ended the binary log stream")
