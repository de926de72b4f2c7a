package feed

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/debezium"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// The headers by which Debezium ties the two halves of a changed key together.
const (
	headerNewKey = "__debezium.newkey"
	headerOldKey = "__debezium.oldkey"
)

// write writes what a transaction changes.
func (f *Follower) write(ctx context.Context, t *binlog.Transaction, at mysql.Point) error {
	now := time.Now()
	source := debezium.Source{Time: t.Timestamp, ServerID: t.ServerID, Thread: t.Thread, GTID: t.GTID, File: t.Position.File}
	if t.Definition != nil {
		return f.define(ctx, t.Definition, at, source, now)
	}
	for _, rows := range t.Changes {
		if f.handover.Mode(rows.Schema, rows.Table, at) == progress.Skip {
			continue
		}
		source.Offset = rows.Offset
		if err := f.rows(ctx, rows, source, now); err != nil {
			return fmt.Errorf("event at %s:%d: %w", source.File, rows.Offset, err)
		}
	}
	return nil
}

// define writes a message about a statement. Events behind it tell the new definition themselves.
func (f *Follower) define(ctx context.Context, d *binlog.Definition, at mysql.Point, source debezium.Source, now time.Time) error {
	source.Offset = d.Position.Offset
	if d.Problem != nil {
		return f.unread(ctx, d, source, now)
	}
	statement, ok, err := d.Restrict(uncopied{Selection: f.cfg.Mapping, handover: f.handover, at: at})
	if err != nil {
		return fmt.Errorf("the statement at %s cannot be told: %s: %w", d.Position, ddl.Excerpt(d.Text), err)
	}
	if !ok || d.ErrorCode != 0 {
		return nil
	}
	schema := statement.Schema
	if schema == "" && len(statement.Tables) > 0 {
		schema = statement.Tables[0].Schema
	}
	return f.send(ctx, f.cfg.change(schema, statement.Text, source, now))
}

// unread tells a statement that is not understood as it is. The rows behind it carry their own definition: nothing depends on it.
func (f *Follower) unread(ctx context.Context, d *binlog.Definition, source debezium.Source, now time.Time) error {
	schema := d.Session.Schema
	if schema != "" && !f.cfg.Mapping.Schema(schema) {
		return nil
	}
	f.cfg.Event("ddl_unread", fmt.Sprintf("the statement at %s is not understood, and told as it is: %s", d.Position, ddl.Excerpt(d.Text)))
	return f.send(ctx, f.cfg.change(schema, d.Text, source, now))
}

// uncopied is the selection without what a copy has seen in its later state.
type uncopied struct {
	ddl.Selection
	handover *progress.Handover
	at       mysql.Point
}

// Schema implements ddl.Selection.
func (u uncopied) Schema(name string) bool {
	return u.Selection.Schema(name) && u.handover.Schema(u.at) != progress.Skip
}

// Table implements ddl.Selection.
func (u uncopied) Table(schema, table string) bool {
	return u.Selection.Table(schema, table) && u.handover.Mode(schema, table, u.at) != progress.Skip
}

// table returns the table in the shape in which the rows were logged, nil for a sequence.
func (f *Follower) table(rows *binlog.Rows) (*table, error) {
	name := [2]string{rows.Schema, rows.Table}
	if k, ok := f.tables[name]; ok && k.shape == rows.Shape {
		return k.table, nil
	}
	k := known{shape: rows.Shape}
	if isSequence(rows.Shape) {
		if full := rows.Schema + "." + rows.Table; !f.ignored[full] {
			f.ignored[full] = true
			f.cfg.Event("sequence_ignored", "the values of sequence "+full+" are not written")
		}
	} else {
		columns, err := f.cfg.Format.Logged(rows.Shape, f.cfg.Collations)
		if err != nil {
			return nil, fmt.Errorf("table %s.%s: %w", rows.Schema, rows.Table, err)
		}
		catalog, err := f.cfg.Collations.Columns(rows.Shape)
		if err != nil {
			return nil, fmt.Errorf("table %s.%s: %w", rows.Schema, rows.Table, err)
		}
		if k.table, err = f.cfg.table(ddl.Name{Schema: rows.Schema, Table: rows.Table}, catalog, columns, rows.Shape.Key); err != nil {
			return nil, err
		}
	}
	f.tables[name] = k
	return k.table, nil
}

// sequenceColumns are those of a MariaDB sequence, which is logged as a table of one row.
var sequenceColumns = []string{"next_not_cached_value", "minimum_value", "maximum_value", "start_value", "increment", "cache_size", "cycle_option", "cycle_count"}

func isSequence(s *binlog.Shape) bool {
	if len(s.Columns) != len(sequenceColumns) {
		return false
	}
	for i, name := range sequenceColumns {
		if s.Columns[i].Name != name {
			return false
		}
	}
	return true
}

func (f *Follower) rows(ctx context.Context, rows *binlog.Rows, source debezium.Source, now time.Time) error {
	t, err := f.table(rows)
	if err != nil || t == nil {
		return err
	}
	shape := rows.Shape
	images, err := rows.Images()
	if err != nil {
		return err
	}
	for _, image := range images {
		if len(image.Missing) > 0 {
			return fmt.Errorf("the log leaves out column %s of table %s: set binlog_row_image=FULL at the source", shape.Columns[image.Missing[0]].Name, t.name)
		}
	}
	runs, err := t.rows.Runs(rows.Kind, images)
	if err != nil {
		return err
	}
	source.Row = 0
	for _, run := range runs {
		if err := f.run(ctx, t, run, &source, now); err != nil {
			return err
		}
	}
	return nil
}

// run writes changes of one kind, and counts them in the place that the source block tells.
func (f *Follower) run(ctx context.Context, t *table, run mapping.Run, source *debezium.Source, now time.Time) error {
	step := 1
	if run.Kind == binlog.Update {
		step = 2
	}
	images := run.Images
	for i := 0; i < len(images); i += step {
		var err error
		switch run.Kind {
		case binlog.Insert:
			err = f.insert(ctx, t, images[i].Values, *source, now)
		case binlog.Delete:
			err = f.remove(ctx, t, images[i].Values, *source, now)
		default:
			err = f.update(ctx, t, images[i].Values, images[i+1].Values, *source, now)
		}
		if err != nil {
			return err
		}
		source.Row++
		f.group.rows++
	}
	return nil
}

func (f *Follower) insert(ctx context.Context, t *table, after []any, source debezium.Source, now time.Time) error {
	key, err := t.Key(after)
	if err != nil {
		return err
	}
	value, err := t.AppendValue(f.cfg.Producer.Buffer(), debezium.Create, nil, after, source, now)
	if err != nil {
		return err
	}
	return f.send(ctx, t.message(key, value, now))
}

// remove writes a deletion and, for compaction, a tombstone; the latter needs a key.
func (f *Follower) remove(ctx context.Context, t *table, before []any, source debezium.Source, now time.Time) error {
	key, err := t.Key(before)
	if err != nil {
		return err
	}
	return f.removeKey(ctx, t, key, before, nil, source, now)
}

func (f *Follower) removeKey(ctx context.Context, t *table, key []byte, before []any, headers []kafka.Header, source debezium.Source, now time.Time) error {
	value, err := t.AppendValue(f.cfg.Producer.Buffer(), debezium.Delete, before, nil, source, now)
	if err != nil {
		return err
	}
	m := t.message(key, value, now)
	m.Headers = headers
	if err := f.send(ctx, m); err != nil || key == nil {
		return err
	}
	return f.send(ctx, t.message(key, nil, now))
}

// update writes an update; one of the key is a deletion and a creation.
func (f *Follower) update(ctx context.Context, t *table, before, after []any, source debezium.Source, now time.Time) error {
	oldKey, err := t.Key(before)
	if err != nil {
		return err
	}
	newKey, err := t.Key(after)
	if err != nil {
		return err
	}
	if bytes.Equal(oldKey, newKey) {
		value, err := t.AppendValue(f.cfg.Producer.Buffer(), debezium.Update, before, after, source, now)
		if err != nil {
			return err
		}
		return f.send(ctx, t.message(newKey, value, now))
	}
	if err := f.removeKey(ctx, t, oldKey, before, []kafka.Header{{Name: headerNewKey, Value: newKey}}, source, now); err != nil {
		return err
	}
	value, err := t.AppendValue(f.cfg.Producer.Buffer(), debezium.Create, nil, after, source, now)
	if err != nil {
		return err
	}
	m := t.message(newKey, value, now)
	m.Headers = []kafka.Header{{Name: headerOldKey, Value: oldKey}}
	return f.send(ctx, m)
}

func (f *Follower) send(ctx context.Context, m kafka.Message) error {
	if f.group.messages == 0 {
		f.group.begun = time.Now()
	}
	f.group.messages++
	f.group.bytes += int64(len(m.Key) + len(m.Value))
	return f.cfg.Producer.Send(ctx, m)
}
