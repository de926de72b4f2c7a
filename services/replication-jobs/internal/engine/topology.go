package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// known is what a job remembers when a run begins: where it is, and the snapshots of its copy.
type known struct {
	progress.State

	snapshots []mysql.Position
	start     mysql.Position // behind which the binary log is needed; zero if it is not known yet
}

// startOf is where a job begins to read the binary log, zero if nothing says so yet.
func startOf(state progress.State, copied *progress.Copy) mysql.Position {
	switch {
	case state.Stage == progress.StageStream, !state.Position.IsZero():
		return state.Position
	case copied != nil:
		return copied.Start()
	default:
		return mysql.Position{}
	}
}

// positions are those that a source must be able to go on from.
func (k known) positions() []mysql.Position {
	switch k.Stage {
	case progress.StageStream:
		return []mysql.Position{k.Position}
	case progress.StageCopy:
		if !k.Position.IsZero() {
			return append(k.snapshots, k.Position)
		}
		return k.snapshots
	default:
		return nil
	}
}

// withSource runs work with a source that the job can go on from, while that answers. Where none can be reached, without applies what the relay log holds.
func (r *run) withSource(ctx context.Context, k known, work, without func(context.Context) error) error {
	if err := r.connectSource(ctx, k); err != nil {
		return r.withoutSource(ctx, k, err, without)
	}
	return watched(ctx, "source", r.job.Source, func(ctx context.Context) error {
		source := r.source
		defer context.AfterFunc(ctx, func() { _ = source.Close() })()
		return work(ctx)
	})
}

// connectSource opens the source, or the first of its alternates that can be used, which is the source for the rest of the run.
func (r *run) connectSource(ctx context.Context, k known) error {
	if len(r.job.Alternates) == 0 {
		if err := r.try(ctx, k); err != nil {
			return fmt.Errorf("source: %w", err)
		}
		return nil
	}
	for _, p := range k.positions() {
		if p.GTIDSet == "" {
			return &mysql.Error{Permanent: true, Sentence: "source: the job follows a server without GTIDs, whose positions mean nothing elsewhere: take mysql_addresses out of the job"}
		}
	}
	first := r.job.Source
	var problems []string
	permanent := true
	for _, source := range append([]mysql.Config{first}, r.job.Alternates...) {
		r.job.Source = source
		err := r.try(ctx, k)
		if err == nil {
			if source.Addr() != first.Addr() {
				r.report.event("source", fmt.Sprintf("reading from %s: %s", source.Addr(), strings.Join(problems, "; ")))
			}
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		permanent = permanent && mysql.Permanent(err)
		problems = append(problems, fmt.Sprintf("%s: %v", source.Addr(), err))
	}
	r.job.Source = first
	return &mysql.Error{Permanent: permanent, Sentence: "source: none of its servers can be used: " + strings.Join(problems, "; ")}
}

// try opens the source, and looks at what it must have set and executed.
func (r *run) try(ctx context.Context, k known) error {
	c, err := mysql.Connect(ctx, r.job.Source)
	if err != nil {
		return err
	}
	err = ask(c, func() error {
		if err := checkSource(c); err != nil {
			return err
		}
		return r.checkKnown(c, k)
	})
	if err != nil {
		_ = c.Close() // nothing is open on it
		return err
	}
	r.source = c
	return nil
}

// checkHistory fails if the source cannot go on from a position: it has purged what follows, or does not have what precedes.
func (r *run) checkHistory(source *mysql.Conn, from mysql.Position) error {
	const choices = "let a server answer at %[2]s, or at one of mysql_addresses, that has it, or let the job copy anew (POST /v2/job/{type}/full_copy)"
	missing, err := source.Flavor.Missing(source, from)
	if err != nil {
		return err
	}
	address := source.Config.Addr()
	if missing != "" {
		return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf("%[1]s: "+choices, missing, address) + r.otherRelay()}
	}
	lacking, err := source.Flavor.Lacks(source, from)
	if err != nil {
		return err
	}
	if lacking != "" {
		return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
			"the server at %[2]s has never executed %[1]s, which the job has replicated: it was restored from a backup, reset, is behind or another server; "+
				choices, lacking, address)}
	}
	return nil
}
