package fullcopy

import (
	"context"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// Snapshot is a consistent view of the source for a copy whose target is no server.
type Snapshot struct{ snapshot *snapshot }

// TakeSnapshot opens a snapshot of the selected tables through as many sessions as the options say, or through one where the source
// allows no more. Of the options it needs Source, Mapping, Readers and Event.
func TakeSnapshot(ctx context.Context, opt Options) (*Snapshot, error) {
	s, err := takeSnapshot(ctx, opt)
	if err != nil {
		return nil, err
	}
	return &Snapshot{s}, nil
}

// Close ends the sessions.
func (s *Snapshot) Close() { s.snapshot.close() }

// Position is the place in the binary log that the snapshot shows.
func (s *Snapshot) Position() mysql.Position { return s.snapshot.position }

// Tables are the selected tables.
func (s *Snapshot) Tables() []*mysql.Table { return s.snapshot.tables }

// Readers is the number of sessions.
func (s *Snapshot) Readers() int { return len(s.snapshot.readers) }

// Create is the statement that makes a table as it is in the snapshot.
func (s *Snapshot) Create(t *mysql.Table) string { return s.snapshot.creates[t.String()] }

// Fingerprint is a hash of a table's definition.
func (s *Snapshot) Fingerprint(t *mysql.Table) string { return fingerprint(s.Create(t)) }

// OtherKinds lists what the selection names beyond base tables and views, as schema.table (kind).
func (s *Snapshot) OtherKinds(opt Options) ([]string, error) {
	return otherKinds(s.snapshot.readers[0], opt.Mapping)
}

// CheckChosen fails if the selection names what the source does not have.
func (s *Snapshot) CheckChosen(opt Options) error {
	return CheckChosen(s.snapshot.readers[0], opt.Source.Addr(), opt.Mapping, s.snapshot.tables)
}

// Read hands the values of the expressions for each row of a table to row, one session at a time; they are valid until row returns. Rows
// come in the order of the chunk key where one is given, and then those behind the stored key only where that is. ErrChanged says that
// the table was altered after the snapshot.
func (s *Snapshot) Read(ctx context.Context, session int, t *mysql.Table, key []int, expressions []string, stored []byte, row func([]gomysql.FieldValue) error) error {
	conn := s.snapshot.readers[session]
	r := &reader{query: "SELECT " + strings.Join(expressions, ", ") + " FROM " + mysql.QuoteTable(t.Schema, t.Name)}
	state := &progress.Table{LastKey: stored}
	if stored != nil {
		state.Chunks = 1
	}
	if err := r.order(&task{table: t, key: key, state: state}); err != nil {
		return err
	}
	return aside(conn, func() error { return selectRows(ctx, conn, t, r.query, row) })
}

// Indexes are the unique keys of a table in the server's own order, by the names of their columns.
func (s *Snapshot) Indexes(session int, t *mysql.Table) (*gomysql.Result, error) {
	r, err := s.snapshot.readers[session].Execute("SHOW INDEX FROM " + mysql.QuoteTable(t.Schema, t.Name))
	if err != nil {
		return nil, fmt.Errorf("read the keys of %s: %w", t, mysql.Explain(err))
	}
	return r, nil
}

// AppendKey appends a key column's value to a stored key.
func AppendKey(dst []byte, v *gomysql.FieldValue) []byte { return appendKeyValue(dst, v) }
