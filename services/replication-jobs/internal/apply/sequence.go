package apply

import (
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
)

// sequence writes statements for changes that must keep their order: those of tables without a key, whose rows can only be told
// apart by all their values, and those that cascade.
type sequence struct {
	writer
	inserted []*change // inserts not yet written
}

func newSequence(t *table, types []byte) *sequence {
	return &sequence{writer: writer{table: t, types: types}}
}

func (q *sequence) add(kind binlog.Kind, images []binlog.Image) error {
	switch kind {
	case binlog.Insert:
		for _, image := range images {
			q.inserted = append(q.inserted, &change{after: image.Values})
		}
		return nil
	case binlog.Delete:
		return q.each(images, 1, func(s *statement, rows []binlog.Image) error {
			s.what = binlog.Delete.String()
			s.text = append(s.text, "DELETE FROM "+q.table.name...)
			return q.where(s, rows[0].Values)
		})
	default:
		return q.each(images, 2, func(s *statement, rows []binlog.Image) error {
			s.what = binlog.Update.String()
			s.text = append(s.text, "UPDATE "+q.table.name+" SET "...)
			if err := q.assign(s, rows[1].Values); err != nil {
				return err
			}
			return q.where(s, rows[0].Values)
		})
	}
}

// each writes one statement per row, made of n images.
func (q *sequence) each(images []binlog.Image, n int, write func(*statement, []binlog.Image) error) error {
	if err := q.flush(); err != nil {
		return err
	}
	for i := 0; i+n <= len(images); i += n {
		s := statement{table: q.table, want: 1}
		if err := write(&s, images[i:i+n]); err != nil {
			return err
		}
		c := &change{first: images[i].Values}
		if n == 2 {
			c.after = images[i+1].Values
		}
		q.keep(&s, []*change{c})
		q.statements = append(q.statements, s)
	}
	return nil
}

// flush writes the inserts that were waiting for more of their kind.
func (q *sequence) flush() error {
	err := q.inserts("INSERT", q.inserted, "", 1, binlog.Insert)
	q.inserted = nil
	return err
}

func (q *sequence) assign(s *statement, row []any) error {
	first := true
	for i := range q.table.columns {
		c := &q.table.columns[i]
		if c.Generated {
			continue
		}
		if !first {
			s.text = append(s.text, ',')
		}
		first = false
		s.text = append(append(s.text, c.name...), '=')
		var err error
		if s.text, err = c.appendValue(s.text, row[i], q.types[i]); err != nil {
			return q.table.explain(err)
		}
		s.emptyEnum = s.emptyEnum || c.DataType == "enum" && row[i] == int64(0)
	}
	return nil
}

// where finds the row by its key, or by all columns. A collation may take different values for equal: without a key the bytes
// are compared as well.
func (q *sequence) where(s *statement, row []any) error {
	if len(q.table.key) > 0 {
		condition, err := q.condition(&change{keyed: q.table.keyValues(row)})
		if err != nil {
			return err
		}
		s.keys = append(s.keys, condition)
		s.text = append(append(s.text, " WHERE "...), condition...)
		return nil
	}
	s.text = append(s.text, " WHERE "...)
	first := true
	for i := range q.table.columns {
		c := &q.table.columns[i]
		if c.Generated {
			continue
		}
		if !first {
			s.text = append(s.text, " AND "...)
		}
		first = false
		s.text = append(append(s.text, c.comparable()...), "<=>"...)
		before, after := c.cast()
		var err error
		if s.text, err = c.appendValue(append(s.text, before...), row[i], q.types[i]); err != nil {
			return q.table.explain(err)
		}
		s.text = append(s.text, after...)
	}
	s.text = append(s.text, " LIMIT 1"...)
	return nil
}

// cast is what stands around a literal that is compared with the column: MySQL takes text for a JSON string, not for a document.
func (c *column) cast() (before, after string) {
	if c.DataType == "json" {
		return "CAST(", " AS JSON)"
	}
	return "", ""
}

// comparable is the expression that compares exactly with a literal of the column's.
func (c *column) comparable() string {
	if c.Charset != "" && c.DataType != "enum" && c.DataType != "set" {
		return "CAST(" + c.name + " AS BINARY)"
	}
	return c.name
}
