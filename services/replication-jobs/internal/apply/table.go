package apply

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
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
	// resolves is set when statements keep the changes that they make, so that those that do not fit can be told from the others.
	resolves bool
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
