package fullcopy

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// conflictTries bounds how often a transaction is tried after the target has rolled it back for a lock.
const conflictTries = 10

// write takes chunks until there are no more.
func (p *pipeline) write(ctx context.Context) error {
	t, err := openTarget(ctx, p.copier.opt)
	if err != nil {
		return err
	}
	defer t.close()
	for c := range p.chunks {
		if c.data != nil {
			if err := t.writeChunk(c); err != nil {
				return err
			}
			c.task.rows.Add(int64(c.rows))
			p.copier.copied.Add(int64(c.rows))
			p.recycle(c.data)
		}
		if c.task.open.Add(-1) > 0 {
			continue
		}
		if err := t.finish(c.task); err != nil {
			return err
		}
	}
	return nil
}

func (p *pipeline) recycle(buffer []byte) {
	if cap(buffer) > 2*maxChunk {
		return // one huge row must not stay in memory
	}
	select {
	case p.spare <- buffer:
	default:
	}
}

// commit runs do in a transaction, again if the target rolls it back for a lock.
func (t *target) commit(do func() error) error {
	var err error
	for range conflictTries {
		err = t.conn.Transaction(do)
		if code := mysql.Code(err); code != gomysql.ER_LOCK_DEADLOCK && code != gomysql.ER_LOCK_WAIT_TIMEOUT {
			break
		}
	}
	return mysql.Explain(err)
}

// errInexact says that a file holds what a column does not take as it is.
var errInexact = errors.New("a value would not arrive as it is")

// writeChunk commits the rows together with the record of them. Rows that do not go as a file go as a statement, which says what is wrong with them, if
// anything is.
func (t *target) writeChunk(c *chunk) error {
	err := t.tryChunk(c)
	if errors.Is(err, errInexact) {
		t.opt.Log.Debug("rows do not go as a file", zap.Stringer("table", c.task.table), zap.Int64("chunk", c.number))
		c.data, c.file = c.task.form.statement(c.data), false
		err = t.tryChunk(c)
	}
	return err
}

func (t *target) tryChunk(c *chunk) error {
	if len(c.data) >= t.conn.MaxAllowedPacket {
		return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf("a row of %s needs a statement of %d bytes: raise max_allowed_packet on the target %s, now %d, above that",
			c.task.there(), len(c.data), t.opt.Target.Addr(), t.conn.MaxAllowedPacket)}
	}
	if err := t.commit(func() error { return t.insert(c) }); err != nil {
		return fmt.Errorf("write %d rows of %s to the target: %w", c.rows, c.task.there(), err)
	}
	return nil
}

func (t *target) insert(c *chunk) error {
	if err := t.insertRows(c); err != nil {
		return err
	}
	if c.task.chunked() {
		return t.rec.AddChunk(c.task.table.Schema, c.task.table.Name, c.number, c.lastKey, int64(c.rows))
	}
	return t.rec.Mark()
}

func (t *target) insertRows(c *chunk) error {
	run := func() error {
		_, err := t.conn.Run(c.data)
		return err
	}
	switch {
	case c.file:
		return t.load(c)
	case c.lenient:
		return t.lenient(run)
	}
	return run()
}

// load writes a file. To the server a value that does not fit, or a key that exists, is a warning.
func (t *target) load(c *chunk) error {
	if c.lenient {
		return errInexact
	}
	r, err := t.conn.Load(c.task.form.load, c.data)
	if err == nil && (r.Warnings > 0 || r.AffectedRows < uint64(c.rows)) {
		err = errInexact
	}
	return err
}

// finish adds the table's last keys and records that it is complete.
func (t *target) finish(task *task) error {
	if err := t.addKeys(task); err != nil {
		return err
	}
	task.state.Done = true
	task.state.RowsCopied = task.rows.Load()
	err := t.commit(func() error {
		if err := t.rec.PutTable(task.state); err != nil {
			return err
		}
		if err := t.rec.DropChunks(task.table.Schema, task.table.Name, 0); err != nil {
			return err
		}
		return t.rec.Fence()
	})
	if err != nil {
		return fmt.Errorf("record that %s is copied: %w", task.table, err)
	}
	t.opt.Event("copy", fmt.Sprintf("%s is copied: %d rows", task.table, task.state.RowsCopied))
	return nil
}
