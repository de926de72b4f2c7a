package apply

import (
	"context"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// flush hands over what is there and waits until the executor has taken it.
func (b *builder) flush(ctx context.Context) error {
	if b.batch == nil {
		return nil
	}
	b.choose()
	if err := b.ready(ctx); err != nil {
		return err
	}
	return b.send(ctx)
}

// choose moves on to the next executor while the one before is at work on a transaction. A target that keeps up is thus written to by one session,
// whose thread and memory the server has at hand.
func (b *builder) choose() {
	if b.handed && b.flight.last() != nil {
		b.turn, b.handed = (b.turn+1)%len(b.executors), false
	}
}

func (b *builder) executor() *executor { return b.executors[b.turn] }

// ready waits for the chosen executor.
func (b *builder) ready(ctx context.Context) error {
	select {
	case <-b.executor().ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle waits until all that was handed over has taken effect.
func (b *builder) settle(ctx context.Context) error {
	last := b.flight.last()
	if last == nil {
		return nil
	}
	select {
	case <-last.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *builder) send(ctx context.Context) error {
	if err := b.batch.seal(); err != nil {
		return err
	}
	if err := b.applier.cfg.Pace.Wait(ctx, b.batch.rows, b.batch.bytes); err != nil {
		return err
	}
	u := &unit{
		early: b.batch.early, statements: b.batch.statements, first: b.batch.first, last: b.batch.last, touched: b.batch.touched, alone: b.batch.alone,
		large: b.batch.large(),
		applied: progress.Applied{
			Position:   b.position(b.batch.end),
			SourceTime: b.batch.time, Transactions: b.batch.transactions, Rows: b.batch.rows,
		},
	}
	if history := b.applier.cfg.History; history > 0 && b.batch.remembered() > 2*history {
		u.touched, u.alone = nil, true
	}
	b.batch, b.hurry = nil, false
	return b.hand(ctx, u)
}

// hand gives a unit to the chosen executor. The parts of a transaction go to the same one.
func (b *builder) hand(ctx context.Context, u *unit) error {
	b.flight.add(u)
	select {
	case b.executor().work <- u:
		b.handed = u.last
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *builder) position(end mysql.Position) mysql.Position {
	end.GTIDSet = b.executed.String()
	return end
}
