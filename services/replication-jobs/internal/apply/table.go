package apply

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// table is a table of the target with what writing to it depends on.
type table struct {
	*mysql.Table
	name    string // quoted, with its schema
	columns []column
	key     []int // indexes of the columns that tell rows apart; nil without a key
	// upserts is set when the key is the only unique one: INSERT ... ON DUPLICATE KEY UPDATE can then meet no row but the right one.
	upserts bool
	// cascades is set when a foreign key of another table makes changes of this one reach further.
	cascades bool
	// triggers is set when a change of a row may do more than that.
	triggers bool
	// contended is set once sessions have met at the table's locks though they changed different rows.
	contended atomic.Bool

	list   string // the writable columns, for INSERT
	upsert string // what makes an upsert of an INSERT

	// rows is what becomes of the rows of the source.
	rows *mapping.Rows

	checked []byte // the source's column types that were last found to fit
}

// column is a column as its values are written.
type column struct {
	mysql.Column
	name string // quoted
	// length is that of BINARY(n), to which values are padded: the log leaves trailing zeros out.
	length int
}

// catalog holds the tables seen so far, by their names at the source. It has to be reset after each DDL statement.
type catalog struct {
	target  mysql.Config
	mapping *mapping.Mapping
	// register knows the columns of the source where the target has only some.
	register *mapping.Register
	conn     *mysql.Conn
	tables   map[ddl.Name]*table
}

func newCatalog(target mysql.Config, m *mapping.Mapping, r *mapping.Register) *catalog {
	return &catalog{target: target, mapping: m, register: r, tables: map[ddl.Name]*table{}}
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
	if c.conn == nil {
		conn, err := mysql.Connect(ctx, c.target)
		if err != nil {
			return nil, err
		}
		c.conn = conn
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
	cascading, err := c.count(`SELECT COUNT(*) FROM information_schema.referential_constraints
		WHERE unique_constraint_schema = ? AND referenced_table_name = ?
		AND (delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))`, schema, name)
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys that refer to %s.%s: %w", schema, name, err)
	}
	triggers, err := c.count(`SELECT COUNT(*) FROM information_schema.triggers
		WHERE event_object_schema = ? AND event_object_table = ?`, schema, name)
	if err != nil {
		return nil, fmt.Errorf("read the triggers of %s.%s: %w", schema, name, err)
	}
	t.triggers = triggers > 0
	t.upserts = len(t.key) > 0 && unique == 1
	t.cascades = cascading > 0
	return t, nil
}

// independent reports whether a change of one row has nothing to do with other rows, so that sessions can change different ones in any order.
func (t *table) independent() bool {
	return t.upserts && !t.cascades && !t.triggers && t.Engine == "InnoDB" && !t.contended.Load()
}

// exact reports whether keys that are written in different ways are different.
func (t *table) exact() bool {
	return !slices.ContainsFunc(t.key, func(i int) bool {
		c := t.columns[i]
		return c.Charset != "" || c.DataType == "float" || c.DataType == "double"
	})
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

func newTable(definition *mysql.Table, alias bool) *table {
	t := &table{Table: definition, name: mysql.QuoteTable(definition.Schema, definition.Name), key: definition.Key()}
	var names, assignments []string
	for _, c := range definition.Columns {
		quoted := mysql.QuoteIdent(c.Name)
		t.columns = append(t.columns, column{Column: c, name: quoted, length: binaryLength(c)})
		if !c.Generated {
			names = append(names, quoted)
			if alias {
				assignments = append(assignments, quoted+"=opsdeck_new."+quoted)
			} else {
				assignments = append(assignments, quoted+"=VALUES("+quoted+")")
			}
		}
	}
	if slices.ContainsFunc(t.key, func(i int) bool { return definition.Columns[i].Generated }) {
		t.key = nil
	}
	t.list = strings.Join(names, ",")
	t.upsert = " ON DUPLICATE KEY UPDATE " + strings.Join(assignments, ",")
	if alias {
		t.upsert = " AS opsdeck_new" + t.upsert
	}
	return t
}

// binaryLength is the length of a column whose values the log holds without their trailing zeros, else 0.
func binaryLength(c mysql.Column) int {
	switch c.DataType {
	case "uuid", "inet6":
		return 16
	case "inet4":
		return 4
	case "binary":
		digits := strings.TrimSuffix(strings.TrimPrefix(c.ColumnType, "binary("), ")")
		n, _ := strconv.Atoi(digits) // BINARY without a length is reported as binary(1)
		return n
	}
	return 0
}

// fits compares the source's columns with the target's.
func (t *table) fits(source []byte) error {
	if bytes.Equal(source, t.checked) {
		return nil
	}
	if len(source) != len(t.columns) {
		return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
			"table %s has %d columns at the source and %d at the target: make the definitions equal", t, len(source), len(t.columns))}
	}
	for i, code := range source {
		if code == blobCompressed || code == varcharCompressed {
			return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
				"column %s of table %s is COMPRESSED, which is not replicated: remove the attribute or the table from the selection", t.columns[i].Name, t)}
		}
		if c := t.columns[i]; oldTemporal(code) && strings.Contains(c.ColumnType, "(") {
			return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
				"column %s of table %s is stored in MariaDB's old format for fractions of a second, which is not replicated: "+
					"run ALTER TABLE ... FORCE at the source with mysql56_temporal_format=ON and create the job anew", c.Name, t)}
		}
		if c := t.columns[i]; !compatible(code, c.DataType) {
			return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
				"column %s of table %s is %s at the target, which does not take the source's type (number %d of the protocol): make the definitions equal",
				c.Name, t, c.ColumnType, code)}
		}
	}
	t.checked = bytes.Clone(source)
	return nil
}

// sequenceTypes are the columns of a MariaDB sequence, which is logged as a table of one row.
var sequenceTypes = []byte{
	gomysql.MYSQL_TYPE_LONGLONG, gomysql.MYSQL_TYPE_LONGLONG, gomysql.MYSQL_TYPE_LONGLONG, gomysql.MYSQL_TYPE_LONGLONG,
	gomysql.MYSQL_TYPE_LONGLONG, gomysql.MYSQL_TYPE_LONGLONG, gomysql.MYSQL_TYPE_TINY, gomysql.MYSQL_TYPE_LONGLONG,
}

func isSequence(rows *binlog.Rows) bool {
	return rows.Kind == binlog.Insert && bytes.Equal(rows.ColumnTypes, sequenceTypes)
}

// The types of MariaDB's COMPRESSED columns.
const (
	blobCompressed    = 140
	varcharCompressed = 141
)

// oldTemporal reports whether values of a type have no fractions in what MySQL logs, while MariaDB logs some that do.
func oldTemporal(code byte) bool {
	return code == gomysql.MYSQL_TYPE_TIME || code == gomysql.MYSQL_TYPE_DATETIME || code == gomysql.MYSQL_TYPE_TIMESTAMP
}

// families are the kinds of column between which values can be carried over.
var families = map[string]string{
	"tinyint": "number", "smallint": "number", "mediumint": "number", "int": "number", "bigint": "number", "decimal": "number",
	"float": "number", "double": "number", "bit": "bit", "year": "year",
	"date": "time", "datetime": "time", "timestamp": "time", "time": "clock", "enum": "enum", "set": "set",
}

// compatible reports whether a column of the target takes values of the source's type. Everything without a family holds bytes.
func compatible(code byte, dataType string) bool {
	family := families[dataType]
	switch code {
	case gomysql.MYSQL_TYPE_TINY, gomysql.MYSQL_TYPE_SHORT, gomysql.MYSQL_TYPE_INT24, gomysql.MYSQL_TYPE_LONG, gomysql.MYSQL_TYPE_LONGLONG,
		gomysql.MYSQL_TYPE_FLOAT, gomysql.MYSQL_TYPE_DOUBLE, gomysql.MYSQL_TYPE_NEWDECIMAL:
		return family == "number"
	case gomysql.MYSQL_TYPE_BIT:
		return family == "bit"
	case gomysql.MYSQL_TYPE_YEAR:
		return family == "year"
	case gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_NEWDATE, gomysql.MYSQL_TYPE_DATETIME, gomysql.MYSQL_TYPE_DATETIME2,
		gomysql.MYSQL_TYPE_TIMESTAMP, gomysql.MYSQL_TYPE_TIMESTAMP2:
		return family == "time"
	case gomysql.MYSQL_TYPE_TIME, gomysql.MYSQL_TYPE_TIME2:
		return family == "clock"
	case gomysql.MYSQL_TYPE_STRING: // ENUM and SET are logged as STRING
		return family == "" || family == "enum" || family == "set"
	default:
		return family == ""
	}
}
