package apply

import (
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
		GTID: d.gtid, Position: d.Position, Statement: d.identity(), Before: state,
	})
	if err != nil {
		return err
	}
	done := d.statement.Text == "" || (repeated && before != state && !d.statement.Repeatable())
	if !done {
		if err := e.statement(d, repeated); err != nil {
			return err
		}
	}
	e.applier.definitions.Add(1)
	if d.more {
		return e.conn.Transaction(func() error { return e.recorder.ChangeMapping(d.change) })
	}
	if err := e.recorder.EndDDL(u.applied, d.change); err != nil {
		return err
	}
	e.applier.count(u.applied)
	return nil
}

// identity tells the statement from others, and from another decision about it.
func (d *definition) identity() string {
	if d.replaces {
		return d.Text + "\x00" + d.statement.Text
	}
	return d.Text
}

func (e *executor) statement(d *definition, repeated bool) error {
	session := d.Session
	if d.replaces {
		session = binlog.Session{} // the operator's text is in that of the target
	}
	if err := e.imitate(session, d.statement.Default); err != nil {
		return fmt.Errorf("prepare the session for %s: %w", ddl.Excerpt(d.Text), mysql.Explain(err))
	}
	_, err := e.conn.Execute(d.statement.Text)
	if err != nil && !d.tolerates(mysql.Code(err), repeated) {
		err = fmt.Errorf("statement at %s: %s: %w", d.Position, ddl.Excerpt(d.statement.Text), mysql.Explain(err))
		if mysql.Code(err) == 0 {
			return err // the session broke: nobody knows what became of the statement
		}
		return &StoppedError{Position: d.Position.String(), Err: errors.Join(err, e.recorder.CancelDDL())}
	}
	return prepareSession(e.conn)
}

// tolerates reports whether an error is the one that the statement met at the source, or says of a repeated statement that it has
// taken effect already.
func (d *definition) tolerates(code uint16, repeated bool) bool {
	if code == 0 {
		return false
	}
	if code == d.ErrorCode && !d.replaces {
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
