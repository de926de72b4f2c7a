package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// together calls do with sessions that see source and target at one position: a snapshot of the source, and one of the target that is taken
// while the applier is held there. The applier goes on before do is called, or behind it if what do writes is to be committed there.
func (v *Verifier) together(ctx context.Context, write bool, do func(source, target *mysql.Conn) error) error {
	v.opt.Applier.Hold()
	defer v.opt.Applier.Release()
	source, at, err := fullcopy.OpenReader(ctx, v.opt.Source, v.opt.JobID, v.opt.Event)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer func() { _ = source.Close() }() // it has only read
	goal, err := mysql.ParsePoint(source.Flavor, at)
	if err != nil {
		return err
	}
	v.opt.Applier.HoldAt(goal)
	if err := v.reach(ctx, source.Flavor, goal); err != nil {
		return err
	}
	if _, err := v.target.Execute("START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return fmt.Errorf("target: %w", mysql.Explain(err))
	}
	if !write {
		v.opt.Applier.Release()
	}
	if err := do(source, v.target); err != nil {
		_ = v.target.Rollback() // the first error tells more
		return err
	}
	return v.target.Commit()
}

// reach waits until the applier has come to the goal.
func (v *Verifier) reach(ctx context.Context, flavor mysql.Flavor, goal mysql.Point) error {
	for {
		at, err := mysql.ParsePoint(flavor, v.opt.Applier.Stats().Position)
		if err != nil || at.Covers(goal) {
			return err
		}
		if err := pause(ctx, moment); err != nil {
			return err
		}
	}
}

// settle looks again at suspects, at one position, and repairs what differs there if the order says so.
func (v *Verifier) settle(ctx context.Context, t *table, suspects [][]byte) ([]Difference, error) {
	if len(suspects) == 0 {
		return nil, nil
	}
	var found []Difference
	err := v.together(ctx, v.order.Repair, func(source, target *mysql.Conn) error {
		var keys [][]byte
		var err error
		if found, keys, err = v.compare(ctx, t, source, target, suspects); err != nil || !v.order.Repair || len(keys) == 0 {
			return err
		}
		return v.repair(ctx, t, source, target, keys)
	})
	var broken *repairError
	switch {
	case errors.As(err, &broken): // what was found holds, and nothing was written
		v.at.Error = broken.Error()
		return found, nil
	case err != nil:
		return nil, err
	}
	for i := range found {
		found[i].Repaired = v.order.Repair
	}
	return found, nil
}

// compare returns what differs of the rows with the given keys, and their keys at the source, or at the target for those that only it has.
func (v *Verifier) compare(ctx context.Context, t *table, source, target *mysql.Conn, suspects [][]byte) (found []Difference, keys [][]byte, err error) {
	seen := map[string]bool{}
	for _, key := range suspects {
		here, err := t.row(ctx, source, t.source, t.rows, key)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s from the source: %w", t, err)
		}
		there, err := t.row(ctx, target, t.target, nil, key)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s from the target: %w", t, err)
		}
		d, row := t.difference(here, there)
		if row == nil || seen[string(t.keyOf(row))] { // two keys may be one to the server
			continue
		}
		seen[string(t.keyOf(row))] = true
		found, keys = append(found, d), append(keys, t.keyOf(row))
	}
	return found, keys, nil
}

// difference tells what differs of a row, and returns the one to name it by; nil if nothing does.
func (t *table) difference(here, there []gomysql.FieldValue) (Difference, []gomysql.FieldValue) {
	d, row := Difference{Table: t.String()}, here
	switch {
	case here == nil && there == nil:
		return d, nil
	case there == nil:
		d.Kind = "missing"
	case here == nil:
		d.Kind, row = "extra", there
	default:
		d.Kind = "different"
		for i, c := range t.columns {
			if !same(&here[i], &there[i]) {
				d.Columns = append(d.Columns, c.Name)
			}
		}
		if len(d.Columns) == 0 {
			return d, nil
		}
	}
	d.Key = t.keyText(row)
	return d, row
}

// row reads the row with a key, nil if there is none.
func (t *table) row(ctx context.Context, c *mysql.Conn, s side, rows *mapping.Rows, key []byte) ([]gomysql.FieldValue, error) {
	condition, err := fullcopy.At(key, t.key)
	if err != nil {
		return nil, err
	}
	var out []gomysql.FieldValue
	err = t.selectRows(ctx, c, "SELECT "+s.values+" FROM "+s.name+" WHERE "+condition, rows, func(row []gomysql.FieldValue) error {
		out = make([]gomysql.FieldValue, len(row))
		for i := range row {
			out[i] = clone(&row[i])
		}
		return nil
	})
	return out, err
}

// repairError says why rows could not be repaired.
type repairError struct {
	table string
	err   error
}

func (e *repairError) Error() string {
	return fmt.Sprintf("rows of %s cannot be repaired: %v", e.table, mysql.Explain(e.err))
}

func (e *repairError) Unwrap() error { return e.err }

// repair replaces rows of the target by those of the source. The applier stands where the source's snapshot was taken, and the job's record,
// which is changed first, keeps a later run from claiming the job until the commit: what the log says behind that position finds what it
// expects. The record also tells a job in the other direction where the rows come from. Rows are removed before
// any comes, since unique values may have moved between them.
func (v *Verifier) repair(ctx context.Context, t *table, source, target *mysql.Conn, keys [][]byte) error {
	rec, err := progress.NewRecorder(target, v.opt.JobID, v.opt.Epoch)
	if err != nil {
		return err
	}
	if err := rec.Mark(); err != nil {
		return err
	}
	for _, key := range keys {
		condition, err := fullcopy.At(key, t.key)
		if err != nil {
			return err
		}
		if _, err := target.Execute("DELETE FROM " + t.target.name + " WHERE " + condition); err != nil {
			return &repairError{t.String(), err}
		}
	}
	for _, key := range keys {
		row, err := t.row(ctx, source, t.source, t.rows, key)
		if err != nil {
			return err
		}
		if row == nil {
			continue
		}
		if err := t.write(target, row); err != nil {
			return &repairError{t.String(), err}
		}
	}
	return nil
}

// write inserts a row. The empty value of an ENUM needs a session that is not strict.
func (t *table) write(target *mysql.Conn, row []gomysql.FieldValue) error {
	insert := func() error {
		_, err := target.Execute(t.insert(row))
		return err
	}
	for i, c := range t.columns {
		if fullcopy.EmptyEnum(&row[i], c) {
			return fullcopy.Lenient(target, insert)
		}
	}
	return insert()
}

func (t *table) insert(row []gomysql.FieldValue) string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = mysql.QuoteIdent(c.Name)
	}
	statement := []byte("INSERT INTO " + t.target.name + " (" + strings.Join(names, ", ") + ") VALUES (")
	for i, c := range t.columns {
		if i > 0 {
			statement = append(statement, ',')
		}
		statement = fullcopy.AppendLiteral(statement, &row[i], c)
	}
	return string(append(statement, ')'))
}

// multiset compares a table that cannot be cut: both ends are read as a whole, and their rows counted and summed up in any order.
func (v *Verifier) multiset(ctx context.Context, t *table) error {
	var here, there multiset
	err := v.together(ctx, false, func(source, target *mysql.Conn) error {
		if err := v.sum(ctx, t, source, t.source, t.rows, &here); err != nil {
			return fmt.Errorf("read %s from the source: %w", t, err)
		}
		if err := v.sum(ctx, t, target, t.target, nil, &there); err != nil {
			return fmt.Errorf("read %s from the target: %w", t, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var found []Difference
	if here != there {
		found = []Difference{{Table: t.String(), Kind: "table", Note: fmt.Sprintf(
			"without a key to compare by: %d rows at the source, %d at the target, which are not the same", here.rows, there.rows)}}
	}
	v.note(found, nil, looked{chunks: 1, rows: here.rows})
	return nil
}

// sum reads a whole table.
func (v *Verifier) sum(ctx context.Context, t *table, c *mysql.Conn, s side, rows *mapping.Rows, m *multiset) error {
	var scratch []byte
	return t.selectRows(ctx, c, "SELECT "+s.values+" FROM "+s.name, rows, func(row []gomysql.FieldValue) error {
		var d digest
		d, scratch = t.digest(row, scratch)
		m.add(d)
		if m.rows%chunkRows == 0 {
			return v.pace(ctx, chunkRows)
		}
		return nil
	})
}

// strange tells of a table whose definitions do not fit. That is no difference while a statement of the source is still to come.
func (v *Verifier) strange(ctx context.Context, name ddl.Name, cause error) error {
	if !errors.Is(cause, errAltered) {
		return cause
	}
	var still error
	err := v.together(ctx, false, func(source, target *mysql.Conn) error {
		_, still = v.load(source, target, name)
		return nil
	})
	switch {
	case err != nil:
		return err
	case still == nil:
		return cause // begun again
	case !errors.Is(still, errAltered):
		return still
	}
	if _, err := mysql.LoadTable(v.source, name.Schema, name.Table); errors.Is(err, mysql.ErrNoTable) {
		return nil // the source has dropped it
	}
	v.note([]Difference{{Table: name.Schema + "." + name.Table, Kind: "table", Note: mysql.Explain(still).Error()}}, nil, looked{})
	return nil
}
