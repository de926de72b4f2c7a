package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// maxSnapshots bounds how often a run begins anew because a table was altered.
const maxSnapshots = 20

// Copier writes the rows of the selected tables from a snapshot. What is committed is not read again after an interruption: the rest comes
// from a later snapshot then, and the binary log is followed from the first one on (see progress.Handover).
type Copier struct {
	cfg           Config
	state         *progress.Copy
	copied, total atomic.Int64
}

// NewCopier returns a copier that goes on from what earlier runs have committed.
func NewCopier(cfg Config, state *progress.Copy) *Copier {
	c := &Copier{cfg: cfg, state: state}
	c.count()
	return c
}

// Rows returns the number of rows committed, those of earlier runs included, and the expected total, which rests on the source's statistics.
func (c *Copier) Rows() (copied, total int64) {
	copied = c.copied.Load()
	return copied, max(copied, c.total.Load())
}

// Run copies what is not copied yet and returns what was copied from where.
func (c *Copier) Run(ctx context.Context) (*progress.Copy, error) {
	for attempt := 1; !c.complete(); attempt++ {
		err := c.fromSnapshot(ctx)
		if errors.Is(err, fullcopy.ErrChanged) && attempt < maxSnapshots {
			c.cfg.Event("copy", "a table was altered during the copy: continuing from a new snapshot")
			c.cfg.Log.Info("table altered during the copy", zap.Error(err))
			continue
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
	return len(c.state.Snapshots) > 0 && !slices.ContainsFunc(c.state.Tables, func(t *progress.Table) bool { return !t.Done })
}

// count sets the counters from what is committed.
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

func (c *Copier) options() fullcopy.Options {
	return fullcopy.Options{Source: c.cfg.Source, JobID: c.cfg.JobID, Mapping: c.cfg.Mapping, Readers: c.cfg.Readers, Event: c.cfg.Event, Log: c.cfg.Log}
}

// fromSnapshot takes a snapshot and copies what is left from it.
func (c *Copier) fromSnapshot(ctx context.Context) error {
	snap, err := fullcopy.TakeSnapshot(ctx, c.options())
	if err != nil {
		return err
	}
	defer snap.Close()
	tasks, err := c.plan(ctx, snap)
	if err != nil {
		return err
	}
	chunks := make(chan *chunk, 1)
	queue := make(chan *task, len(tasks))
	for _, t := range tasks {
		queue <- t
	}
	close(queue)
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	readers, reading := errgroup.WithContext(reading)
	for session := range snap.Readers() {
		readers.Go(func() error { return c.read(reading, snap, session, queue, chunks) })
	}
	read := make(chan error, 1)
	go func() {
		read <- readers.Wait()
		close(chunks)
	}()
	// What was read before a reader failed is committed: the state here and there stay the same.
	err = c.write(ctx, chunks)
	stop(err)
	return cmp.Or(err, <-read)
}

// task is a table, or the rest of one, to be copied from the snapshot at hand.
type task struct {
	table *mysql.Table
	state *progress.Table
	// key are the columns by which the copy can go on after an interruption, nil if it cannot.
	key []int
	// new is set when no snapshot before has seen the table in this definition.
	new bool
}

// plan compares the snapshot with what earlier ones have brought, and records it before the first row is written.
func (c *Copier) plan(ctx context.Context, snap *fullcopy.Snapshot) ([]*task, error) {
	number := len(c.state.Snapshots)
	if number == 0 {
		if err := c.firstLook(snap); err != nil {
			return nil, err
		}
	}
	var tasks []*task
	kept := map[*progress.Table]bool{}
	for _, t := range snap.Tables() {
		old := c.state.Table(t.Schema, t.Name)
		if old != nil && old.Done {
			kept[old] = true
			continue
		}
		rows, err := c.cfg.Mapping.Rows(ddl.Name{Schema: t.Schema, Table: t.Name}, t.Columns)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, newTask(snap, t, fullcopy.ChunkKey(t, rows), old, number))
	}
	// The largest first, so that no long one is left alone at the end.
	slices.SortStableFunc(tasks, func(a, b *task) int { return int(b.table.RowsEstimate - a.table.RowsEstimate) })
	return tasks, c.record(ctx, snap, tasks)
}

func (c *Copier) firstLook(snap *fullcopy.Snapshot) error {
	if err := snap.CheckChosen(c.options()); err != nil {
		return err
	}
	others, err := snap.Uncopied(c.options())
	if err == nil && len(others) > 0 {
		c.cfg.Event("warning", "only base tables are copied, and these are none: "+objects.Describe(others))
	}
	return err
}

func newTask(snap *fullcopy.Snapshot, t *mysql.Table, key []int, old *progress.Table, number int) *task {
	mark := snap.Fingerprint(t)
	out := &task{table: t, key: key}
	if old != nil && old.LastKey != nil && old.Fingerprint == mark && out.key != nil {
		resumed := *old
		resumed.Last = number
		out.state = &resumed
		return out
	}
	out.new = old == nil || old.Fingerprint != mark
	first := number
	if old != nil {
		// Messages cannot be taken back: the log must tell what became of the rows that an earlier try has sent.
		first = old.First
	}
	out.state = &progress.Table{Schema: t.Schema, Name: t.Name, Fingerprint: mark, First: first, Last: number, RowsEstimate: t.RowsEstimate}
	return out
}

// record commits the snapshot and all that will be copied from it, with messages about the definitions: a later run thus knows which
// snapshot saw which tables, whatever happens next.
func (c *Copier) record(ctx context.Context, snap *fullcopy.Snapshot, tasks []*task) error {
	records, err := c.records(snap, tasks)
	if err != nil {
		return err
	}
	topics := make([]string, len(tasks))
	for i, t := range tasks {
		if topics[i], err = c.topic(t.table); err != nil {
			return err
		}
	}
	if err := c.cfg.Producer.Prepare(ctx, topics); err != nil {
		return err
	}
	if err := c.tellDefinitions(ctx, snap, tasks); err != nil {
		return err
	}
	if err := c.cfg.Producer.Commit(ctx, records...); err != nil {
		return err
	}
	c.state.Snapshots = append(c.state.Snapshots, snap.Position())
	c.state.Tables = slices.DeleteFunc(c.state.Tables, func(t *progress.Table) bool { return !t.Done })
	for _, t := range tasks {
		c.state.Tables = append(c.state.Tables, t.state)
	}
	c.count()
	c.announce(snap, tasks)
	return nil
}

func (c *Copier) topic(t *mysql.Table) (string, error) {
	source := ddl.Name{Schema: t.Schema, Table: t.Name}
	told, err := c.cfg.Mapping.Target(source)
	if err != nil {
		return "", err
	}
	return c.cfg.Topics.Of(source, told)
}

func (c *Copier) records(snap *fullcopy.Snapshot, tasks []*task) ([]kafka.Record, error) {
	stage, err := c.cfg.Producer.StageRecord(progress.StageCopy, progress.Applied{})
	if err != nil {
		return nil, err
	}
	snapshot, err := kafka.SnapshotRecord(len(c.state.Snapshots), snap.Position())
	if err != nil {
		return nil, err
	}
	out := []kafka.Record{stage, snapshot}
	present := map[[2]string]bool{}
	for _, t := range tasks {
		present[[2]string{t.table.Schema, t.table.Name}] = true
		r, err := kafka.TableRecord(t.state)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	for _, old := range c.state.Tables {
		if old.Done || present[[2]string{old.Schema, old.Name}] {
			continue
		}
		r, err := kafka.NoTableRecord(old) // the source has dropped it before it was copied in full
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (c *Copier) announce(snap *fullcopy.Snapshot, tasks []*task) {
	_, total := c.Rows()
	verb := "copying"
	if len(c.state.Snapshots) > 1 {
		verb = "continuing the copy with"
	}
	c.cfg.Event("copy", fmt.Sprintf("%s %d tables, about %d rows in all, from the snapshot at %s", verb, len(tasks), total, snap.Position()))
	for _, t := range tasks {
		if t.key == nil {
			c.cfg.Event("copy", fmt.Sprintf("%s has no key to split it by: its rows are written again if the copy is interrupted", t.table))
		}
	}
}
