package apply

import (
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

const (
	// statementRows and statementBytes bound one statement. Longer ones gain nothing, and servers limit the packet and the memory
	// of the optimizer.
	statementRows  = 500
	statementBytes = 512 << 10
	// compositeRows bounds a condition over several columns, which the optimizer weighs by its terms.
	compositeRows = 100
)

// statement is one SQL statement of a target transaction.
type statement struct {
	text  []byte
	table *table
	what  string // insert, update or delete, for messages
	// want is how many rows the server must report, -1 for any number.
	want int64
	// keys are conditions, one for each row that must exist; they serve to name the missing one.
	keys []string
	// changes are those that the statement makes, of a table that resolves and if want is set; types are the source's column types.
	changes []*change
	types   []byte
	// cascades is set when the statement must carry on to the tables that refer to its own.
	cascades bool
	// emptyEnum is set when a value is the empty one of an ENUM, which the server warns about.
	emptyEnum bool
}

// writer builds statements out of rows.
type writer struct {
	table      *table
	types      []byte
	statements []statement
}

// statements returns what brings the target's table from before the changes of the rows to after them.
func (c *changes) statements(rows []*change) ([]statement, error) {
	w := &writer{table: c.table, types: c.types}
	deleted, updated, inserted := c.net(rows)
	if err := w.deletes(deleted, c.mode == progress.Strict); err != nil {
		return nil, err
	}
	if err := w.inserts("INSERT", updated, c.table.upsert, 2, binlog.Update); err != nil {
		return nil, err
	}
	verb, perRow := "INSERT", int64(1)
	if c.mode != progress.Strict {
		verb, perRow = "REPLACE", -1
	}
	if err := w.inserts(verb, inserted, "", perRow, binlog.Insert); err != nil {
		return nil, err
	}
	return w.statements, nil
}

// net sorts the rows by what is to be done with them. Updates in place are upserts, and only where those are exact; elsewhere the
// old row is deleted, which must find it, and the new one inserted.
func (c *changes) net(rows []*change) (deleted, updated, inserted []*change) {
	strict := c.mode == progress.Strict
	for _, ch := range rows {
		switch {
		case ch.after == nil && (ch.existed || !strict):
			deleted = append(deleted, ch)
		case ch.after == nil:
		case !ch.existed, !strict:
			inserted = append(inserted, ch)
		case sameRow(ch.first, ch.after): // an upsert would count it differently
		case c.table.upserts:
			updated = append(updated, ch)
		default:
			deleted, inserted = append(deleted, ch), append(inserted, ch)
		}
	}
	return deleted, updated, inserted
}

// appendRow appends (v, ...) with the writable columns.
func (w *writer) appendRow(dst []byte, row []any, s *statement) ([]byte, error) {
	dst = append(dst, '(')
	first := true
	for i := range w.table.columns {
		c := &w.table.columns[i]
		if c.Generated {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		var err error
		if dst, err = c.appendValue(dst, row[i], w.types[i]); err != nil {
			return nil, w.table.explain(err)
		}
		s.emptyEnum = s.emptyEnum || c.DataType == "enum" && row[i] == int64(0)
	}
	return append(dst, ')'), nil
}

// inserts writes rows with multi-row statements that report perRow rows for each.
func (w *writer) inserts(verb string, rows []*change, suffix string, perRow int64, kind binlog.Kind) error {
	for len(rows) > 0 {
		s := statement{table: w.table, what: kind.String(), want: -1}
		s.text = append(s.text, verb+" INTO "+w.table.name+" ("+w.table.list+") VALUES "...)
		n := 0
		for n < len(rows) && n < statementRows && len(s.text) < statementBytes {
			if n > 0 {
				s.text = append(s.text, ',')
			}
			var err error
			if s.text, err = w.appendRow(s.text, rows[n].after, &s); err != nil {
				return err
			}
			if kind == binlog.Update {
				condition, err := w.condition(rows[n])
				if err != nil {
					return err
				}
				s.keys = append(s.keys, condition)
			}
			n++
		}
		s.text = append(s.text, suffix...)
		if perRow > 0 {
			s.want = perRow * int64(n)
			w.keep(&s, rows[:n])
		}
		w.statements = append(w.statements, s)
		rows = rows[n:]
	}
	return nil
}

// deletes removes rows by key.
func (w *writer) deletes(rows []*change, strict bool) error {
	limit := statementRows
	if len(w.table.key) > 1 {
		limit = compositeRows
	}
	for len(rows) > 0 {
		s := statement{table: w.table, what: binlog.Delete.String(), want: -1}
		s.text = append(s.text, "DELETE FROM "+w.table.name+" WHERE "...)
		n := min(len(rows), limit)
		if err := w.keys(&s, rows[:n]); err != nil {
			return err
		}
		if strict {
			s.want = int64(n)
			w.keep(&s, rows[:n])
		}
		w.statements = append(w.statements, s)
		rows = rows[n:]
	}
	return nil
}

// keep lets a statement know its changes.
func (w *writer) keep(s *statement, rows []*change) {
	if w.table.resolves {
		s.changes, s.types = rows, w.types
	}
}

// keys appends the condition that the rows fulfil.
func (w *writer) keys(s *statement, rows []*change) error {
	single := len(w.table.key) == 1
	if single {
		s.text = append(s.text, w.table.columns[w.table.key[0]].name+" IN ("...)
	}
	for n, row := range rows {
		condition, err := w.condition(row)
		if err != nil {
			return err
		}
		s.keys = append(s.keys, condition)
		switch {
		case single && n > 0:
			s.text = append(append(s.text, ','), row.key...)
		case single:
			s.text = append(s.text, row.key...)
		case n > 0:
			s.text = append(append(s.text, " OR "...), condition...)
		default:
			s.text = append(s.text, condition...)
		}
	}
	if single {
		s.text = append(s.text, ')')
	}
	return nil
}

// condition is (a=1 AND b=2) for the row's key.
func (w *writer) condition(row *change) (string, error) {
	b := []byte{'('}
	for n, i := range w.table.key {
		if n > 0 {
			b = append(b, " AND "...)
		}
		c := &w.table.columns[i]
		b = append(append(b, c.name...), '=')
		var err error
		if b, err = c.appendValue(b, row.keyed[n], w.types[i]); err != nil {
			return "", w.table.explain(err)
		}
	}
	return string(append(b, ')')), nil
}
