// Package apply executes a stream of source transactions on the target.
//
// Transactions are applied in order and committed whole, together with the position after them. While the applier is behind, it
// merges consecutive transactions into one target transaction and the changes of one row into their net effect, which lets it
// write many rows with one statement; when it has caught up, one source transaction is one target transaction. While it is behind, several
// sessions may execute transactions at the same time; they commit in order all the same.
package apply

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/pace"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

const (
	defaultMerge = 1000
	maxWorkers   = 8
	// mergeBytes bounds the log that one target transaction merges.
	mergeBytes = 8 << 20
	// idleSave is how often the position is stored while no selected table changes.
	idleSave = time.Second
)

// Config says what to apply where.
type Config struct {
	// Target is where the applier opens its sessions.
	Target mysql.Config
	Job    string
	Epoch  int64
	// Flavor is the source's: it reads the GTIDs.
	Flavor mysql.Flavor
	// Start is the position that the stream starts behind.
	Start   mysql.Position
	Mapping *mapping.Mapping
	// SystemZone is the source's own time zone as an offset, such as +02:00, for definitions of sessions that used it.
	SystemZone string
	// Origin is the name of the source, which all that is written carries; see package origin. An empty one marks no definitions.
	Origin string
	// Handover says how to treat what a copy has seen already; nil when there is nothing to mind.
	Handover *progress.Handover
	// Merge is how many source transactions one target transaction may hold; 0 means 1000, 1 keeps them one to one.
	Merge int
	// History bounds the rows whose keys are remembered of a target transaction under way, so that others can be executed beside it: none is merged into
	// one that has as many, and one that has more than twice as many is executed alone. 0 for no bound; with one worker there is nothing to remember.
	History int
	// GroupBytes and GroupTimeout make a target transaction that would hold less log wait for more, but not longer; 0 does not wait.
	GroupBytes   int64
	GroupTimeout time.Duration
	// Pace holds rows back, nil not at all.
	Pace *pace.Pace
	// Conflicts says what becomes of changes that do not fit the target; empty is Stop.
	Conflicts Policy
	// Workers is how many sessions execute transactions at the same time while the applier is behind; 0 means 1, and more than 8 mean 8.
	Workers int
	// Objects are the kinds of objects whose definitions are applied besides those of tables.
	Objects []objects.Kind
	// Arrived is called once, when all that Handover speaks of is applied and nothing after it; nil for nothing to do then.
	Arrived func(ctx context.Context) error
	// Decisions are those of the operator about statements at which the job stood.
	Decisions []ddl.Decision
	// Event tells the operator of things worth knowing that do not stop the job.
	Event  func(kind, message string)
	Logger *zap.Logger
}

// Stats says what has been applied.
type Stats struct {
	Transactions, Rows, Commits, Definitions int64
	// Ahead counts the target transactions that were begun before their turn, Conflicts the changes that did not fit the target.
	Ahead, Conflicts int64
	// Position is the stored position, with the executed GTID set.
	Position mysql.Position
	// SourceTime is when the last applied transaction was committed at the source; zero before the first.
	SourceTime time.Time
}

// Applier applies one stream to one target.
type Applier struct {
	cfg  Config
	gate gate

	transactions, rows, commits, definitions, ahead, conflicts atomic.Int64

	applied atomic.Pointer[progress.Applied]
}

// New returns an applier that has done nothing yet.
func New(cfg Config) *Applier {
	if cfg.Merge <= 0 {
		cfg.Merge = defaultMerge
	}
	cfg.Workers = min(max(cfg.Workers, 1), maxWorkers)
	a := &Applier{cfg: cfg}
	a.applied.Store(&progress.Applied{Position: cfg.Start})
	return a
}

// Run applies the stream until it is closed, and returns when the last of it is stored; or until ctx ends or something fails, and
// then the position stored is that of the last transaction committed. A job that belongs to a later run ends with progress.ErrFenced.
func (a *Applier) Run(ctx context.Context, stream <-chan *binlog.Transaction) error {
	group, ctx := errgroup.WithContext(ctx)
	executors, err := a.executors(ctx)
	defer func() {
		for _, e := range executors {
			_ = e.conn.Close()
		}
	}()
	if err != nil {
		return err
	}
	executed, err := a.cfg.Flavor.ParseGTIDSet(a.cfg.Start.GTIDSet)
	if err != nil {
		return err
	}
	mapped, err := progress.LoadMapping(executors[0].conn, a.cfg.Job)
	if err != nil {
		return err
	}
	register := mapping.NewRegister(a.cfg.Mapping, mapped)
	b := &builder{
		applier: a, executors: executors, stream: stream, executed: executed, handover: a.cfg.Handover,
		tables: newCatalog(a.cfg.Target, a.cfg.Mapping, register, a.cfg.Conflicts.resolves()), register: register,
		arrived: a.cfg.Arrived,
	}
	for _, e := range executors {
		group.Go(func() error { return e.run(ctx) })
	}
	group.Go(func() error {
		defer func() {
			for _, e := range executors {
				close(e.work)
			}
		}()
		return b.run(ctx)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, progress.ErrFenced) {
		return fmt.Errorf("apply to %s: %w", a.cfg.Target.Addr(), err)
	} else if err != nil {
		return err
	}
	return nil
}

// executors opens the sessions. It returns those that are open also with an error.
func (a *Applier) executors(ctx context.Context) ([]*executor, error) {
	var all []*executor
	for range a.cfg.Workers {
		conn, err := a.connect(ctx)
		if err != nil {
			return all, err
		}
		e := &executor{applier: a, conn: conn, ready: make(chan struct{}), work: make(chan *unit)}
		all = append(all, e)
		if e.recorder, err = progress.NewRecorder(conn, a.cfg.Job, a.cfg.Epoch); err != nil {
			return all, err
		}
	}
	return all, nil
}

// Stats returns the counters.
func (a *Applier) Stats() Stats {
	applied := a.applied.Load()
	return Stats{
		Transactions: a.transactions.Load(), Rows: a.rows.Load(), Commits: a.commits.Load(), Definitions: a.definitions.Load(),
		Ahead: a.ahead.Load(), Conflicts: a.conflicts.Load(),
		Position: applied.Position, SourceTime: applied.SourceTime,
	}
}

func (a *Applier) event(kind, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	a.cfg.Logger.Info("replication event", zap.String("kind", kind), zap.String("message", message))
	if a.cfg.Event != nil {
		a.cfg.Event(kind, message)
	}
}
