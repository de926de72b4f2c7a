package engine

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
)

// writing is a relay log that is being written.
type writing struct {
	// ended is done when nothing more is written; its cause says why.
	ended context.Context //nolint:containedctx // what ends with it was begun by others
	done  chan struct{}
}

// withRelay does the work of a run with the job's relay log open, if the job has one.
func (r *run) withRelay(ctx context.Context, work func(context.Context) error) (err error) {
	if r.job.Relay == nil {
		return work(ctx)
	}
	r.relay, err = relay.Open(relay.Options{
		Store: r.job.Relay.Store, Incarnation: r.job.Incarnation, MaxBytes: r.job.Relay.MaxBytes, Event: r.report.event, Logger: r.log,
	})
	if err != nil {
		return err
	}
	r.report.relaying(r.relay)
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		if r.writing != nil {
			<-r.writing.done
		}
		closed := r.relay.Close()
		if err == nil {
			err = closed
		} else if closed != nil { // which the next run makes good
			r.log.Warn("closing the relay log", zap.Error(closed))
		}
	}()
	return work(ctx)
}

// removeRelay deletes the relay log of a job that is done.
func (r *run) removeRelay() error {
	if r.job.Relay == nil {
		return nil
	}
	return r.job.Relay.Store.Remove(r.job.Incarnation)
}

// writeRelay has the relay log written, unless it already is: behind what it has, if that joins on to a position, and else from there on.
func (r *run) writeRelay(ctx context.Context, from mysql.Position) error {
	if r.writing != nil {
		return nil
	}
	held, err := r.relay.Holds(from)
	if err != nil {
		return err
	}
	if !held {
		if err := r.checkHistory(r.source, from); err != nil {
			return fmt.Errorf("source: %w", err)
		}
		if err := r.relay.Reset(from, r.source.Version); err != nil {
			return err
		}
	}
	ended, end := context.WithCancelCause(ctx)
	r.writing = &writing{ended: ended, done: make(chan struct{})}
	source := r.source.Config
	r.report.event("relay", fmt.Sprintf("reading the binary log of %s into the relay log, from %s", source.Addr(), r.relay.End()))
	go func() {
		defer close(r.writing.done)
		end(r.relay.Follow(ended, source, r.report.executed))
	}()
	return nil
}

// relayed does a copy while the relay log is written behind a position, that of the source if it is zero. The copy ends if the log cannot be written:
// it would be for nothing if the source purges what follows.
func (r *run) relayed(ctx context.Context, from mysql.Position, copy func(context.Context) error) error {
	if r.relay == nil {
		return copy(ctx)
	}
	if from.IsZero() {
		var err error
		if from, err = r.source.Flavor.CurrentPosition(r.source); err != nil {
			return fmt.Errorf("source: %w", mysql.Explain(err))
		}
	}
	if err := r.writeRelay(ctx, from); err != nil {
		return err
	}
	copying, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.writing.ended, func() { cancel(context.Cause(r.writing.ended)) })()
	err := copy(copying)
	if err != nil && r.writing.ended.Err() != nil {
		return context.Cause(r.writing.ended)
	}
	return err
}

// checkKnown fails if the source cannot go on from where the job is: from the end of its relay log, if there is one that holds what the job needs.
// The log of another history, of a source that was lost, gives way to a new one.
func (r *run) checkKnown(c *mysql.Conn, k known) error {
	if r.writing != nil { // it goes on, and stops by itself where it cannot
		return nil
	}
	held, err := r.held(k.start)
	if err != nil {
		return err
	}
	if held {
		end := r.relay.End()
		lacking, err := c.Flavor.Lacks(c, end)
		if err != nil {
			return err
		}
		if lacking == "" {
			return r.checkHistory(c, end)
		}
		r.log.Info("the source has not executed what the relay log holds: it begins anew")
		if err := r.checkHistory(c, k.start); err != nil {
			return err
		}
		return r.relay.Reset(k.start, c.Version)
	}
	for _, p := range k.positions() {
		if err := r.checkHistory(c, p); err != nil {
			return err
		}
	}
	return nil
}

// held reports whether the job has a relay log with all that follows a position.
func (r *run) held(from mysql.Position) (bool, error) {
	if r.relay == nil || from.IsZero() {
		return false, nil
	}
	return r.relay.Holds(from)
}

// otherRelay says which other node has a relay log of the job, for a source that has purged what the job needs.
func (r *run) otherRelay() string {
	if r.job.Relay == nil || r.job.Relay.Elsewhere == "" {
		return ""
	}
	return fmt.Sprintf("; the worker node %s still has a relay log of the job: it goes on where it runs there (src_task.node_id)", r.job.Relay.Elsewhere)
}
