package progress

import (
	"errors"
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Table is how far the copy of a table has come.
type Table struct {
	Schema, Name string
	// Fingerprint is a hash of the definition that the table was copied with.
	Fingerprint string
	// First and Last are the snapshots that the table's rows come from.
	First, Last int
	// RowsEstimate is the source's statistic at the start, RowsCopied what has been written.
	RowsEstimate, RowsCopied int64
	// Done is set when all rows are written.
	Done bool
	// Chunks counts the chunks from the start of the table that are written without a gap, and LastKey is the encoded key of
	// the last row in them. They are kept until Done.
	Chunks  int64
	LastKey []byte
}

// Copy is how far a copy has come.
type Copy struct {
	// Snapshots are the positions of the snapshots read so far, in order.
	Snapshots []mysql.Position
	Tables    []*Table
}

// Table returns the named table, nil if the copy has not begun it.
func (c *Copy) Table(schema, name string) *Table {
	for _, t := range c.Tables {
		if t.Schema == schema && t.Name == name {
			return t
		}
	}
	return nil
}

// Start returns where streaming must begin: the position of the earliest snapshot that any table was copied from.
func (c *Copy) Start() mysql.Position {
	if len(c.Snapshots) == 0 {
		return mysql.Position{}
	}
	first := len(c.Snapshots) - 1
	for _, t := range c.Tables {
		first = min(first, t.First)
	}
	return c.Snapshots[first]
}

// Rows returns the number of rows copied.
func (c *Copy) Rows() int64 {
	var n int64
	for _, t := range c.Tables {
		n += t.RowsCopied
	}
	return n
}

// Handover returns the rules for applying the binary log after the copy, nil if there was none.
func (c *Copy) Handover(flavor mysql.Flavor) (*Handover, error) {
	if len(c.Snapshots) == 0 {
		return nil, nil //nolint:nilnil // documented: a nil Handover is usable
	}
	points := make([]mysql.Point, len(c.Snapshots))
	for i, p := range c.Snapshots {
		var err error
		if points[i], err = mysql.ParsePoint(flavor, p); err != nil {
			return nil, err
		}
	}
	last := points[len(points)-1]
	h := &Handover{flavor: flavor, rest: window{last, last}, tables: make(map[ddl.Name]window, len(c.Tables))}
	for _, t := range c.Tables {
		h.tables[ddl.Name{Schema: t.Schema, Table: t.Name}] = window{points[t.First], points[t.Last]}
	}
	return h, nil
}

// LoadCopy reads how far the job's copy has come; it is empty for a job that copies nothing.
func LoadCopy(c *mysql.Conn, jobID string) (*Copy, error) {
	out := &Copy{}
	for _, load := range []func(*mysql.Conn, string) error{out.loadSnapshots, out.loadTables, out.loadChunks} {
		if err := load(c, jobID); err != nil {
			return nil, fmt.Errorf("load the copy's progress: %w", mysql.Explain(err))
		}
	}
	return out, nil
}

func (c *Copy) loadSnapshots(conn *mysql.Conn, jobID string) error {
	r, err := conn.Execute(`SELECT log_file, log_pos, gtid_set FROM opsdeck.replication_snapshot
		WHERE job_id = ? ORDER BY snapshot`, jobID)
	if err != nil {
		return err
	}
	for i := range r.RowNumber() {
		row := scanner{r: r, row: i}
		c.Snapshots = append(c.Snapshots, row.position(0))
		if row.err != nil {
			return row.err
		}
	}
	return nil
}

func (c *Copy) loadTables(conn *mysql.Conn, jobID string) error {
	r, err := conn.Execute(`SELECT table_schema, table_name, fingerprint, first_snapshot, last_snapshot, rows_estimate, rows_copied, done
		FROM opsdeck.replication_table WHERE job_id = ? AND first_snapshot <> ? ORDER BY table_schema, table_name`, jobID, notCopied)
	if err != nil {
		return err
	}
	for i := range r.RowNumber() {
		row := scanner{r: r, row: i}
		c.Tables = append(c.Tables, &Table{
			Schema: row.text(0), Name: row.text(1), Fingerprint: row.text(2),
			First: int(row.int(3)), Last: int(row.int(4)),
			RowsEstimate: row.int(5), RowsCopied: row.int(6), Done: row.int(7) != 0,
		})
		if row.err != nil {
			return row.err
		}
	}
	return nil
}

// loadChunks finds, for each unfinished table, the chunks before the first gap: several are written at a time, so that the last
// ones before a crash need not be adjacent.
func (c *Copy) loadChunks(conn *mysql.Conn, jobID string) error {
	s, err := conn.Prepare(`SELECT c.table_schema, c.table_name, c.chunk, c.row_count, c.last_key
		FROM opsdeck.replication_chunk c JOIN opsdeck.replication_table t USING (job_id, table_schema, table_name)
		WHERE job_id = ? AND NOT t.done ORDER BY c.table_schema, c.table_name, c.chunk`)
	if err != nil {
		return err
	}
	var t *Table
	var result gomysql.Result
	err = s.ExecuteSelectStreaming(&result, func(row []gomysql.FieldValue) error {
		schema, name := string(row[0].AsString()), string(row[1].AsString())
		if t == nil || t.Schema != schema || t.Name != name {
			t = c.Table(schema, name)
		}
		if t != nil && row[2].AsInt64() == t.Chunks {
			t.Chunks++
			t.RowsCopied += row[3].AsInt64()
			t.LastKey = append(t.LastKey[:0], row[4].AsString()...)
		}
		return nil
	}, nil, jobID)
	return errors.Join(err, s.Close())
}

// AddSnapshot records the position of the copy's next snapshot.
func (r *Recorder) AddSnapshot(snapshot int, at mysql.Position) error {
	_, err := r.conn.Execute(`INSERT INTO opsdeck.replication_snapshot (job_id, snapshot, log_file, log_pos, gtid_set) VALUES (?, ?, ?, ?, ?)`,
		r.jobID, snapshot, at.File, at.Offset, at.GTIDSet)
	if err != nil {
		return fmt.Errorf("record the snapshot: %w", err)
	}
	return nil
}

// PutTable records the state of a table, except its chunks.
func (r *Recorder) PutTable(t *Table) error {
	_, err := r.conn.Execute(`REPLACE INTO opsdeck.replication_table
		(job_id, table_schema, table_name, fingerprint, first_snapshot, last_snapshot, rows_estimate, rows_copied, done)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.jobID, t.Schema, t.Name, t.Fingerprint, t.First, t.Last, t.RowsEstimate, doneRows(t), t.Done)
	if err != nil {
		return fmt.Errorf("record the copy of %s.%s: %w", t.Schema, t.Name, err)
	}
	return nil
}

// doneRows is what the table row holds: before the end the chunks say how many rows there are.
func doneRows(t *Table) int64 {
	if t.Done {
		return t.RowsCopied
	}
	return 0
}

// AddChunk records that the rows up to lastKey are written. Like Fence it fails with ErrFenced if the job belongs to a later run, and otherwise keeps it from
// being claimed until the transaction ends.
func (r *Recorder) AddChunk(schema, table string, chunk int64, lastKey []byte, rows int64) error {
	res, err := r.chunk.Execute(schema, table, chunk, lastKey, rows, r.jobID, r.epoch)
	if err != nil {
		return fmt.Errorf("record chunk %d of %s.%s: %w", chunk, schema, table, err)
	}
	if res.AffectedRows == 0 {
		return ErrFenced
	}
	return nil
}

// DropChunks forgets the chunks of a table from the given one on.
func (r *Recorder) DropChunks(schema, table string, from int64) error {
	_, err := r.conn.Execute(`DELETE FROM opsdeck.replication_chunk
		WHERE job_id = ? AND table_schema = ? AND table_name = ? AND chunk >= ?`, r.jobID, schema, table, from)
	if err != nil {
		return fmt.Errorf("forget chunks of %s.%s: %w", schema, table, err)
	}
	return nil
}

// CopyAgain takes a job that follows the binary log back to its copy, for the given tables, whose rows so far are of no use. The position stays.
func (r *Recorder) CopyAgain(tables []ddl.Name) error {
	if err := r.BeginCopy(); err != nil {
		return err
	}
	for _, t := range tables {
		if err := r.Recopy(t.Schema, t.Table); err != nil {
			return err
		}
	}
	return nil
}

// Recopy records that a table is to be copied from its start, whatever it has at the target.
func (r *Recorder) Recopy(schema, table string) error {
	if err := r.DropChunks(schema, table, 0); err != nil {
		return err
	}
	_, err := r.conn.Execute(`UPDATE opsdeck.replication_table SET done = FALSE, rows_copied = 0
		WHERE job_id = ? AND table_schema = ? AND table_name = ?`, r.jobID, schema, table)
	if err != nil {
		return fmt.Errorf("record that %s.%s is copied again: %w", schema, table, err)
	}
	return nil
}

// DropTable forgets a table.
func (r *Recorder) DropTable(schema, table string) error {
	if err := r.DropChunks(schema, table, 0); err != nil {
		return err
	}
	_, err := r.conn.Execute(`DELETE FROM opsdeck.replication_table WHERE job_id = ? AND table_schema = ? AND table_name = ?`,
		r.jobID, schema, table)
	if err != nil {
		return fmt.Errorf("forget the copy of %s.%s: %w", schema, table, err)
	}
	return nil
}
