package apply

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// changes are the changes of one table's rows within one target transaction, each row's reduced to their net effect. The source's
// table was consistent before and after; so when rows that go, and rows that change, are deleted or changed in place first and
// rows that come are inserted last, no unique key is violated on the way, in whatever order the source did it.
type changes struct {
	table *table
	mode  progress.Mode
	types []byte // the source's column types
	rows  []*change
	byKey map[string]*change
}

// change is the net effect on one row. The row is known by the literal of its key as it is stored, not as a collation compares it.
type change struct {
	key     string
	keyed   []any // the values of the key's columns
	existed bool
	first   []any // the row before the first change, if it existed
	after   []any // the row after the last change, nil when it is gone
	merged  bool  // more than one change
}

func newChanges(t *table, mode progress.Mode, types []byte) *changes {
	return &changes{table: t, mode: mode, types: types, byKey: map[string]*change{}}
}

// add takes the images of one event.
func (c *changes) add(kind binlog.Kind, images []binlog.Image) error {
	switch kind {
	case binlog.Insert:
		for _, image := range images {
			if err := c.insert(image.Values); err != nil {
				return err
			}
		}
	case binlog.Delete:
		for _, image := range images {
			if err := c.remove(image.Values); err != nil {
				return err
			}
		}
	case binlog.Update:
		for i := 0; i+1 < len(images); i += 2 {
			if err := c.update(images[i].Values, images[i+1].Values); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *changes) insert(row []any) error {
	ch, err := c.change(row)
	switch {
	case err != nil:
		return err
	case ch.after != nil && c.mode == progress.Strict:
		return c.contradiction(ch, "is inserted while it exists")
	}
	ch.after = row
	return nil
}

func (c *changes) remove(row []any) error {
	ch, err := c.existing(row)
	if err != nil {
		return err
	}
	ch.after = nil
	return nil
}

func (c *changes) update(before, after []any) error {
	from, err := c.existing(before)
	if err != nil {
		return err
	}
	key, err := c.key(after)
	if err != nil {
		return err
	}
	if key == from.key {
		from.after = after
		return nil
	}
	from.after = nil
	return c.insert(after)
}

// existing is the change of a row that is there before it.
func (c *changes) existing(row []any) (*change, error) {
	ch, err := c.change(row)
	switch {
	case err != nil:
		return nil, err
	case !ch.merged:
		ch.existed, ch.first = true, row
	case ch.after == nil && c.mode == progress.Strict:
		return nil, c.contradiction(ch, "is changed while it does not exist")
	}
	return ch, nil
}

// change finds or adds the row's entry, which counts as merged from the second time on.
func (c *changes) change(row []any) (*change, error) {
	key, err := c.key(row)
	if err != nil {
		return nil, err
	}
	if ch := c.byKey[key]; ch != nil {
		ch.merged = true
		return ch, nil
	}
	ch := &change{key: key, keyed: c.table.keyValues(row)}
	c.byKey[key] = ch
	c.rows = append(c.rows, ch)
	return ch, nil
}

func (c *changes) key(row []any) (string, error) {
	var key []byte
	for n, i := range c.table.key {
		if n > 0 {
			key = append(key, ',')
		}
		var err error
		if key, err = c.table.columns[i].appendValue(key, row[i], c.types[i]); err != nil {
			return "", c.table.explain(err)
		}
	}
	return string(key), nil
}

func (c *changes) contradiction(ch *change, what string) error {
	return c.table.explain(fmt.Errorf("the row with key (%s) %s, within one transaction of the source", ch.key, what))
}

func (t *table) explain(err error) error {
	return fmt.Errorf("table %s: %w", t, err)
}

func (t *table) keyValues(row []any) []any {
	values := make([]any, len(t.key))
	for n, i := range t.key {
		values[n] = row[i]
	}
	return values
}

// sameRow compares rows bit for bit: minus zero is not zero.
func sameRow(a, b []any) bool {
	return slices.EqualFunc(a, b, func(x, y any) bool {
		switch x := x.(type) {
		case []byte:
			y, ok := y.([]byte)
			return ok && bytes.Equal(x, y)
		case float32:
			y, ok := y.(float32)
			return ok && math.Float32bits(x) == math.Float32bits(y)
		case float64:
			y, ok := y.(float64)
			return ok && math.Float64bits(x) == math.Float64bits(y)
		case string:
			y, ok := y.(string)
			return ok && x == y
		}
		_, isBytes := y.([]byte)
		return !isBytes && x == y
	})
}
