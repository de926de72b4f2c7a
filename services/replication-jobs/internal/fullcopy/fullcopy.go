// Package fullcopy copies tables from a consistent snapshot of the source to the target, several at a time, in chunks of their
// key. Each chunk commits together with the record that it is there, so that an interrupted copy continues behind its
// last chunk; what was copied from which snapshot is recorded for the events that follow (see progress.Handover).
package fullcopy

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/pace"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// Options say what to copy and how.
type Options struct {
	Source, Target mysql.Config
	// JobID marks the sessions that read, so that a later run can end them; "" marks none.
	JobID   string
	Epoch   int64
	Mapping *mapping.Mapping
	// Origin is the name of the source, which definitions carry to the target; see package origin. An empty one marks nothing.
	Origin string
	// ChunkSize is the number of rows that are written in one statement; fewer if the statement would grow too large.
	ChunkSize int
	// Readers and Writers are the numbers of source and target sessions.
	Readers, Writers int
	// DropTableIfExists replaces tables that exist on the target; without it, one that holds rows is an error.
	DropTableIfExists bool
	// Objects are the kinds that are copied besides tables. Sequences are made before them; what else the snapshot has is recorded, see
	// progress.LoadObjects, and is to be created when all is applied that the snapshots show.
	Objects []objects.Kind
	// SkipCreate leaves schemas and tables on the target as they are; they must exist.
	SkipCreate bool
	// Pace holds rows back, nil not at all.
	Pace *pace.Pace
	// Event tells the operator what happens.
	Event func(kind, message string)
	Log   *zap.Logger
}

// Copier copies once.
type Copier struct {
	opt    Options
	state  *progress.Copy
	copied atomic.Int64
	total  atomic.Int64
}

// New returns a copier; Run does the work.
func New(opt Options) *Copier { return &Copier{opt: opt} }

// Rows returns the number of rows written so far, those of earlier runs included, and the expected total, which rests on the
// source's statistics until the end.
func (c *Copier) Rows() (copied, total int64) {
	copied = c.copied.Load()
	return copied, max(copied, c.total.Load())
}

// maxSnapshots bounds how often a run begins anew because a table was altered.
const maxSnapshots = 20

// ErrChanged says that a table was altered after the snapshot: it cannot be read from there any more.
var ErrChanged = errors.New("a table's definition changed while it was copied")

// Run copies what is not copied yet and returns what was copied from where. It may be interrupted at any moment and run again.
func (c *Copier) Run(ctx context.Context) (*progress.Copy, error) {
	t, err := openTarget(ctx, c.opt)
	if err != nil {
		return nil, err
	}
	defer t.close()
	if c.state, err = progress.LoadCopy(t.conn, c.opt.JobID); err != nil {
		return nil, err
	}
	for attempt := 1; !c.complete(); attempt++ {
		err := c.fromSnapshot(ctx, t)
		if errors.Is(err, ErrChanged) && attempt < maxSnapshots {
			c.opt.Event("copy", "a table was altered during the copy: continuing from a new snapshot")
			c.opt.Log.Info("table altered during the copy", zap.Error(err))
			if c.state, err = progress.LoadCopy(t.conn, c.opt.JobID); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
	}
	c.count()
	return c.state, nil
}

// complete reports whether every table of the last snapshot is copied; all of them were recorded with it.
func (c *Copier) complete() bool {
	for _, t := range c.state.Tables {
		if !t.Done {
			return false
		}
	}
	return len(c.state.Snapshots) > 0
}

// fromSnapshot takes a snapshot and copies what is left from it.
func (c *Copier) fromSnapshot(ctx context.Context, t *target) error {
	snap, err := takeSnapshot(ctx, c.opt)
	if err != nil {
		return err
	}
	defer snap.close()
	p, err := c.plan(t, snap)
	if err != nil {
		return err
	}
	if err := p.record(); err != nil {
		return err
	}
	c.count()
	c.announce(p)
	if err := p.prepareTarget(); err != nil {
		return err
	}
	return c.transfer(ctx, snap, p.tasks, t)
}

func (c *Copier) announce(p *plan) {
	_, total := c.Rows()
	verb := "copying"
	if p.number > 0 {
		verb = "continuing the copy with"
	}
	c.opt.Event("copy", fmt.Sprintf("%s %d tables, about %d rows in all, from the snapshot at %s", verb, len(p.tasks), total, p.snap.position))
	for _, task := range p.tasks {
		if !task.chunked() {
			c.opt.Event("copy", fmt.Sprintf("%s has no key to split it by: copied in one pass, and from its start again if that is interrupted", task.table))
		}
		if !transactional(task.table.Engine) {
			c.opt.Event("warning", fmt.Sprintf("%s uses the engine %s, which has no snapshots: keep it unchanged until its copy is done", task.table, task.table.Engine))
		}
	}
}

// count sets the counters from the recorded state.
func (c *Copier) count() {
	var copied, total int64
	for _, t := range c.state.Tables {
		copied += t.RowsCopied
		if t.Done {
			total += t.RowsCopied
		} else {
			total += max(t.RowsCopied, t.RowsEstimate)
		}
	}
	c.copied.Store(copied)
	c.total.Store(total)
}

func transactional(engine string) bool {
	switch engine {
	case "InnoDB", "ROCKSDB", "TokuDB", "NDBCLUSTER":
		return true
	}
	return false
}
