package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

const (
	// quiet is how long the source must not have changed what is replicated before a run that is to finish does.
	quiet = 2 * time.Second
	// finishEvery is how often a run that is to finish looks whether all is applied.
	finishEvery = 50 * time.Millisecond
)

// errFinished ends a run that was told to finish.
var errFinished = errors.New("the run has finished")

// finish waits until the run is told to finish and may, and then returns errFinished. The applier goes on meanwhile: the writers of the
// source need not have stopped when somebody asks for the end.
func (r *run) finish(ctx context.Context, applier *apply.Applier) error {
	select {
	case <-r.job.Finish: // blocks for ever when it is nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.report.event("finish", "finishing: waiting until the source writes no more to what is replicated")
	source, err := mysql.Connect(ctx, r.job.Source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer func() { _ = source.Close() }() // nothing is open on it
	seen := int64(-1)
	for told := false; ; {
		changes, err := reach(ctx, source, applier)
		switch {
		case err != nil:
			return err
		case changes == seen:
			return errFinished
		case seen >= 0 && !told:
			told = true
			r.report.event("finish", "the source still writes to what is replicated: stop the writers")
		}
		seen = changes
		if err := pause(ctx, quiet); err != nil {
			return err
		}
	}
}

// reach waits until all that the source has logged by now is applied, and returns how many changes of what is replicated that makes.
func reach(ctx context.Context, source *mysql.Conn, applier *apply.Applier) (int64, error) {
	at, err := source.Flavor.CurrentPosition(source)
	if err != nil {
		return 0, fmt.Errorf("source: %w", mysql.Explain(err))
	}
	goal, err := mysql.ParsePoint(source.Flavor, at)
	if err != nil {
		return 0, err
	}
	for {
		s := applier.Stats()
		if reached(source.Flavor, s.Position, goal) {
			return s.Rows + s.Definitions, nil
		}
		if err := pause(ctx, finishEvery); err != nil {
			return 0, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end tells where the target's binary log stands after the last commit of the run: there another job begins that replicates back.
func (r *run) end(ctx context.Context) error {
	target, err := mysql.Connect(ctx, r.job.Target)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	defer func() { _ = target.Close() }() // nothing is open on it
	at, err := target.Flavor.CurrentPosition(target)
	if err != nil {
		return fmt.Errorf("target: %w", mysql.Explain(err))
	}
	if at.GTIDSet == "" {
		return &mysql.Error{Permanent: true, Sentence: "the target logs no GTIDs, without which no job can replicate back from where this one ends: set gtid_mode=ON there"}
	}
	if err := r.ended(target); err != nil {
		return err
	}
	r.report.ended(at)
	r.report.event("finish", "finished: the target stands at "+at.String())
	return nil
}

// ended records that the job writes no more: another one may then go on with its tables.
func (r *run) ended(target *mysql.Conn) error {
	rec, err := progress.NewRecorder(target, r.job.ID, r.job.Epoch)
	if err != nil {
		return err
	}
	return mysql.Explain(target.Transaction(rec.End))
}
