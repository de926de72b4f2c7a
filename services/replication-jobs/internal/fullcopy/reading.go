package fullcopy

import (
	"context"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// Snapshot is a consistent view of the source for a copy whose target is no server.
type Snapshot struct{ snapshot *snapshot }

// TakeSnapshot opens a snapshot of the selected tables through as many sessions as the options say, or through one where the source
// allows no more. Of the options it needs Source, JobID, Mapping, Readers and Event.
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
func (s *Snapshot) Create(t *mysql.Table) string {
	return withoutCounter(s.snapshot.creates[t.String()])
}

// Fingerprint is a hash of a table's definition.
func (s *Snapshot) Fingerprint(t *mysql.Table) string { return fingerprint(s.Create(t)) }

// Uncopied lists the chosen objects that hold rows of their own and are no base tables.
func (s *Snapshot) Uncopied(opt Options) ([]objects.Object, error) {
	all, err := objects.List(s.snapshot.readers[0], opt.Mapping)
	return objects.Except(all, []objects.Kind{objects.Views, objects.Triggers, objects.Routines, objects.Events}), err
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

// OpenReader opens a session of the source with a consistent snapshot, and tells its position. MariaDB knows it of any snapshot; with MySQL
// it takes a global read lock of milliseconds, or a moment without commits. The session is marked as one of the job; the caller closes it.
func OpenReader(ctx context.Context, source mysql.Config, jobID string, event func(kind, message string)) (*mysql.Conn, mysql.Position, error) {
	c, err := mysql.Connect(ctx, source)
	if err != nil {
		return nil, mysql.Position{}, err
	}
	defer func() { _ = c.Close() }() // nothing is open on it
	opt, s := Options{Source: source, JobID: jobID, Readers: 1, Event: event}, &snapshot{}
	if c.Flavor.Name() == gomysql.MariaDBFlavor {
		if err = s.addReader(ctx, opt); err == nil {
			err = s.openAlone(ctx, c)
		}
	} else {
		err = s.open(ctx, c, opt)
	}
	if err != nil {
		s.close()
		return nil, mysql.Position{}, err
	}
	return s.readers[0], s.position, nil
}

// Expression reads a column without loss.
func Expression(c mysql.Column) string {
	expression, _ := readColumn(c)
	return expression
}

// AppendLiteral appends a value that was read by Expression as the column takes it.
func AppendLiteral(dst []byte, v *gomysql.FieldValue, c mysql.Column) []byte {
	_, how := readColumn(c)
	return appendValue(dst, v, how)
}

// Behind is the condition for rows behind a stored key.
func Behind(stored []byte, columns []mysql.Column) (string, error) {
	literals, err := keyLiterals(stored, columns)
	if err != nil {
		return "", err
	}
	return after(columns, literals), nil
}

// UpTo is the opposite of Behind.
func UpTo(stored []byte, columns []mysql.Column) (string, error) {
	literals, err := keyLiterals(stored, columns)
	if err != nil {
		return "", err
	}
	return before(columns, literals) + " OR " + equal(columns, literals), nil
}

// At is the condition for the row that has a stored key.
func At(stored []byte, columns []mysql.Column) (string, error) {
	literals, err := keyLiterals(stored, columns)
	if err != nil {
		return "", err
	}
	return equal(columns, literals), nil
}

func equal(columns []mysql.Column, literals []string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = mysql.QuoteIdent(c.Name) + " = " + literals[i]
	}
	return "(" + strings.Join(parts, " AND ") + ")"
}
