package fullcopy

import (
	"context"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
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
}

func openTarget(ctx context.Context, opt Options) (*target, error) {
	c, err := mysql.Connect(ctx, opt.Target)
	if err != nil {
		return nil, err
	}
	t := &target{opt: opt, conn: c}
	for _, statement := range c.Flavor.CopySession() {
		if _, err := c.Execute(statement); err != nil {
			t.close()
			return nil, fmt.Errorf("prepare a target session: %w", mysql.Explain(err))
		}
	}
	if t.rec, err = progress.NewRecorder(c, opt.JobID, opt.Epoch); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *target) close() { _ = t.conn.Close() } // what matters was committed

// lenient runs do in a session that is not strict.
func (t *target) lenient(do func() error) error {
	if _, err := t.conn.Execute(lenientMode); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	_, err := t.conn.Execute(strictMode)
	return err
}

// createSchemas creates the schemas of the tasks with the options that they have at the source.
func (t *target) createSchemas(source *mysql.Conn, tasks []*task) error {
	done := map[string]bool{}
	for _, task := range tasks {
		schema := task.table.Schema
		if done[task.target.Schema] || t.opt.SkipCreate {
			continue
		}
		done[task.target.Schema] = true
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
		if _, err := t.conn.Execute(create); err != nil {
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
		_, err := t.conn.Execute("TRUNCATE TABLE " + task.quoted())
		return wrapTable(err, "empty", task)
	}
	if task.recreate || t.opt.DropTableIfExists {
		if err := t.drop(task.target); err != nil {
			return err
		}
	}
	create := task.create
	if columns := t.opt.Mapping.Columns(ddl.Name{Schema: task.table.Schema, Table: task.table.Name}); columns != nil {
		var err error
		if create, _, err = ddl.ProjectCreate(create, false, columns); err != nil {
			return wrapTable(err, "create", task)
		}
	}
	create, err := ddl.RenameCreate(create, task.table.Schema, t.opt.Mapping)
	if err != nil {
		return wrapTable(err, "rename", task)
	}
	if err := t.conn.UseDB(task.target.Schema); err != nil { // the statement names its table without the schema
		return wrapTable(err, "create", task)
	}
	err = t.lenient(func() error {
		_, err := t.conn.Execute(strings.Replace(create, "CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1))
		return err
	})
	return wrapTable(err, "create", task)
}

func (t *target) drop(name ddl.Name) error {
	if t.opt.SkipCreate {
		return nil
	}
	if _, err := t.conn.Execute("DROP TABLE IF EXISTS " + name.String()); err != nil {
		return fmt.Errorf("drop %s on the target: %w", name, mysql.Explain(err))
	}
	return nil
}

// holdsRows reports whether the table exists on the target with at least a row.
func (t *target) holdsRows(task *task) (bool, error) {
	r, err := t.conn.Execute("SELECT 1 FROM " + task.quoted() + " LIMIT 1")
	switch mysql.Code(err) {
	case gomysql.ER_NO_SUCH_TABLE, gomysql.ER_BAD_DB_ERROR:
		if t.opt.SkipCreate {
			return false, &mysql.Error{
				Sentence:  fmt.Sprintf("the target has no table %s: create it, or set skip_create_db_table to false", task.there()),
				Permanent: true,
			}
		}
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for rows of %s on the target: %w", task.there(), mysql.Explain(err))
	}
	return r.RowNumber() > 0, nil
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
