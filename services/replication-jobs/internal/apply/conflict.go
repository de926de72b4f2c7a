package apply

import (
	"errors"
	"fmt"
	"slices"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// Policy says what becomes of a change that does not fit the target: an insert of a row that exists, an update or delete of one that does not.
type Policy string

// The policies; the empty one is Stop.
const (
	// Stop ends the run with the table and the key.
	Stop Policy = "stop"
	// Overwrite makes the target's row what the source's is after the change.
	Overwrite Policy = "overwrite"
	// Log leaves the change out.
	Log Policy = "log"
)

func (p Policy) resolves() bool { return p == Overwrite || p == Log }

func (p Policy) done() string {
	if p == Overwrite {
		return "overwritten"
	}
	return "left out"
}

// errMissing says that a statement has not found all of its rows.
var errMissing = errors.New("a row is missing")

// conflicting reports whether a statement failed because rows of the target are not what those of the source were.
func conflicting(err error) bool {
	code := mysql.Code(err)
	return errors.Is(err, errMissing) || code == gomysql.ER_DUP_ENTRY || code == gomysql.ER_DUP_ENTRY_WITH_KEY_NAME
}

// conflicts are those of a target transaction so far.
type conflicts struct {
	count int64
	first string
	// fresh are those that the transaction has not stored yet.
	fresh []progress.Conflict
	// left holds updates whose first half, the deletion of the old row, has found none: the second is left out as well.
	left map[*change]bool
}

// certain executes a statement whose turn it is, so that what it does not find will not come any more.
func (e *executor) certain(s *statement) error {
	policy := e.applier.cfg.Conflicts
	if !policy.resolves() || s.changes == nil {
		err := e.execute(s)
		if errors.Is(err, errMissing) {
			return e.mismatch(s)
		}
		return err
	}
	if !slices.ContainsFunc(s.changes, func(c *change) bool { return e.found.left[c] }) {
		err := e.undoable(s)
		if err == nil || !conflicting(err) || len(s.changes) == 1 {
			return e.resolve(s, s.changes[0], err)
		}
	}
	for _, c := range s.changes {
		if e.found.left[c] {
			continue
		}
		one, err := s.single(c)
		if err != nil {
			return err
		}
		if err := e.resolve(&one, c, e.undoable(&one)); err != nil {
			return err
		}
	}
	return nil
}

// undoable executes a statement and undoes what it did if it meets a conflict.
func (e *executor) undoable(s *statement) error {
	if _, err := e.conn.Execute("SAVEPOINT opsdeck_change"); err != nil {
		return fmt.Errorf("set a savepoint: %w", mysql.Explain(err))
	}
	err := e.execute(s)
	if !conflicting(err) {
		return err
	}
	if _, undo := e.conn.Execute("ROLLBACK TO SAVEPOINT opsdeck_change"); undo != nil {
		return fmt.Errorf("undo a change that does not fit: %w", mysql.Explain(undo))
	}
	return err
}

// resolve does by the policy what the statement of one change could not. It hands on every error but a conflict.
func (e *executor) resolve(s *statement, c *change, err error) error {
	if !conflicting(err) {
		return err
	}
	e.note(s, c, err)
	w := &writer{table: s.table, types: s.types}
	switch {
	case e.applier.cfg.Conflicts == Overwrite:
		err = w.overwrite(s, c)
	case s.what == binlog.Delete.String() && c.after != nil:
		if e.found.left == nil {
			e.found.left = map[*change]bool{}
		}
		e.found.left[c] = true
		return nil
	case s.what == binlog.Insert.String() && c.existed: // the second half of an update: its first must not remain
		err = w.inserts("INSERT", []*change{{after: c.first}}, "", 1, binlog.Insert)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	for i := range w.statements {
		if err := e.execute(&w.statements[i]); err != nil {
			return err
		}
	}
	return nil
}

// overwrite makes the row of a change what it is at the source afterwards; a deletion that has found nothing is done.
func (w *writer) overwrite(s *statement, c *change) error {
	if s.what == binlog.Delete.String() {
		return nil
	}
	return w.inserts("REPLACE", []*change{c}, "", -1, binlog.Insert)
}

// single returns the statement of one change out of those that a statement makes.
func (s *statement) single(c *change) (statement, error) {
	w := &writer{table: s.table, types: s.types}
	var err error
	switch s.what {
	case binlog.Delete.String():
		err = w.deletes([]*change{c}, true)
	case binlog.Update.String():
		err = w.inserts("INSERT", []*change{c}, s.table.upsert, 2, binlog.Update)
	default:
		err = w.inserts("INSERT", []*change{c}, "", 1, binlog.Insert)
	}
	if err != nil {
		return statement{}, err
	}
	return w.statements[0], nil
}

// note remembers a conflict for the record and the operator.
func (e *executor) note(s *statement, c *change, err error) {
	problem := "exists at the target"
	if errors.Is(err, errMissing) {
		problem = "is not at the target as it was at the source"
	}
	row := s.table.nameRow(c, s.types)
	e.found.count++
	if e.found.first == "" {
		e.found.first = fmt.Sprintf("%s of row %s of table %s, which %s", s.what, row, s.table, problem)
	}
	if len(e.found.fresh) < progress.MaxConflicts {
		e.found.fresh = append(e.found.fresh, progress.Conflict{
			Schema: s.table.Schema, Table: s.table.Name, Row: row, Change: s.what, Problem: problem, Done: e.applier.cfg.Conflicts.done(),
		})
	}
}

// nameRow is the condition that finds the row of a change.
func (t *table) nameRow(c *change, types []byte) string {
	row := c.first
	if row == nil {
		row = c.after
	}
	if len(t.key) == 0 || row == nil {
		return "without a key"
	}
	w := &writer{table: t, types: types}
	condition, err := w.condition(&change{keyed: t.keyValues(row)})
	if err != nil {
		return "without a name"
	}
	return condition
}

// store writes the conflicts into the transaction that resolves them.
func (e *executor) store() error {
	if len(e.found.fresh) == 0 {
		return nil
	}
	err := e.recorder.AddConflicts(e.found.fresh)
	e.found.fresh = nil
	return err
}

// tell counts the conflicts of a committed transaction, and tells of the first, the tenth, the hundredth and so on.
func (a *Applier) tell(found conflicts) {
	if found.count == 0 {
		return
	}
	before := a.conflicts.Load()
	now := a.conflicts.Add(found.count)
	for n := int64(1); n <= now; n *= 10 {
		if before < n {
			a.event("conflict", "%d changes of this run did not fit the target and were %s, the last ones beginning with the %s; the target's table opsdeck.replication_conflict names them",
				now, a.cfg.Conflicts.done(), found.first)
			return
		}
	}
}
