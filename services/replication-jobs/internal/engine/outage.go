package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/debezium"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// facts are what a run must know of its source besides the log. They are noted beside the relay log: what that holds can then be applied while the
// source is away.
type facts struct {
	// Version is that of the server.
	Version string
	// Origin is the name of the source, which all carries that is written to the target.
	Origin string
	// Zone is the server's own time zone.
	Zone string
	// Collations are for messages.
	Collations debezium.Collations
}

func (f facts) flavor() mysql.Flavor { return mysql.Detect(f.Version) }

// learn keeps the facts of the source.
func (r *run) learn(f facts) error {
	r.facts = f
	if r.relay == nil {
		return nil
	}
	return r.relay.Note(f)
}

// errSourceBack ends a run without its source, since that can be reached again.
var errSourceBack = errors.New("the source is back")

// withoutSource has what the relay log holds applied while the source cannot be reached. It returns why it cannot be, and errSourceBack once it can.
func (r *run) withoutSource(ctx context.Context, k known, away error, apply func(context.Context) error) error {
	if ctx.Err() != nil || mysql.Permanent(away) || k.Stage != progress.StageStream {
		return away
	}
	held, err := r.held(k.start)
	if err != nil {
		return err
	}
	if !held {
		return away
	}
	applied := fmt.Errorf("%w; what the relay log holds is applied, as far as %s", away, r.relay.End())
	if !r.relay.Exceeds(k.start) {
		return applied
	}
	if err := r.relay.Noted(&r.facts); err != nil {
		r.log.Warn("the relay log is not applied before the source is back", zap.Error(err))
		return away
	}
	r.relay.Abandon(applied)
	r.report.event("relay", fmt.Sprintf("the source cannot be reached, applying what the relay log holds, as far as %s: %v", r.relay.End(), away))
	stop := r.report.alone(ctx)
	defer stop()
	return r.untilBack(ctx, apply)
}

// untilBack applies until a server of the source can be reached again.
func (r *run) untilBack(ctx context.Context, apply func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	waiting, done := context.WithCancel(ctx)
	group.Go(func() error {
		if r.awaitSource(waiting) {
			return errSourceBack
		}
		return nil
	})
	group.Go(func() error {
		defer done()
		return apply(ctx)
	})
	return group.Wait()
}

// awaitSource waits until a server of the source lets the job in, or ctx ends.
func (r *run) awaitSource(ctx context.Context) (back bool) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
		for _, source := range append([]mysql.Config{r.job.Source}, r.job.Alternates...) {
			c, err := mysql.Connect(ctx, source)
			if err == nil {
				_ = c.Close() // nothing is open on it
				return true
			}
		}
	}
}
