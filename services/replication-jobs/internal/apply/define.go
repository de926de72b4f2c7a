package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// definition is a DDL statement to be executed.
type definition struct {
	*binlog.Definition
	statement ddl.Statement // what the selection leaves of it
	gtid      string
	// more is set when rows of the same source transaction follow, so that the position may not yet move.
	more bool
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

// define executes a statement between the transactions before and after it.
func (b *builder) define(ctx context.Context, t *binlog.Transaction, at mysql.Point) error {
	statement, ok, err := t.Definition.Restrict(uncopied{Selection: b.applier.cfg.Selection, handover: b.handover, at: at})
	if err != nil {
		return &mysql.Error{Permanent: true, Err: err, Sentence: fmt.Sprintf(
			"the statement at %s cannot be replicated: %s", t.Definition.Position, ddl.Excerpt(t.Definition.Text))}
	}
	if t.Definition.What != "" && (t.Definition.Session.Schema == "" || b.applier.cfg.Selection.Schema(t.Definition.Session.Schema)) {
		// Not the text: it may hold a password.
		b.applier.event("ddl_ignored", "a statement that concerns a %s, at %s, is not replicated", t.Definition.What, t.Definition.Position)
	}
	if ok {
		if err := b.renamesCopied(statement, at); err != nil {
			return err
		}
		return b.execute(ctx, t, statement, at)
	}
	if !t.Last {
		return nil
	}
	b.batch = newBatch()
	b.batch.time, b.batch.end = t.Timestamp, t.Position
	return b.finish(t, at)
}

// renamesCopied stops at a rename between two snapshots of one copy: the rows copied may be of the table before or after it.
func (b *builder) renamesCopied(statement ddl.Statement, at mysql.Point) error {
	if len(statement.Renames) == 0 {
		return nil
	}
	for _, name := range statement.Tables {
		if b.handover.Mode(name.Schema, name.Table, at) == progress.Idempotent {
			return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
				"table %s was renamed while it was being copied, and the copy was interrupted: create the job anew", name)}
		}
	}
	return nil
}

func (b *builder) execute(ctx context.Context, t *binlog.Transaction, statement ddl.Statement, at mysql.Point) error {
	d := &definition{Definition: t.Definition, statement: statement, gtid: t.GTID, more: !t.Last}
	u := &unit{definition: d, first: true, last: true, done: make(chan struct{}), applied: progress.Applied{SourceTime: t.Timestamp}}
	if t.Last {
		u.applied.Transactions = 1
		if err := b.executes(t.GTID, at); err != nil {
			return err
		}
		u.applied.Position = b.position(t.Position)
	}
	select {
	case <-b.executor.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := b.hand(ctx, u); err != nil {
		return err
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	b.tables.reset()
	return nil
}

// define executes a statement exactly once: the intent is stored before it together with the state of what it touches, the position
// after it. A run that finds the intent of its predecessor compares the state to tell whether the statement took effect.
func (e *executor) define(u *unit) error {
	return e.exclusively(func() error { return e.once(u) })
}

func (e *executor) once(u *unit) error {
	d := u.definition
	state, err := e.fingerprint(d.statement)
	if err != nil {
		return err
	}
	before, repeated, err := e.recorder.BeginDDL(progress.DDL{
		GTID: d.gtid, Position: d.Position, Statement: d.Text, Before: state,
	})
	if err != nil {
		return err
	}
	done := repeated && before != state && !d.statement.Repeatable()
	if !done {
		if err := e.statement(d, repeated); err != nil {
			return err
		}
	}
	e.applier.definitions.Add(1)
	if d.more {
		return nil
	}
	if err := e.recorder.EndDDL(u.applied); err != nil {
		return err
	}
	e.applier.count(u.applied)
	return nil
}

func (e *executor) statement(d *definition, repeated bool) error {
	if err := e.imitate(d.Session, d.statement.Default); err != nil {
		return fmt.Errorf("prepare the session for %s: %w", ddl.Excerpt(d.Text), mysql.Explain(err))
	}
	_, err := e.conn.Execute(d.statement.Text)
	if err != nil && !d.tolerates(mysql.Code(err), repeated) {
		err = fmt.Errorf("statement at %s: %s: %w", d.Position, ddl.Excerpt(d.statement.Text), mysql.Explain(err))
		if mysql.Code(err) == 0 {
			return err // the session broke: nobody knows what became of the statement
		}
		return errors.Join(err, e.recorder.CancelDDL())
	}
	return prepareSession(e.conn)
}

// tolerates reports whether an error is the one that the statement met at the source, or says of a repeated statement that it has
// taken effect already.
func (d *definition) tolerates(code uint16, repeated bool) bool {
	if code == 0 {
		return false
	}
	if code == d.ErrorCode {
		return true
	}
	return repeated && d.statement.Repeatable() && slices.Contains(doneAlready[d.statement.Kind], code)
}

var doneAlready = map[ddl.Kind][]uint16{
	ddl.CreateDatabase: {gomysql.ER_DB_CREATE_EXISTS},
	ddl.DropDatabase:   {gomysql.ER_DB_DROP_EXISTS},
	ddl.DropTable:      {gomysql.ER_BAD_TABLE_ERROR, gomysql.ER_NO_SUCH_TABLE},
}

// counter is the part of a definition that rows change.
var counter = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// fingerprint sums up the tables that a statement names: whether they exist, how they are defined, and which of several alike each
// is, where the server tells.
func (e *executor) fingerprint(statement ddl.Statement) (string, error) {
	sum := sha256.New()
	for _, name := range statement.Tables {
		create, err := mysql.LoadCreate(e.conn, name.Schema, name.Table)
		if code := mysql.Code(err); code == gomysql.ER_NO_SUCH_TABLE || code == gomysql.ER_BAD_DB_ERROR {
			create = "none"
		} else if err != nil {
			return "", mysql.Explain(err)
		}
		id, err := e.identity(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%q %q %s\n", name, counter.ReplaceAllString(create, ""), id)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// plain is a name that InnoDB stores as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// identity is InnoDB's number of a table, which moves along with a rename. It is empty where the user may not see it.
func (e *executor) identity(name ddl.Name) (string, error) {
	if !plain.MatchString(name.Schema) || !plain.MatchString(name.Table) {
		return "", nil
	}
	query := "SELECT table_id FROM information_schema.innodb_tables WHERE name = ?"
	if e.conn.Flavor.Name() == gomysql.MariaDBFlavor {
		query = "SELECT table_id FROM information_schema.innodb_sys_tables WHERE name = ?"
	}
	r, err := e.conn.Execute(query, name.Schema+"/"+name.Table)
	var refused *gomysql.MyError
	switch {
	case errors.As(err, &refused):
		return "", nil
	case err != nil:
		return "", mysql.Explain(err)
	case r.RowNumber() == 0:
		return "", nil
	}
	return r.GetString(0, 0)
}
