package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/origin"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// define executes a statement exactly once: the intent is stored before it together with the state of what it touches, the position
// after it. A run that finds the intent of its predecessor compares the state to tell whether the statement took effect.
func (e *executor) define(u *unit) error {
	waits := func() {
		e.applier.event("ddl_waits", "waiting for a statement that an earlier run of the job has left running on the target")
	}
	return Exclusively(e.conn, e.applier.cfg.Job, waits, func() error { return e.once(u) })
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
	if d.projected && d.statement.Kind == ddl.AlterTable {
		var err error
		if d.statement, err = e.withoutMissing(d.statement); err != nil || d.statement.Kind == ddl.Ignored {
			return err
		}
	}
	session := d.Session
	if d.replaces {
		session = binlog.Session{} // the operator's text is in that of the target
	}
	if err := e.imitate(session, d.statement); err != nil {
		return fmt.Errorf("prepare the session for %s: %w", ddl.Excerpt(d.Text), mysql.Explain(err))
	}
	err := e.executeDefinition(d)
	if err != nil && !d.tolerates(mysql.Code(err), repeated) {
		err = fmt.Errorf("statement at %s: %s: %w", d.Position, ddl.Excerpt(d.statement.Text), mysql.Explain(err))
		if mysql.Code(err) == 0 {
			return err // the session broke: nobody knows what became of the statement
		}
		return &StoppedError{Position: d.Position.String(), Err: errors.Join(err, e.recorder.CancelDDL())}
	}
	return prepareSession(e.conn)
}

// withoutMissing leaves out of a statement what it does to keys and constraints that the target does not have, as they are over columns that it lacks.
func (e *executor) withoutMissing(statement ddl.Statement) (ddl.Statement, error) {
	table := statement.Tables[0]
	r, err := e.conn.Execute(`SELECT index_name FROM information_schema.statistics WHERE table_schema = ? AND table_name = ?
		UNION SELECT constraint_name FROM information_schema.table_constraints WHERE table_schema = ? AND table_name = ?`,
		table.Schema, table.Table, table.Schema, table.Table)
	if err != nil {
		return statement, fmt.Errorf("read the keys of %s: %w", table, mysql.Explain(err))
	}
	have := make([]string, r.RowNumber())
	for i := range have {
		if have[i], err = r.GetString(i, 0); err != nil {
			return statement, fmt.Errorf("read the keys of %s: %w", table, err)
		}
	}
	return statement.WithoutMissing(func(name string) bool {
		return slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, name) })
	})
}

func (e *executor) executeDefinition(d *definition) error {
	if d.statement.Kind == ddl.DefineObject {
		return objects.Define(e.conn, d.statement, func(kind, message string) { e.applier.event(kind, "%s", message) })
	}
	marked := origin.Mark(e.conn.Flavor, d.statement.Text, e.applier.cfg.Origin)
	if d.statement.Kind == ddl.DropTable && marked != d.statement.Text && !d.statement.IfExists() && d.ErrorCode == 0 {
		if err := e.exist(d.statement.Tables); err != nil {
			return err
		}
	}
	_, err := e.conn.Execute(marked)
	return err
}

// exist fails as DROP TABLE does for tables of which one is not there.
func (e *executor) exist(tables []ddl.Name) error {
	for _, name := range tables {
		_, err := mysql.LoadCreate(e.conn, name.Schema, name.Table)
		switch mysql.Code(err) {
		case gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_DB_ERROR:
			return gomysql.NewDefaultError(gomysql.ER_BAD_TABLE_ERROR, name.Schema+"."+name.Table)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tolerates reports whether an error is the one that the statement met at the source, says of a repeated statement that it has
// taken effect already, or of an index to drop that it was left out.
func (d *definition) tolerates(code uint16, repeated bool) bool {
	if code == 0 {
		return false
	}
	if code == d.ErrorCode && !d.replaces {
		return true
	}
	if d.projected && d.statement.Kind == ddl.DropIndex && code == gomysql.ER_CANT_DROP_FIELD_OR_KEY {
		return true
	}
	return repeated && d.statement.Repeatable() && slices.Contains(doneAlready[d.statement.Kind], code)
}

var doneAlready = map[ddl.Kind][]uint16{
	ddl.CreateDatabase: {gomysql.ER_DB_CREATE_EXISTS},
	ddl.DropDatabase:   {gomysql.ER_DB_DROP_EXISTS},
	ddl.DefineObject:   {gomysql.ER_EVENT_DOES_NOT_EXIST, gomysql.ER_EVENT_ALREADY_EXISTS}, // of ALTER EVENT ... RENAME
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
