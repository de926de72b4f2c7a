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
	turn      int  // of the executor that gets the next unit
	handed    bool // it has been given the whole of a transaction
	flight    flight
	stream    <-chan *binlog.Transaction
	executed  gomysql.GTIDSet // after everything built so far
	handover  *progress.Handover
	tables    *catalog
	register  *mapping.Register
	batch     *batch
	hurry     bool                // store the position even if no row changed
	returned  bool                // the operator knows that transactions are left out
	inside    bool                // a transaction that comes in parts is not complete
	next      *binlog.Transaction // what the gate has not let through
	// arrived is to be called when what the handover speaks of is applied.
	arrived func(context.Context) error
}

// run reads until the stream is closed. What has arrived is merged up to the limit; a unit is handed over when nothing else is under way,
// so that units grow with the backlog and without one hold a single transaction. Full ones need not wait for that when there are several
// executors.
func (b *builder) run(ctx context.Context) error {
	defer b.tables.close()
	tick := time.NewTicker(idleSave)
	defer tick.Stop()
	for {
		held := b.applier.gate.now()
		if admitted, err := b.admit(ctx, held); err != nil {
			return err
		} else if admitted {
			continue
		}
		stream, ready := b.stream, b.executor().ready
		if b.next != nil || held.stops() && !b.inside {
			stream = nil
		}
		var settled chan struct{}
		var gathered <-chan time.Time
		switch {
		case b.batch == nil:
			ready = nil
		case b.full():
			stream = nil
			if err := b.batch.seal(); err != nil {
				return err
			}
			b.choose()
			ready = b.executor().ready
		case len(stream) > 0 || b.batch.idle() && !b.hurry && !held.closed:
			ready = nil
		case b.patience() > 0 && !held.closed:
			ready, gathered = nil, time.After(b.patience())
		default:
			if last := b.flight.last(); last != nil {
				ready, settled = nil, last.done
			}
		}
		select {
		case t, open := <-stream:
			switch {
			case !open && ctx.Err() != nil: // which has closed it
				return context.Cause(ctx)
			case !open:
				return b.flush(ctx)
			}
			b.next = t
		case <-held.changed:
		case <-ready:
			if err := b.send(ctx); err != nil {
				return err
			}
		case <-settled:
		case <-gathered:
		case <-tick.C:
			b.hurry = true
			if err := b.rest(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// admit takes the transaction that waits, if the gate lets it through and the batch has room for it.
func (b *builder) admit(ctx context.Context, held hold) (bool, error) {
	if b.next == nil || b.batch != nil && b.full() {
		return false, nil
	}
	if !b.inside {
		if open, err := held.lets(b.applier.cfg.Flavor, b.next); err != nil || !open {
			return false, err
		}
	}
	t := b.next
	b.next, b.inside = nil, !t.Last
	return true, b.take(ctx, t)
}

func (b *builder) full() bool {
	cfg := b.applier.cfg
	if cfg.Workers > 1 && cfg.History > 0 && b.batch.rows >= int64(cfg.History) {
		return true
	}
	return b.batch.transactions >= int64(b.applier.cfg.Merge) || b.batch.bytes >= mergeBytes || !b.batch.last ||
		b.applier.cfg.Pace.Fills(b.batch.rows, b.batch.bytes)
}

// patience is how long the batch waits for more to come.
func (b *builder) patience() time.Duration {
	if b.batch.bytes >= b.applier.cfg.GroupBytes {
		return 0
	}
	return b.applier.cfg.GroupTimeout - time.Since(b.batch.begun)
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
	if t.Returned && !b.returned {
		b.returned = true
		b.applier.event("returned", "what other jobs have brought from the target is left out, at %s for the first time in this run", t.Position)
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
	if b.arrived != nil && b.handover.Passed(at) {
		if err := b.arrive(ctx); err != nil {
			return err
		}
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

// rest arrives if all is applied that the handover speaks of, and nothing waits.
func (b *builder) rest(ctx context.Context) error {
	if b.arrived == nil || b.batch != nil {
		return nil
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	if reached, err := b.handover.Reached(b.applier.applied.Load().Position); err != nil || !reached {
		return err
	}
	return b.arrive(ctx)
}

// arrive has done what was to wait for the end of the handover, once all before is applied.
func (b *builder) arrive(ctx context.Context) error {
	if err := b.flush(ctx); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	do := b.arrived
	b.arrived = nil
	return do(ctx)
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
