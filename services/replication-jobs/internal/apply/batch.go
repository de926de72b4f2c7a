package apply

import (
	"fmt"
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// batch collects source transactions for one target transaction.
type batch struct {
	flight       *flight
	early        []statement
	statements   []statement
	touched      map[*table]map[string]*change
	alone        bool // see unit
	begun        time.Time
	keyed        map[*table]*changes
	ordered      map[*table]*sequence
	tables       []*table // in order of appearance
	transactions int64
	rows         int64
	bytes        int64
	time         time.Time
	end          mysql.Position
	first, last  bool
}

func newBatch(f *flight) *batch {
	return &batch{
		flight: f, touched: map[*table]map[string]*change{}, keyed: map[*table]*changes{}, ordered: map[*table]*sequence{}, first: true, last: true,
		begun: time.Now(),
	}
}

// add takes the rows of one event.
func (b *batch) add(t *table, mode progress.Mode, rows *binlog.Rows) error {
	images, err := rows.Images()
	if err != nil {
		return err
	}
	types, err := t.rows.Types(rows.ColumnTypes)
	if err != nil {
		return err
	}
	if !t.rows.Projects() { // which sees to it itself
		if err := t.complete(images); err != nil {
			return err
		}
	}
	n := int64(len(images))
	if rows.Kind == binlog.Update {
		n /= 2
	}
	b.rows += n
	runs, err := t.rows.Runs(rows.Kind, images)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := b.change(t, mode, types, run, rows.IgnoresForeignKeys); err != nil {
			return err
		}
	}
	return nil
}

// change takes changes of one kind. Alone ones must not reach into other tables.
func (b *batch) change(t *table, mode progress.Mode, types []byte, run mapping.Run, alone bool) error {
	cascading := t.cascades && run.Kind != binlog.Insert && !alone && !run.Stays
	switch {
	case cascading && mode == progress.Strict:
		return b.cascade(t, types, run, mode)
	case cascading: // the row itself may be in a later state, so that only its dependents are changed by the statement
		if err := b.cascade(t, types, run, mode); err != nil {
			return err
		}
	case len(t.key) == 0:
		return b.sequence(t, types).add(run.Kind, run.Images)
	}
	if c := b.keyed[t]; c != nil && c.mode != mode {
		if err := b.seal(); err != nil {
			return err
		}
	}
	c := b.keyed[t]
	if c == nil {
		c = newChanges(t, mode, types)
		b.keyed[t] = c
		b.tables = append(b.tables, t)
	}
	return c.add(run.Kind, run.Images)
}

// cascade executes a change that reaches into other tables, after all that came before it and before all that follows.
func (b *batch) cascade(t *table, types []byte, run mapping.Run, mode progress.Mode) error {
	if err := b.seal(); err != nil {
		return err
	}
	q := newSequence(t, types)
	if err := q.add(run.Kind, run.Images); err != nil {
		return err
	}
	b.alone = true
	for _, s := range q.statements {
		s.cascades = true
		if mode != progress.Strict {
			s.want = -1
		}
		b.statements = append(b.statements, s)
	}
	return nil
}

func (b *batch) sequence(t *table, types []byte) *sequence {
	q := b.ordered[t]
	if q == nil {
		q = newSequence(t, types)
		b.ordered[t] = q
		b.tables = append(b.tables, t)
	}
	return q
}

// seal turns what was collected into statements. Tables do not depend on each other, as foreign keys are not checked. What is sealed a second
// time depends on the first.
func (b *batch) seal() error {
	b.alone = b.alone || !b.first || b.large() || len(b.tables) > 0 && len(b.early)+len(b.statements) > 0
	for _, t := range b.tables {
		if c := b.keyed[t]; c != nil {
			if err := b.write(c); err != nil {
				return err
			}
		}
		if q := b.ordered[t]; q != nil {
			if err := q.flush(); err != nil {
				return err
			}
			b.statements = append(b.statements, q.statements...)
		}
		b.alone = b.alone || t.triggers
	}
	b.tables = nil
	clear(b.keyed)
	clear(b.ordered)
	return nil
}

// write makes statements of the changes of a table, of which only the keys are kept, unless the statements need them.
func (b *batch) write(c *changes) error {
	early, late := []*change(nil), c.rows
	if !b.alone {
		early, late = b.flight.split(c)
	}
	statements, err := c.statements(early)
	if err != nil {
		return err
	}
	b.early = append(b.early, statements...)
	if statements, err = c.statements(late); err != nil {
		return err
	}
	b.statements = append(b.statements, statements...)
	b.touched[c.table] = c.byKey
	if c.table.resolves {
		return nil
	}
	for _, row := range c.rows {
		row.keyed, row.first, row.after = nil, nil, nil
	}
	return nil
}

// remembered is the number of rows whose keys are kept until the transaction has taken effect.
func (b *batch) remembered() int {
	n := 0
	for _, keys := range b.touched {
		n += len(keys)
	}
	return n
}

// markBytes is the size, in bytes of the source's log, from which a transaction is marked at its beginning: well below the parts in which a
// job that replicates the other way reads it.
const markBytes = 2 << 20

// large reports whether the transaction may be read in parts.
func (b *batch) large() bool { return !b.last || b.bytes > markBytes }

// idle reports whether the batch holds nothing but positions.
func (b *batch) idle() bool {
	return len(b.early)+len(b.statements) == 0 && len(b.tables) == 0 && b.first && b.last
}

// complete checks that the log holds every column that the target must be given.
func (t *table) complete(images []binlog.Image) error {
	for _, image := range images {
		for _, i := range image.Missing {
			if i < len(t.columns) && !t.columns[i].Generated {
				return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
					"the log leaves out column %s of table %s: set binlog_row_image=FULL at the source", t.columns[i].Name, t)}
			}
		}
	}
	return nil
}
