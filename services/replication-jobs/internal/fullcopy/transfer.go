package fullcopy

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// chunk is a run of rows of a table, adjacent in its key, ready to be written. One without data says that the table
// has no more.
type chunk struct {
	task   *task
	number int64
	// data are the rows: a file if that is set, else a statement.
	data    []byte
	file    bool
	rows    int
	lastKey []byte
	// lenient is set if a row holds the empty ENUM value, which a strict session refuses.
	lenient bool
}

// maxChunk bounds a chunk in bytes, and with it the memory in use.
const maxChunk = 1 << 20

// pipeline moves chunks from readers to writers and takes their buffers back.
type pipeline struct {
	copier *Copier
	tasks  chan *task
	chunks chan *chunk
	spare  chan []byte
	// limit is the size at which a chunk is full.
	limit int
}

// transfer reads the tasks through the snapshot's sessions and writes them through as many sessions like t as the options say. Statements
// stay well below its largest packet, unless a single row does not.
func (c *Copier) transfer(ctx context.Context, snap *snapshot, tasks []*task, t *target) error {
	group, ctx := errgroup.WithContext(ctx)
	p := &pipeline{
		copier: c, tasks: make(chan *task, len(tasks)),
		chunks: make(chan *chunk, c.opt.Writers), spare: make(chan []byte, 2*c.opt.Writers+len(snap.readers)),
		limit: min(maxChunk, t.conn.MaxAllowedPacket/2),
	}
	for _, t := range tasks {
		t.open.Store(1) // the reader
		p.tasks <- t
	}
	close(p.tasks)
	readers, readCtx := errgroup.WithContext(ctx)
	for _, conn := range snap.readers {
		readers.Go(func() error { return p.read(readCtx, conn) })
	}
	group.Go(func() error {
		defer close(p.chunks)
		defer snap.close() // the source need not keep it while the target adds keys
		return readers.Wait()
	})
	for range c.opt.Writers {
		group.Go(func() error { return p.write(ctx) })
	}
	return group.Wait()
}

// read copies one table after the other into chunks.
func (p *pipeline) read(ctx context.Context, conn *mysql.Conn) error {
	for t := range p.tasks {
		if err := aside(conn, func() error { return p.readTable(ctx, conn, t) }); err != nil {
			return err
		}
		if err := p.send(ctx, &chunk{task: t}); err != nil {
			return err
		}
	}
	return nil
}

// aside reads within a savepoint, which lets go of the table's metadata lock afterwards, so that an ALTER TABLE at the source need not
// wait for the end of the copy.
func aside(conn *mysql.Conn, read func() error) error {
	if _, err := conn.Execute("SAVEPOINT opsdeck_table"); err != nil {
		return mysql.Explain(err)
	}
	if err := read(); err != nil {
		return err
	}
	_, err := conn.Execute("ROLLBACK TO SAVEPOINT opsdeck_table")
	return mysql.Explain(err)
}

func (p *pipeline) readTable(ctx context.Context, conn *mysql.Conn, t *task) error {
	r, err := newReader(p, t)
	if err != nil {
		return err
	}
	if err := selectRows(ctx, conn, t.table, r.query, func(row []gomysql.FieldValue) error { return r.add(ctx, row) }); err != nil {
		return err
	}
	return r.flush(ctx)
}

// selectRows streams the rows of a query on a table of the snapshot.
func selectRows(ctx context.Context, conn *mysql.Conn, t *mysql.Table, query string, row func([]gomysql.FieldValue) error) error {
	var result gomysql.Result
	err := conn.ExecuteSelectStreaming(query, &result, row, nil)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch mysql.Code(err) {
	case gomysql.ER_TABLE_DEF_CHANGED, gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_FIELD_ERROR:
		return fmt.Errorf("%w: %s: %w", ErrChanged, t, err)
	}
	return fmt.Errorf("read %s from the source: %w", t, mysql.Explain(err))
}

func (p *pipeline) send(ctx context.Context, c *chunk) error {
	select {
	case p.chunks <- c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reader turns the rows of one table into chunks.
type reader struct {
	pipeline *pipeline
	task     *task
	query    string
	// key holds, for each key column, its place in the rows.
	key []int
	// rows decides about each row; place tells where in it each column of the source is.
	rows  *mapping.Rows
	place map[int]int
	chunk *chunk
	next  int64
}

func newReader(p *pipeline, t *task) (*reader, error) {
	rows, err := p.copier.opt.Mapping.Rows(ddl.Name{Schema: t.table.Schema, Table: t.table.Name}, t.table.Columns)
	if err != nil {
		return nil, err
	}
	place := map[int]int{}
	r := &reader{pipeline: p, task: t, next: t.state.Chunks, rows: rows, place: place}
	var columns []mysql.Column
	var expressions []string
	for _, i := range rows.Order(len(t.table.Columns)) {
		c := t.table.Columns[i]
		if c.Generated {
			continue
		}
		expression, _ := readColumn(c)
		place[i] = len(columns)
		columns = append(columns, c)
		expressions = append(expressions, expression)
	}
	t.form = formOf(t, columns)
	r.query = "SELECT " + strings.Join(expressions, ", ") + " FROM " + mysql.QuoteTable(t.table.Schema, t.table.Name)
	for _, k := range t.key {
		r.key = append(r.key, place[k])
	}
	return r, r.order(t)
}

// order makes the query return the rows in key order, behind what is copied.
func (r *reader) order(t *task) error {
	if !t.chunked() {
		return nil
	}
	columns := t.keyColumns()
	if len(t.table.PrimaryKey) > 0 && t.key[0] == t.table.PrimaryKey[0] && len(t.key) == len(t.table.PrimaryKey) {
		r.query += " FORCE INDEX (`PRIMARY`)"
	}
	if t.resumed() {
		literals, err := keyLiterals(t.state.LastKey, columns)
		if err != nil {
			return fmt.Errorf("%s: %w", t.table, err)
		}
		r.query += " WHERE " + after(columns, literals)
	}
	order := make([]string, len(columns))
	for i, c := range columns {
		order[i] = mysql.QuoteIdent(c.Name)
	}
	r.query += " ORDER BY " + strings.Join(order, ", ")
	return nil
}

// add appends a row to the chunk under way, and sends that when it is full.
func (r *reader) add(ctx context.Context, row []gomysql.FieldValue) error {
	if taken, err := r.rows.MatchCopied(row, r.place); err != nil || !taken {
		return err
	}
	if r.chunk == nil {
		r.begin()
	}
	c := r.chunk
	for i, how := range r.task.form.how {
		c.lenient = c.lenient || how == ordinal && row[i].Type != gomysql.FieldValueTypeNull && row[i].AsUint64() == 0
	}
	c.data = r.task.form.append(c.data, row, c.rows == 0)
	c.rows++
	c.lastKey = c.lastKey[:0]
	for _, k := range r.key {
		c.lastKey = appendKeyValue(c.lastKey, &row[k])
	}
	if c.rows >= r.pipeline.copier.opt.ChunkSize || len(c.data) >= r.pipeline.limit {
		return r.flush(ctx)
	}
	return nil
}

func (r *reader) begin() {
	var buffer []byte
	select {
	case buffer = <-r.pipeline.spare:
	default:
	}
	r.chunk = &chunk{task: r.task, number: r.next, file: r.task.form.load != "", data: r.task.form.begin(buffer[:0])}
	r.next++
}

// flush sends the chunk under way.
func (r *reader) flush(ctx context.Context) error {
	c := r.chunk
	if c == nil {
		return nil
	}
	r.chunk = nil
	if err := r.pipeline.copier.opt.Pace.Wait(ctx, int64(c.rows), int64(len(c.data))); err != nil {
		return err
	}
	r.task.open.Add(1)
	return r.pipeline.send(ctx, c)
}
