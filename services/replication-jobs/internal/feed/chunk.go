package feed

import (
	"context"
	"fmt"
	"slices"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/debezium"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

const (
	// maxChunkBytes bounds the messages of a chunk, and with it the memory in use.
	maxChunkBytes = 1 << 20
	// copyCommit is how long the messages of a copy wait for their commit at most.
	copyCommit = 500 * time.Millisecond
)

// chunk is a run of rows of a table. The last one of a table has done set.
type chunk struct {
	task     *task
	messages []kafka.Message
	bytes    int64
	rows     int64
	lastKey  []byte
	done     bool
}

// read turns one table after the other into chunks.
func (c *Copier) read(ctx context.Context, snap *fullcopy.Snapshot, session int, queue <-chan *task, out chan<- *chunk) error {
	for t := range queue {
		if err := c.readTable(ctx, snap, session, t, out); err != nil {
			return err
		}
	}
	return nil
}

func (c *Copier) readTable(ctx context.Context, snap *fullcopy.Snapshot, session int, t *task, out chan<- *chunk) error {
	columns, err := c.cfg.Format.Defined(t.table)
	if err != nil {
		return err
	}
	key, err := keyOf(snap, session, t.table)
	if err != nil {
		return err
	}
	messages, err := c.cfg.table(ddl.Name{Schema: t.table.Schema, Table: t.table.Name}, t.table.Columns, columns, key)
	if err != nil {
		return err
	}
	r := &rowReader{ctx: ctx, copier: c, task: t, table: messages, out: out, place: map[int]int{}, source: debezium.Source{
		Time: time.Now(), Snapshot: true, File: snap.Position().File, Offset: snap.Position().Offset,
	}}
	var expressions []string
	for _, at := range messages.rows.Order(len(columns)) {
		r.place[at] = len(expressions)
		expressions = append(expressions, expression(t.table.Columns[at]))
	}
	r.values = make([]any, len(expressions))
	if err := snap.Read(ctx, session, t.table, t.key, expressions, t.state.LastKey, r.add); err != nil {
		return err
	}
	r.begin()
	r.chunk.done = true
	return r.flush()
}

// keyOf returns the columns that the server takes for a table's primary key when it logs rows: the first unique key in its own order
// without nullable columns. One over a prefix counts only as the PRIMARY KEY.
func keyOf(snap *fullcopy.Snapshot, session int, t *mysql.Table) ([]int, error) {
	r, err := snap.Indexes(session, t)
	if err != nil {
		return nil, err
	}
	var key []int
	var name string
	usable := false
	for i := range r.RowNumber() {
		index, err := r.GetStringByName(i, "Key_name")
		if err != nil {
			return nil, err
		}
		if index != name {
			if usable {
				return key, nil
			}
			name, key, usable = index, nil, true
		}
		column, err := r.GetStringByName(i, "Column_name") // "" for an expression
		if err != nil {
			return nil, err
		}
		repeated, err := r.GetIntByName(i, "Non_unique")
		if err != nil {
			return nil, err
		}
		nullable, err := r.GetStringByName(i, "Null")
		if err != nil {
			return nil, err
		}
		whole, err := r.IsNullByName(i, "Sub_part")
		if err != nil {
			return nil, err
		}
		place := t.Column(column)
		usable = usable && repeated == 0 && place >= 0 && nullable != "YES" && (whole || index == "PRIMARY")
		key = append(key, place)
	}
	if !usable {
		return nil, nil
	}
	return key, nil
}

// rowReader turns the rows of one table into chunks.
type rowReader struct {
	ctx    context.Context //nolint:containedctx // that of one table; the callback of the driver has none
	copier *Copier
	task   *task
	table  *table
	source debezium.Source
	values []any
	place  map[int]int // where in a row each column of the source is
	chunk  *chunk
	out    chan<- *chunk
}

func (r *rowReader) begin() {
	if r.chunk == nil {
		r.chunk = &chunk{task: r.task}
	}
}

// add writes a row into the chunk under way, and sends that when it is full.
func (r *rowReader) add(row []gomysql.FieldValue) error {
	if taken, err := r.table.rows.MatchCopied(row, r.place); err != nil || !taken {
		return err
	}
	r.begin()
	for i := range row {
		r.values[i] = value(&row[i])
	}
	key, err := r.table.Key(r.values)
	if err != nil {
		return err
	}
	now := time.Now()
	text, err := r.table.AppendValue(r.copier.cfg.Producer.Buffer(), debezium.Read, nil, r.values, r.source, now)
	if err != nil {
		return err
	}
	c := r.chunk
	c.messages = append(c.messages, r.table.message(key, text, now))
	c.bytes += int64(len(key) + len(text))
	c.rows++
	c.lastKey = c.lastKey[:0]
	for _, i := range r.task.key {
		c.lastKey = fullcopy.AppendKey(c.lastKey, &row[r.place[i]])
	}
	if c.rows >= int64(r.copier.cfg.ChunkSize) || c.bytes >= maxChunkBytes {
		return r.flush()
	}
	return nil
}

func (r *rowReader) flush() error {
	c := r.chunk
	r.chunk = nil
	select {
	case r.out <- c:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// tellDefinitions writes a message for each table that no earlier snapshot has seen as it is now.
func (c *Copier) tellDefinitions(ctx context.Context, snap *fullcopy.Snapshot, tasks []*task) error {
	now := time.Now()
	at := snap.Position()
	source := debezium.Source{Time: now, Snapshot: true, File: at.File, Offset: at.Offset}
	for _, t := range tasks {
		if !t.new {
			continue
		}
		if err := c.cfg.Producer.Send(ctx, c.cfg.change(t.table.Schema, snap.Create(t.table), source, now)); err != nil {
			return err
		}
	}
	return nil
}

// write sends chunks, and commits them with the record of how far their tables have come.
func (c *Copier) write(ctx context.Context, chunks <-chan *chunk) error {
	w := &copyWriter{copier: c}
	ticker := time.NewTicker(copyCommit)
	defer ticker.Stop()
	for {
		select {
		case k, open := <-chunks:
			if !open {
				return w.commit(ctx)
			}
			if err := w.take(ctx, k); err != nil {
				return err
			}
		case <-ticker.C:
			if err := w.commit(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// copyWriter gathers chunks for one commit.
type copyWriter struct {
	copier *Copier
	tables []*task
	bytes  int64
	rows   int64
}

func (w *copyWriter) take(ctx context.Context, c *chunk) error {
	for _, m := range c.messages {
		if err := w.copier.cfg.Producer.Send(ctx, m); err != nil {
			return err
		}
	}
	state := c.task.state
	state.RowsCopied += c.rows
	state.Done = c.done
	if c.rows > 0 && c.task.key != nil {
		state.LastKey = slices.Clone(c.lastKey)
	}
	w.bytes += c.bytes
	w.rows += c.rows
	if !slices.Contains(w.tables, c.task) {
		w.tables = append(w.tables, c.task)
	}
	if w.bytes >= maxGroupBytes {
		return w.commit(ctx)
	}
	return nil
}

func (w *copyWriter) commit(ctx context.Context) error {
	if len(w.tables) == 0 {
		return nil
	}
	var records []kafka.Record
	for _, t := range w.tables {
		r, err := kafka.TableRecord(t.state)
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	if err := w.copier.cfg.Producer.Commit(ctx, records...); err != nil {
		return err
	}
	w.copier.copied.Add(w.rows)
	for _, t := range w.tables {
		if t.state.Done {
			w.copier.cfg.Event("copy", fmt.Sprintf("%s is copied: %d rows", t.table, t.state.RowsCopied))
		}
	}
	*w = copyWriter{copier: w.copier}
	return nil
}
