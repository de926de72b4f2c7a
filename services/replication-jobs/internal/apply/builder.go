package apply

import (
	"context"
	"errors"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// builder turns the stream into units while the executors are busy with those before.
type builder struct {
	applier   *Applier
	executors []*executor
	turn      int // of the executor that gets the next transaction
	flight    flight
	stream    <-chan *binlog.Transaction
	executed  gomysql.GTIDSet // after everything built so far
	handover  *progress.Handover
	tables    *catalog
	register  *mapping.Register
	batch     *batch
	hurry     bool // store the position even if no row changed
}

// run reads until the stream is closed. What has arrived is merged up to the limit; a unit is handed over when nothing else is under way,
// so that units grow with the backlog and without one hold a single transaction. Full ones need not wait for that when there are several
// executors.
func (b *builder) run(ctx context.Context) error {
	defer b.tables.close()
	tick := time.NewTicker(idleSave)
	defer tick.Stop()
	for {
		stream, ready := b.stream, b.executor().ready
		var settled chan struct{}
		switch {
		case b.batch == nil:
			ready = nil
		case b.full():
			stream = nil
			if err := b.batch.seal(); err != nil {
				return err
			}
		case len(stream) > 0 || b.batch.idle() && !b.hurry:
			ready = nil
		default:
			if last := b.flight.last(); last != nil {
				ready, settled = nil, last.done
			}
		}
		select {
		case t, open := <-stream:
			if !open {
				return b.flush(ctx)
			}
			if err := b.take(ctx, t); err != nil {
				return err
			}
		case <-ready:
			if err := b.send(ctx); err != nil {
				return err
			}
		case <-settled:
		case <-tick.C:
			b.hurry = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *builder) full() bool {
	return b.batch.transactions >= int64(b.applier.cfg.Merge) || b.batch.bytes >= mergeBytes || !b.batch.last
}

// take adds a transaction or a part. A part of a large one begins a unit of its own.
func (b *builder) take(ctx context.Context, t *binlog.Transaction) error {
	defer t.Release()
	again, err := b.again(t)
	if err != nil {
		return err
	}
	if again {
		if !t.Last {
			return nil
		}
		t.Changes, t.Definition, t.First = nil, nil, true
	}
	alone := t.Definition != nil || !t.First || !t.Last
	if alone && b.batch != nil {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	at, err := b.point(t)
	if err != nil {
		return err
	}
	if t.Definition != nil {
		return b.define(ctx, t, at)
	}
	if b.batch == nil {
		b.batch = newBatch(&b.flight)
		b.batch.first = t.First
	}
	for _, rows := range t.Changes {
		if err := b.add(ctx, rows, at); err != nil {
			return err
		}
	}
	b.batch.bytes += t.Bytes
	b.batch.time, b.batch.end, b.batch.last = t.Timestamp, t.Position, t.Last
	if t.Last {
		return b.finish(t, at)
	}
	return nil
}

// again reports whether the transaction was executed before. As with a replica of MySQL, it has no effect then: what the source sends
// is up to the source. MariaDB's positions cannot tell, they hold the last number of each domain only.
func (b *builder) again(t *binlog.Transaction) (bool, error) {
	if t.GTID == "" || b.applier.cfg.Flavor.Name() != gomysql.MySQLFlavor {
		return false, nil
	}
	gtid, err := b.applier.cfg.Flavor.ParseGTIDSet(t.GTID)
	return err == nil && b.executed.Contain(gtid), err
}

// point is the place of a transaction, as far as a copy makes it matter.
func (b *builder) point(t *binlog.Transaction) (mysql.Point, error) {
	if b.handover == nil {
		return mysql.Point{}, nil
	}
	return b.handover.Point(t.GTID, t.Position)
}

func (b *builder) add(ctx context.Context, rows *binlog.Rows, at mysql.Point) error {
	mode := b.handover.Mode(rows.Schema, rows.Table, at)
	if mode == progress.Skip {
		return nil
	}
	table, err := b.tables.table(ctx, rows)
	if errors.Is(err, mysql.ErrNoTable) && isSequence(rows) {
		b.applier.event("sequence_ignored", "sequence %s.%s does not exist at the target: its values are not replicated", rows.Schema, rows.Table)
		return nil
	}
	if err != nil {
		return err
	}
	return b.batch.add(table, mode, rows)
}

// finish counts a complete transaction.
func (b *builder) finish(t *binlog.Transaction, at mysql.Point) error {
	b.batch.transactions++
	return b.executes(t.GTID, at)
}

func (b *builder) executes(gtid string, at mysql.Point) error {
	if b.handover.Passed(at) {
		b.handover = nil
	}
	if gtid == "" {
		return nil
	}
	return b.executed.Update(gtid)
}

// flush hands over what is there and waits until the executor has taken it.
func (b *builder) flush(ctx context.Context) error {
	if b.batch == nil {
		return nil
	}
	if err := b.ready(ctx); err != nil {
		return err
	}
	return b.send(ctx)
}

func (b *builder) executor() *executor { return b.executors[b.turn] }

// ready waits for the executor whose turn it is.
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
	u := &unit{
		early: b.batch.early, statements: b.batch.statements, first: b.batch.first, last: b.batch.last, touched: b.batch.touched, alone: b.batch.alone,
		applied: progress.Applied{
			Position:   b.position(b.batch.end),
			SourceTime: b.batch.time, Transactions: b.batch.transactions, Rows: b.batch.rows,
		},
	}
	b.batch, b.hurry = nil, false
	return b.hand(ctx, u)
}

// hand gives a unit to the executor whose turn it is. The parts of a transaction go to the same one.
func (b *builder) hand(ctx context.Context, u *unit) error {
	b.flight.add(u)
	select {
	case b.executor().work <- u:
		if u.last {
			b.turn = (b.turn + 1) % len(b.executors)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *builder) position(end mysql.Position) mysql.Position {
	end.GTIDSet = b.executed.String()
	return end
}
