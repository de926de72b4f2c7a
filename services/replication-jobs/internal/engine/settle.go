package engine

import (
	"context"
	"errors"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// settle ends a job that only copies. A copy that was interrupted holds rows of several moments: the binary log between the first and
// the last of them makes it whole.
func (r *run) settle(ctx context.Context, start mysql.Position, copied *progress.Copy, stream streamer) error {
	if len(copied.Snapshots) == 0 {
		return nil
	}
	goal, err := mysql.ParsePoint(r.facts.flavor(), copied.Snapshots[len(copied.Snapshots)-1])
	if err != nil {
		return err
	}
	if reached(r.facts.flavor(), start, goal) {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.report.onTick(func(p Progress) {
		if reached(r.facts.flavor(), p.Executed, goal) {
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
