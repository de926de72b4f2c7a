package fullcopy

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// task is a table, or the rest of one, to be copied from the snapshot at hand.
type task struct {
	table *mysql.Table
	// target is the table's name on the target.
	target ddl.Name
	create string
	state  *progress.Table
	// key are the columns by which the table is cut.
	key []int
	// made is set if the copy makes the table, or has made it: it is as the source's then, and nobody else's.
	made bool
	// keysLast is set if secondary keys are added when all rows are there.
	keysLast bool
	// files is set if its rows are written as files.
	files bool
	// form is how its rows are written; the reader sets it.
	form form
	// fresh is set when the table is new to the copy; recreate when what an earlier run copied of it is of no use.
	fresh, recreate bool

	// open counts what is under way: the reader and each chunk that is not committed.
	open atomic.Int64
	rows atomic.Int64
}

func (t *task) chunked() bool { return t.key != nil }

// there is the table's name on the target, for messages.
func (t *task) there() string { return t.target.Schema + "." + t.target.Table }

// quoted is the table's name on the target, for statements.
func (t *task) quoted() string { return t.target.String() }

// resumed reports whether the task continues behind rows of an earlier snapshot.
func (t *task) resumed() bool { return t.state.Chunks > 0 }

func (t *task) keyColumns() []mysql.Column {
	out := make([]mysql.Column, len(t.key))
	for i, k := range t.key {
		out[i] = t.table.Columns[k]
	}
	return out
}

// plan is what a snapshot is used for.
type plan struct {
	copier *Copier
	target *target
	snap   *snapshot
	number int
	tasks  []*task
	// referenced are tables that foreign keys refer to.
	referenced map[ddl.Name]bool
	// mapped are all tables of the snapshot.
	mapped mapping.Change
	// gone are tables that the source has dropped before they were copied in full.
	gone []*progress.Table
}

// plan compares the snapshot with what earlier ones have brought.
func (c *Copier) plan(t *target, snap *snapshot) (*plan, error) {
	p := &plan{copier: c, target: t, snap: snap, number: len(c.state.Snapshots)}
	if p.number == 0 {
		if err := CheckChosen(snap.readers[0], c.opt.Source.Addr(), c.opt.Mapping, snap.tables); err != nil {
			return nil, err
		}
		if err := p.refuseObjects(); err != nil {
			return nil, err
		}
	}
	var err error
	if p.referenced, err = snap.referenced(); err != nil {
		return nil, err
	}
	present := map[string]bool{}
	register := mapping.NewRegister(c.opt.Mapping, nil)
	for _, table := range snap.tables {
		present[table.String()] = true
		mapped, err := register.Add(ddl.Name{Schema: table.Schema, Table: table.Name}, table.Columns)
		if err != nil {
			return nil, err
		}
		if err := p.add(table, mapped); err != nil {
			return nil, err
		}
	}
	for _, old := range c.state.Tables {
		if !old.Done && !present[old.Schema+"."+old.Name] {
			p.gone = append(p.gone, old)
		}
	}
	// The largest first, so that no long one is left alone at the end.
	slices.SortStableFunc(p.tasks, func(a, b *task) int { return int(b.table.RowsEstimate - a.table.RowsEstimate) })
	if err := p.refuseShared(); err != nil {
		return nil, err
	}
	if !c.opt.DropTableIfExists || c.opt.SkipCreate {
		if err := p.refuseFilled(); err != nil {
			return nil, err
		}
	}
	for _, t := range p.tasks {
		t.state.Fingerprint = t.mark(t.made)
		t.keysLast, t.files = t.made && p.keysMayWait(t), t.made && p.target.takesFiles(t)
	}
	return p, nil
}

func (p *plan) add(table *mysql.Table, mapped mapping.Table) error {
	rows, err := p.copier.opt.Mapping.Rows(ddl.Name{Schema: table.Schema, Table: table.Name}, table.Columns)
	if err != nil {
		return err
	}
	t := &task{table: table, target: mapped.Target, create: p.snap.creates[table.String()], key: ChunkKey(table, rows)}
	if err := p.checkRows(t, rows); err != nil {
		return err
	}
	t.made = !p.copier.opt.SkipCreate
	old := p.copier.state.Table(table.Schema, table.Name)
	switch {
	case old == nil:
		t.fresh = true
	case old.Done: // what is recorded of it is of the moment when it was copied
		return nil
	case old.Chunks > 0 && t.chunked() && (old.Fingerprint == t.mark(true) || old.Fingerprint == t.mark(false)):
		t.made = old.Fingerprint == t.mark(true)
		alike, err := p.sameOrder(t)
		if err != nil {
			return err
		}
		t.recreate = !alike
	default:
		t.recreate = true
	}
	if !p.copier.opt.Mapping.Plain() {
		p.mapped.Come = append(p.mapped.Come, mapped)
	}
	if !t.fresh && !t.recreate {
		t.state = old
		t.state.Last = p.number
	}
	if t.state == nil {
		t.state = &progress.Table{
			Schema: table.Schema, Name: table.Name,
			First: p.number, Last: p.number, RowsEstimate: table.RowsEstimate,
		}
	}
	t.rows.Store(t.state.RowsCopied)
	p.tasks = append(p.tasks, t)
	return nil
}

// checkRows refuses a filter or a choice of columns that the source's table, or the target's own, does not allow.
func (p *plan) checkRows(t *task, rows *mapping.Rows) error {
	if rows == nil {
		return nil
	}
	if err := rows.CheckKey(t.table); err != nil || !p.target.opt.SkipCreate {
		return err
	}
	here, err := mysql.LoadTable(p.target.conn, t.target.Schema, t.target.Table)
	if err != nil {
		return fmt.Errorf("read the definition of %s on the target: %w", t.there(), mysql.Explain(err))
	}
	return rows.CheckTarget(here.Columns)
}

// sameOrder reports whether the target orders the table's rows as the source does: a table that the operator has created may have
// another collation, and what is behind a key here is then not what is behind it there.
func (p *plan) sameOrder(t *task) (bool, error) {
	if !p.target.opt.SkipCreate {
		return true, nil
	}
	here, err := mysql.LoadTable(p.target.conn, t.target.Schema, t.target.Table)
	if err != nil {
		return false, fmt.Errorf("read the definition of %s on the target: %w", t.there(), mysql.Explain(err))
	}
	for _, c := range t.keyColumns() {
		i := here.Column(c.Name)
		if i < 0 || here.Columns[i].Collation != c.Collation {
			return false, nil
		}
	}
	return true, nil
}

// record stores the snapshot and all that will be copied from it in one transaction: a later run thus knows which snapshot saw which
// tables, whatever happens next.
func (p *plan) record() error {
	rec := p.target.rec
	err := p.target.commit(func() error {
		if err := rec.BeginCopy(); err != nil {
			return err
		}
		if err := rec.AddSnapshot(p.number, p.snap.position); err != nil {
			return err
		}
		for _, t := range p.tasks {
			if err := rec.DropChunks(t.table.Schema, t.table.Name, t.state.Chunks); err != nil {
				return err
			}
			if err := rec.PutTable(t.state); err != nil {
				return err
			}
			if t.resumed() {
				if err := p.target.trim(t); err != nil {
					return err
				}
			}
		}
		for _, g := range p.gone {
			p.mapped.Gone = append(p.mapped.Gone, ddl.Name{Schema: g.Schema, Table: g.Name})
			if err := rec.Recopy(g.Schema, g.Name); err != nil { // in case the source has it again before it is gone here
				return err
			}
		}
		if err := rec.PutObjects(p.snap.objects); err != nil {
			return err
		}
		return rec.ChangeMapping(p.mapped)
	})
	if err != nil {
		return err
	}
	p.adopt()
	return nil
}

// adopt brings the copier's state in line with what was recorded.
func (p *plan) adopt() {
	s := p.copier.state
	s.Snapshots = append(s.Snapshots, p.snap.position)
	kept := slices.DeleteFunc(s.Tables, func(t *progress.Table) bool { return !t.Done })
	for _, t := range p.tasks {
		kept = append(kept, t.state)
	}
	s.Tables = kept
}

// prepareTarget creates what the tasks write to, and removes what is of no use any more.
func (p *plan) prepareTarget() error {
	for _, g := range p.gone {
		there, err := p.copier.opt.Mapping.Target(ddl.Name{Schema: g.Schema, Table: g.Name})
		if err != nil {
			return err
		}
		if err := p.target.drop(there); err != nil {
			return err
		}
		if err := p.target.forget(g); err != nil {
			return err
		}
	}
	if err := p.target.createSchemas(p.snap.readers[0], p.schemas()); err != nil {
		return err
	}
	if err := p.createSequences(); err != nil {
		return err
	}
	for _, t := range p.tasks {
		if t.resumed() {
			continue
		}
		if err := p.target.createTable(t); err != nil {
			return err
		}
	}
	return nil
}
