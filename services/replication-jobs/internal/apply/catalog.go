package apply

import (
	"context"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// catalog holds the tables seen so far, by their names at the source. It has to be reset after each DDL statement.
type catalog struct {
	target  mysql.Config
	mapping *mapping.Mapping
	// register knows the columns of the source where the target has only some.
	register *mapping.Register
	conn     *mysql.Conn
	tables   map[ddl.Name]*table
	// referred are the tables of the target, by their names in lower case, whose changes foreign keys carry on to others; nil until they are
	// needed. The server opens every table to tell, so it is asked once and not for each table.
	referred map[ddl.Name]bool
	resolves bool // see table
}

func newCatalog(target mysql.Config, m *mapping.Mapping, r *mapping.Register, resolves bool) *catalog {
	return &catalog{target: target, mapping: m, register: r, tables: map[ddl.Name]*table{}, resolves: resolves}
}

func (c *catalog) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// reset forgets the definitions, and the session, which might idle until the server closes it.
func (c *catalog) reset() {
	c.close()
	clear(c.tables)
	c.referred = nil
}

// table returns the target's table for rows of the log.
func (c *catalog) table(ctx context.Context, rows *binlog.Rows) (*table, error) {
	name := ddl.Name{Schema: rows.Schema, Table: rows.Table}
	t := c.tables[name]
	if t == nil {
		there, err := c.mapping.Target(name)
		if err != nil {
			return nil, err
		}
		if t, err = c.load(ctx, there.Schema, there.Table); err != nil {
			return nil, err
		}
		if t.rows, err = c.mapping.Rows(name, c.sourceColumns(name, t)); err != nil {
			return nil, err
		}
		if err := t.rows.CheckTarget(t.Columns); err != nil {
			return nil, err
		}
		c.tables[name] = t
	}
	types, err := t.rows.Types(rows.ColumnTypes)
	if err != nil {
		return nil, err
	}
	if err := t.fits(types); err != nil {
		return nil, err
	}
	return t, nil
}

// sourceColumns are the columns that a table has at the source. Where the target has them all its definition tells; where it has some, only
// the names of the others are known.
func (c *catalog) sourceColumns(name ddl.Name, t *table) []mysql.Column {
	all := c.register.Columns(name)
	if all == nil {
		return t.Columns
	}
	out := make([]mysql.Column, len(all))
	for i, column := range all {
		out[i].Name = column
		if at := t.Column(column); at >= 0 {
			out[i] = t.Columns[at]
		}
	}
	return out
}

func (c *catalog) load(ctx context.Context, schema, name string) (*table, error) {
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	definition, err := mysql.LoadTable(c.conn, schema, name)
	if err != nil {
		return nil, err
	}
	t := newTable(definition, aliases(c.conn))
	unique, err := c.count(`SELECT COUNT(DISTINCT index_name) FROM information_schema.statistics
		WHERE table_schema = ? AND table_name = ? AND non_unique = 0`, schema, name)
	if err != nil {
		return nil, fmt.Errorf("read the unique keys of %s.%s: %w", schema, name, err)
	}
	cascades, err := c.cascades(schema, name)
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys that refer to %s.%s: %w", schema, name, err)
	}
	triggers, err := c.count(`SELECT COUNT(*) FROM information_schema.triggers
		WHERE event_object_schema = ? AND event_object_table = ?`, schema, name)
	if err != nil {
		return nil, fmt.Errorf("read the triggers of %s.%s: %w", schema, name, err)
	}
	t.triggers = triggers > 0
	t.resolves = c.resolves
	t.upserts = len(t.key) > 0 && unique == 1
	t.cascades = cascades
	return t, nil
}

// cascades reports whether a foreign key of another table makes changes of this one reach further.
func (c *catalog) cascades(schema, name string) (bool, error) {
	if c.referred == nil {
		r, err := c.conn.Execute(`SELECT DISTINCT unique_constraint_schema, referenced_table_name FROM information_schema.referential_constraints
			WHERE delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT')`)
		if err != nil {
			return false, err
		}
		c.referred = map[ddl.Name]bool{}
		for row := range r.RowNumber() {
			there, err := r.GetString(row, 0)
			if err != nil {
				return false, err
			}
			referred, err := r.GetString(row, 1)
			if err != nil {
				return false, err
			}
			c.referred[lower(there, referred)] = true
		}
	}
	return c.referred[lower(schema, name)], nil
}

// referring returns the tables of the target whose foreign keys refer to one of them.
func (c *catalog) referring(ctx context.Context, parent ddl.Name) ([]ddl.Name, error) {
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	r, err := c.conn.Execute(`SELECT constraint_schema, table_name FROM information_schema.referential_constraints
		WHERE unique_constraint_schema = ? AND referenced_table_name = ?`, parent.Schema, parent.Table)
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys that refer to %s: %w", parent, mysql.Explain(err))
	}
	out := make([]ddl.Name, r.RowNumber())
	for i := range out {
		if out[i].Schema, err = r.GetString(i, 0); err != nil {
			return nil, err
		}
		if out[i].Table, err = r.GetString(i, 1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// connect opens the session, if there is none.
func (c *catalog) connect(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	conn, err := mysql.Connect(ctx, c.target)
	c.conn = conn
	return err
}

// lower is a name as those servers keep it that do not tell upper from lower case; others take two tables for one, to be safe.
func lower(schema, name string) ddl.Name {
	return ddl.Name{Schema: strings.ToLower(schema), Table: strings.ToLower(name)}
}

func (c *catalog) count(query, schema, name string) (int64, error) {
	r, err := c.conn.Execute(query, schema, name)
	if err != nil {
		return 0, err
	}
	return r.GetInt(0, 0)
}

// aliases reports whether the server names new rows by an alias, since MySQL 8.0.19, where VALUES() draws a warning for each use.
func aliases(conn *mysql.Conn) bool {
	if conn.Flavor.Name() != gomysql.MySQLFlavor {
		return false
	}
	order, err := conn.CompareServerVersion("8.0.19")
	return err == nil && order >= 0
}
