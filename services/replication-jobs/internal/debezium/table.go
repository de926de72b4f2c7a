package debezium

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
)

// Table writes the messages of a table's rows while its definition stays.
type Table struct {
	options Options
	name    string // schema.table at the source, for errors
	columns []Column
	fields  [][]byte // the names of the columns, as JSON, with what stands before them
	key     []int

	keyHead, keyTail     []byte
	valueHead            []byte
	sourceHead, sourceDB []byte
	tail                 []byte
	// room is a little more than what the last message took; tables are written by one goroutine.
	room int
}

// NewTable prepares messages for a table of the source. Its schemas and keys carry the name under which it is told, the source block that at
// the source. Key holds indexes of columns; rows of a table without have no key.
func (o Options) NewTable(source, told ddl.Name, columns []Column, key []int) *Table {
	name := o.Name + "." + told.Schema + "." + told.Table
	t := &Table{options: o, name: source.Schema + "." + source.Table, columns: columns, key: key, tail: []byte{'}'}}
	for i := range columns {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		t.fields = append(t.fields, append(appendQuoted([]byte{separator}, columns[i].name), ':'))
	}
	t.keyTail = []byte{'}'}
	keyField := field{kind: "struct", name: name + ".Key"}
	for _, i := range key {
		keyField.fields = append(keyField.fields, columns[i].field())
	}
	if o.SingleTopic {
		keyField.fields = append(keyField.fields, field{kind: "string", field: tableIdentifier})
		t.keyTail = append(appendQuoted([]byte(`,"`+tableIdentifier+`":`), name), '}')
	}
	if o.Schemas {
		t.keyHead = append(keyField.append([]byte(`{"schema":`)), `,"payload":`...)
		t.keyTail = append(t.keyTail, '}')
		t.valueHead = append(o.envelope(name, columns).append([]byte(`{"schema":`)), `,"payload":`...)
		t.tail = append(t.tail, '}')
	}
	t.sourceHead = o.sourceHead()
	t.sourceDB = appendQuoted([]byte(`,"db":`), source.Schema)
	t.sourceDB = append(t.sourceDB, `,"sequence":null,"table":`...)
	t.sourceDB = appendQuoted(t.sourceDB, source.Table)
	return t
}

// tableIdentifier is the field by which Debezium's topic routing tells the keys of several tables apart.
const tableIdentifier = "__dbz__physicalTableIdentifier"

// Keyed reports whether rows have a key.
func (t *Table) Keyed() bool { return len(t.key) > 0 }

// Key returns the key of a row, nil for a table without one.
func (t *Table) Key(row []any) ([]byte, error) {
	if len(t.key) == 0 {
		return nil, nil
	}
	out := append(make([]byte, 0, len(t.keyHead)+64), t.keyHead...)
	var err error
	for n, i := range t.key {
		if i >= len(row) || row[i] == nil {
			return nil, fmt.Errorf("table %s: column %s of the key is missing", t.name, t.columns[i].name)
		}
		if n == 0 {
			out = append(append(out, '{'), t.fields[i][1:]...)
		} else {
			out = append(append(out, ','), t.fields[i][1:]...)
		}
		if out, err = t.columns[i].append(out, row[i]); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return append(out, t.keyTail...), nil
}

// AppendValue appends the message of a change to dst. Before and after are nil where the operation has none.
func (t *Table) AppendValue(dst []byte, op Op, before, after []any, source Source, now time.Time) ([]byte, error) {
	start := len(dst)
	out := append(slices.Grow(dst, max(t.room, len(t.valueHead))), t.valueHead...)
	out = append(out, `{"before":`...)
	out, err := t.appendRow(out, before)
	if err != nil {
		return nil, err
	}
	out = append(out, `,"after":`...)
	if out, err = t.appendRow(out, after); err != nil {
		return nil, err
	}
	out = append(out, `,"source":`...)
	out = source.append(out, t.sourceHead, t.sourceDB)
	out = append(out, `,"op":"`...)
	out = append(out, op...)
	out = append(out, `","ts_ms":`...)
	out = strconv.AppendInt(out, now.UnixMilli(), 10)
	out = append(out, `,"transaction":null`...)
	out = append(out, t.tail...)
	t.room = (len(out) - start) * 9 / 8
	return out, nil
}

func (t *Table) appendRow(dst []byte, row []any) ([]byte, error) {
	if row == nil {
		return append(dst, "null"...), nil
	}
	if len(row) != len(t.columns) {
		return dst, fmt.Errorf("table %s: a row of %d values for %d columns", t.name, len(row), len(t.columns))
	}
	var err error
	for i := range t.columns {
		dst = append(dst, t.fields[i]...)
		if dst, err = t.columns[i].append(dst, row[i]); err != nil {
			return dst, fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return append(dst, '}'), nil
}

// sourceHead is the beginning of the source block.
func (o Options) sourceHead() []byte {
	out := appendQuoted([]byte(`{"version":`), o.Version)
	out = appendQuoted(append(out, `,"connector":`...), o.Connector)
	out = appendQuoted(append(out, `,"name":`...), o.Name)
	return append(out, `,"ts_ms":`...)
}

// append writes the block: head up to the time, names with the schema and the table.
func (s Source) append(dst, head, names []byte) []byte {
	dst = append(dst, head...)
	dst = strconv.AppendInt(dst, s.Time.UnixMilli(), 10)
	dst = append(dst, `,"snapshot":"`...)
	dst = strconv.AppendBool(dst, s.Snapshot)
	dst = append(dst, '"')
	dst = append(dst, names...)
	dst = append(dst, `,"server_id":`...)
	dst = strconv.AppendUint(dst, uint64(s.ServerID), 10)
	dst = append(dst, `,"gtid":`...)
	if s.GTID == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendQuoted(dst, s.GTID)
	}
	dst = appendQuoted(append(dst, `,"file":`...), s.File)
	dst = append(dst, `,"pos":`...)
	dst = strconv.AppendUint(dst, uint64(s.Offset), 10)
	dst = append(dst, `,"row":`...)
	dst = strconv.AppendInt(dst, int64(s.Row), 10)
	dst = append(dst, `,"thread":`...)
	if s.Thread == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendUint(dst, uint64(s.Thread), 10)
	}
	return append(dst, `,"query":null}`...)
}
