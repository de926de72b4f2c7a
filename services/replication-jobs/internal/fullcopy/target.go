package fullcopy

import (
	"context"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/origin"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// lenientMode is the sql_mode for what strictness refuses although the source has it: old defaults, and the empty ENUM value.
const (
	lenientMode = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'"
	strictMode  = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION,STRICT_ALL_TABLES'"
)

// target is a session that writes to the target.
type target struct {
	opt  Options
	conn *mysql.Conn
	rec  *progress.Recorder
	// files and counted are set if it takes rows as files, and those of tables with an AUTO_INCREMENT side by side.
	files, counted bool
}

func openTarget(ctx context.Context, opt Options) (*target, error) {
	c, err := mysql.Connect(ctx, opt.Target)
	if err != nil {
		return nil, err
	}
	t := &target{opt: opt, conn: c}
	for _, statement := range append(c.Flavor.CopySession(), "SET "+ddl.Applying+" = 1") {
		if _, err := c.Execute(statement); err != nil {
			t.close()
			return nil, fmt.Errorf("prepare a target session: %w", mysql.Explain(err))
		}
	}
	if err := t.learn(); err != nil {
		t.close()
		return nil, err
	}
	if err := progress.Enlist(c, opt.JobID); err != nil {
		t.close()
		return nil, err
	}
	if t.rec, err = progress.NewRecorder(c, opt.JobID, opt.Epoch); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// learn asks the target how it takes files: MariaDB does, bytes into columns of every type, unless it is told not to.
func (t *target) learn() error {
	if t.conn.Flavor.Name() != gomysql.MariaDBFlavor {
		return nil
	}
	r, err := t.conn.Execute("SELECT @@local_infile, @@innodb_autoinc_lock_mode = 2")
	if err != nil {
		return fmt.Errorf("read the target's settings: %w", mysql.Explain(err))
	}
	files, err := r.GetInt(0, 0)
	if err != nil {
		return fmt.Errorf("read the target's local_infile: %w", err)
	}
	counted, err := r.GetInt(0, 1)
	t.files, t.counted = files == 1, counted == 1
	return err
}

// takesFiles reports whether rows of a table that the copy makes are to be written as files. (To another one's column of
// UTF-16 the bytes of a date would be no date.) While a file is read nobody else writes to a table with an AUTO_INCREMENT, unless the server hands out its numbers
// without a lock: there statements of several sessions are faster.
func (t *target) takesFiles(task *task) bool {
	return t.files && (t.counted || !ddl.Counts(task.create))
}

func (t *target) close() { _ = t.conn.Close() } // what matters was committed

// define executes a definition under the name of the source.
func (t *target) define(statement string) (*gomysql.Result, error) {
	return t.conn.Execute(origin.Mark(t.conn.Flavor, statement, t.opt.Origin))
}

func (t *target) lenient(do func() error) error { return Lenient(t.conn, do) }

// Lenient runs do while the session is not strict. After an error of do it may stay so.
func Lenient(c *mysql.Conn, do func() error) error {
	if _, err := c.Execute(lenientMode); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	_, err := c.Execute(strictMode)
	return err
}

// createSchemas creates schemas of the source with the options that they have there.
func (t *target) createSchemas(source *mysql.Conn, schemas []string) error {
	done := map[string]bool{}
	for _, schema := range schemas {
		there, err := t.opt.Mapping.TargetSchema(schema)
		if err != nil {
			return err
		}
		if done[there] || t.opt.SkipCreate {
			continue
		}
		done[there] = true
		r, err := source.Execute("SHOW CREATE DATABASE IF NOT EXISTS " + mysql.QuoteIdent(schema))
		if err != nil {
			return fmt.Errorf("read the definition of schema %s: %w", schema, mysql.Explain(err))
		}
		create, err := r.GetString(0, 1)
		if err != nil {
			return fmt.Errorf("read the definition of schema %s: %w", schema, err)
		}
		if create, err = ddl.RenameCreate(create, schema, t.opt.Mapping); err != nil {
			return fmt.Errorf("rename schema %s: %w", schema, err)
		}
		if _, err := t.define(create); err != nil {
			return fmt.Errorf("create schema %s on the target: %w", schema, mysql.Explain(err))
		}
	}
	return nil
}

// createTable makes an empty table for the task, unless the target's own tables are to be used; those are emptied of what an
// earlier run has left.
func (t *target) createTable(task *task) error {
	if t.opt.SkipCreate {
		if !task.recreate {
			return nil
		}
		_, err := t.define("TRUNCATE TABLE " + task.quoted())
		return wrapTable(err, "empty", task)
	}
	if task.recreate || t.opt.DropTableIfExists {
		if err := t.drop(task.target); err != nil {
			return err
		}
	}
	whole, err := t.definition(task)
	if err != nil {
		return err
	}
	create := whole
	if task.keysLast {
		create, _ = ddl.SplitKeys(whole)
	}
	if err := t.conn.UseDB(task.target.Schema); err != nil { // the statement names its table without the schema
		return wrapTable(err, "create", task)
	}
	err = t.create(create)
	if err != nil && create != whole {
		err = t.create(whole) // a table that was there before refers to one of the keys
	}
	return wrapTable(err, "create", task)
}

func (t *target) create(statement string) error {
	return t.lenient(func() error {
		_, err := t.define(strings.Replace(statement, "CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1))
		return err
	})
}

// definition is the statement that makes the task's table on the target.
func (t *target) definition(task *task) (string, error) {
	create := task.create
	if columns := t.opt.Mapping.Columns(ddl.Name{Schema: task.table.Schema, Table: task.table.Name}); columns != nil {
		var err error
		if create, _, err = ddl.ProjectCreate(create, false, columns); err != nil {
			return "", wrapTable(err, "create", task)
		}
	}
	create, err := ddl.RenameCreate(create, task.table.Schema, t.opt.Mapping)
	return create, wrapTable(err, "rename", task)
}

func (t *target) drop(name ddl.Name) error {
	if t.opt.SkipCreate {
		return nil
	}
	if _, err := t.define("DROP TABLE IF EXISTS " + name.String()); err != nil {
		return fmt.Errorf("drop %s on the target: %w", name, mysql.Explain(err))
	}
	return nil
}

// look reports whether the table exists on the target, and whether it has a row there.
func (t *target) look(task *task) (exists, filled bool, err error) {
	r, err := t.conn.Execute("SELECT 1 FROM " + task.quoted() + " LIMIT 1")
	switch mysql.Code(err) {
	case gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_DB_ERROR:
		if t.opt.SkipCreate {
			return false, false, &mysql.Error{
				Sentence:  fmt.Sprintf("the target has no table %s: create it, or set skip_create_db_table to false", task.there()),
				Permanent: true,
			}
		}
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("look for rows of %s on the target: %w", task.there(), mysql.Explain(err))
	}
	return true, r.RowNumber() > 0, nil
}

// trim removes the rows behind the last chunk without a gap: several chunks are written at a time, and those behind a gap are
// read again.
func (t *target) trim(task *task) error {
	columns := task.keyColumns()
	literals, err := keyLiterals(task.state.LastKey, columns)
	if err != nil {
		return fmt.Errorf("%s: %w", task.table, err)
	}
	_, err = t.conn.Execute("DELETE FROM " + task.quoted() + " WHERE " + after(columns, literals))
	return wrapTable(err, "trim", task)
}

func wrapTable(err error, verb string, task *task) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s on the target: %w", verb, task.there(), mysql.Explain(err))
}

// forget takes a table that the source does not have any more out of the copy.
func (t *target) forget(gone *progress.Table) error {
	return t.commit(func() error {
		if err := t.rec.DropTable(gone.Schema, gone.Name); err != nil {
			return err
		}
		return t.rec.Fence()
	})
}
