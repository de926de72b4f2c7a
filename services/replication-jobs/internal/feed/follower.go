package feed

import (
	"context"
	"sync/atomic"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

const (
	// maxGroup and maxGroupBytes bound what one transaction of Kafka gathers while there is a backlog. One transaction of the source is
	// never split.
	maxGroup      = 5000
	maxGroupBytes = 16 << 20
	// idleSave is how often the position is stored while no selected table changes.
	idleSave = time.Second
	// decodeAhead is how many transactions wait decoded. Their rows take several times the memory that the stream's limit counts.
	decodeAhead = 4
)

// Stats says what has been written.
type Stats struct {
	// Transactions, Rows and Commits count source transactions, changed rows and transactions of Kafka that are committed.
	Transactions, Rows, Commits int64
	// Position is that of the last commit, SourceTime when the source committed what it contains last.
	Position   mysql.Position
	SourceTime time.Time
}

// Follower writes the changes of a binary log.
type Follower struct {
	cfg      Config
	handover *progress.Handover
	executed gomysql.GTIDSet // after everything taken so far
	tables   map[[2]string]known
	ignored  map[string]bool
	group    group
	total    progress.Applied // of all runs, with what is taken
	stats    atomic.Pointer[Stats]
}

// known is a table in the shape in which its rows were last logged; its table is nil for what is no table of rows.
type known struct {
	shape *binlog.Shape
	table *table
}

// group is what the next commit contains.
type group struct {
	transactions, rows, bytes, messages int64
	begun                               time.Time // when the first message came
	end                                 mysql.Position
	time                                time.Time
	open                                bool // the last source transaction is not complete
}

// NewFollower returns a follower from a position on. Handover says what a copy has seen already; applied holds the counters of earlier runs.
func NewFollower(cfg Config, start mysql.Position, handover *progress.Handover, applied progress.Applied) (*Follower, error) {
	executed, err := cfg.Flavor.ParseGTIDSet(start.GTIDSet)
	if err != nil {
		return nil, err
	}
	f := &Follower{cfg: cfg, handover: handover, executed: executed, tables: map[[2]string]known{}, ignored: map[string]bool{}, total: applied}
	f.stats.Store(&Stats{Position: start})
	return f, nil
}

// Stats returns the counters of this run.
func (f *Follower) Stats() Stats { return *f.stats.Load() }

// Run writes the stream until it is closed, and returns when the last of it is committed; or until ctx ends or something fails, and then
// the position is that of the last commit.
func (f *Follower) Run(ctx context.Context, stream <-chan *binlog.Transaction) error {
	group, ctx := errgroup.WithContext(ctx)
	decoded := make(chan *binlog.Transaction, decodeAhead)
	group.Go(func() error {
		defer close(decoded)
		return decode(ctx, stream, decoded)
	})
	group.Go(func() error { return f.follow(ctx, stream, decoded) })
	return group.Wait()
}

// decode passes transactions on with their rows decoded, so that this takes another processor than writing them.
func decode(ctx context.Context, stream <-chan *binlog.Transaction, decoded chan<- *binlog.Transaction) error {
	for {
		select {
		case t, ok := <-stream:
			if !ok {
				return nil
			}
			for _, rows := range t.Changes {
				rows.Decode()
			}
			select {
			case decoded <- t:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// follow writes decoded transactions. What still waits in the stream is only counted.
func (f *Follower) follow(ctx context.Context, stream, decoded <-chan *binlog.Transaction) error {
	tick := time.NewTicker(idleSave)
	defer tick.Stop()
	for {
		more := len(decoded) > 0 || len(stream) > 0
		if f.group.full() || f.group.due(more, f.cfg.GroupBytes) {
			if err := f.commit(ctx); err != nil {
				return err
			}
		}
		var late <-chan time.Time
		if f.group.messages > 0 && !f.group.open && !more {
			late = time.After(time.Until(f.group.begun.Add(f.cfg.GroupTimeout)))
		}
		select {
		case t, ok := <-decoded:
			if !ok {
				return f.end(ctx)
			}
			if err := f.take(ctx, t); err != nil {
				return err
			}
		case <-late:
			if err := f.commit(ctx); err != nil {
				return err
			}
		case <-tick.C:
			if err := f.idle(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// full reports whether the group must not grow.
func (g *group) full() bool {
	return !g.open && (g.transactions >= maxGroup || g.bytes >= maxGroupBytes)
}

// due reports whether the group is worth a commit: nothing else waits, or has waited longer than an idle position may.
func (g *group) due(more bool, enough int64) bool {
	return !g.open && g.messages > 0 && !more && g.bytes >= enough
}

// idle stores the position of transactions without messages.
func (f *Follower) idle(ctx context.Context) error {
	if f.group.open || f.group.messages > 0 || f.group.transactions == 0 {
		return nil
	}
	return f.commit(ctx)
}

// end commits what is complete at the end of the stream.
func (f *Follower) end(ctx context.Context) error {
	if f.group.open || f.group.transactions == 0 {
		return nil
	}
	return f.commit(ctx)
}

// commit commits the messages of the group together with the position behind them.
func (f *Follower) commit(ctx context.Context) error {
	end := f.group.end
	end.GTIDSet = f.executed.String()
	f.total.Position, f.total.SourceTime = end, f.group.time
	f.total.Transactions += f.group.transactions
	f.total.Rows += f.group.rows
	record, err := f.cfg.Producer.StageRecord(progress.StageStream, f.total)
	if err != nil {
		return err
	}
	if err := f.cfg.Producer.Commit(ctx, record); err != nil {
		return err
	}
	last := f.Stats()
	f.stats.Store(&Stats{
		Transactions: last.Transactions + f.group.transactions, Rows: last.Rows + f.group.rows, Commits: last.Commits + 1,
		Position: end, SourceTime: f.group.time,
	})
	f.group = group{}
	return nil
}

// take writes the messages of a transaction or a part of one.
func (f *Follower) take(ctx context.Context, t *binlog.Transaction) error {
	defer t.Release()
	again, err := f.again(t)
	if err != nil {
		return err
	}
	at, err := f.point(t)
	if err != nil {
		return err
	}
	if !again {
		if err := f.write(ctx, t, at); err != nil {
			return err
		}
	}
	f.group.open = !t.Last
	if !t.Last {
		return nil
	}
	f.group.transactions++
	f.group.end, f.group.time = t.Position, t.Timestamp
	if f.handover.Passed(at) {
		f.handover = nil
	}
	if t.GTID == "" {
		return nil
	}
	return f.executed.Update(t.GTID)
}

// again reports whether the transaction was written before, as a source with MySQL's GTIDs may send it again.
func (f *Follower) again(t *binlog.Transaction) (bool, error) {
	if t.GTID == "" || f.cfg.Flavor.Name() != gomysql.MySQLFlavor {
		return false, nil
	}
	gtid, err := f.cfg.Flavor.ParseGTIDSet(t.GTID)
	return err == nil && f.executed.Contain(gtid), err
}

// point is the place of a transaction, as far as a copy makes it matter.
func (f *Follower) point(t *binlog.Transaction) (mysql.Point, error) {
	if f.handover == nil {
		return mysql.Point{}, nil
	}
	return f.handover.Point(t.GTID, t.Position)
}
