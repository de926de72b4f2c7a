package debezium

import (
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/charset"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Collations are the collations of the server by their ids, as it tells them.
type Collations map[uint64]Collation

// Collation is a collation and the character set that it orders.
type Collation struct{ Name, Charset string }

// binaryCollation is the id of the collation of binary strings.
const binaryCollation = 63

// loggedTypes are the names of types that need no look at their lengths.
var loggedTypes = map[byte]string{
	gomysql.MYSQL_TYPE_TINY: "tinyint", gomysql.MYSQL_TYPE_SHORT: "smallint", gomysql.MYSQL_TYPE_INT24: "mediumint",
	gomysql.MYSQL_TYPE_LONG: "int", gomysql.MYSQL_TYPE_LONGLONG: "bigint", gomysql.MYSQL_TYPE_FLOAT: "float", gomysql.MYSQL_TYPE_DOUBLE: "double",
	gomysql.MYSQL_TYPE_DATE: "date", gomysql.MYSQL_TYPE_NEWDATE: "date", gomysql.MYSQL_TYPE_YEAR: "year", gomysql.MYSQL_TYPE_JSON: "json",
	gomysql.MYSQL_TYPE_ENUM: "enum", gomysql.MYSQL_TYPE_SET: "set",
}

// Logged returns how the columns of a table are written whose rows were logged in a shape.
func (o Options) Logged(shape *binlog.Shape, collations Collations) ([]Column, error) {
	out := make([]Column, len(shape.Columns))
	for i, c := range shape.Columns {
		d, err := logged(c, collations)
		if err == nil {
			out[i], err = o.column(d)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Columns returns the columns of a table, whose rows were logged in a shape, as the server's catalog would define them, as far as the log tells.
func (s Collations) Columns(shape *binlog.Shape) ([]mysql.Column, error) {
	out := make([]mysql.Column, len(shape.Columns))
	for i, c := range shape.Columns {
		d, err := logged(c, s)
		if err != nil {
			return nil, err
		}
		out[i] = mysql.Column{
			Name: d.name, DataType: d.dataType, ColumnType: d.columnType(), Unsigned: d.unsigned, Nullable: d.nullable,
			Charset: d.charset, Collation: d.collation,
		}
	}
	return out, nil
}

// columnType is the full type where more than its name matters.
func (d *definition) columnType() string {
	switch d.dataType {
	case "binary":
		return fmt.Sprintf("binary(%d)", d.length)
	case "enum", "set":
		quoted := make([]string, len(d.members))
		for i, member := range d.members {
			quoted[i] = "'" + strings.ReplaceAll(member, "'", "''") + "'"
		}
		return d.dataType + "(" + strings.Join(quoted, ",") + ")"
	}
	return d.dataType
}

func logged(c binlog.Column, collations Collations) (definition, error) {
	d := definition{name: c.Name, dataType: loggedTypes[c.Type], unsigned: c.Unsigned, nullable: c.Nullable}
	high, low := int(c.Meta>>8), int(c.Meta&0xff)
	switch c.Type {
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		d.dataType, d.precision, d.scale = "decimal", high, low
	case gomysql.MYSQL_TYPE_BIT:
		d.dataType, d.length = "bit", high*8+low
	case gomysql.MYSQL_TYPE_TIME2:
		d.dataType, d.scale = "time", low
	case gomysql.MYSQL_TYPE_DATETIME2:
		d.dataType, d.scale = "datetime", low
	case gomysql.MYSQL_TYPE_TIMESTAMP2:
		d.dataType, d.scale = "timestamp", low
	case gomysql.MYSQL_TYPE_TIME, gomysql.MYSQL_TYPE_DATETIME, gomysql.MYSQL_TYPE_TIMESTAMP:
		return d, fmt.Errorf("column %s is stored in the format of times before MySQL 5.6 and MariaDB 10.1: run ALTER TABLE ... FORCE at the source", c.Name)
	case gomysql.MYSQL_TYPE_GEOMETRY:
		d.dataType = "geometry"
		if c.Point {
			d.dataType = "point"
		}
	case gomysql.MYSQL_TYPE_STRING:
		d.dataType = "char"
		if c.Collation == binaryCollation {
			d.dataType, d.length = "binary", low
		}
	case gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_VAR_STRING, gomysql.MYSQL_TYPE_BLOB:
		d.dataType = "text"
		if c.Collation == binaryCollation {
			d.dataType = "blob"
		}
	}
	if d.dataType == "" {
		return d, fmt.Errorf("column %s is logged as type number %d, which has no form in messages", c.Name, c.Type)
	}
	return d, d.text(c, collations)
}

// text adds what columns with a character set need.
func (d *definition) text(c binlog.Column, collations Collations) error {
	if c.Collation == 0 || c.Collation == binaryCollation {
		d.members = c.Members
		return nil
	}
	collation, ok := collations[c.Collation]
	if !ok {
		return fmt.Errorf("column %s has the collation number %d, which the source does not explain", c.Name, c.Collation)
	}
	d.charset, d.collation = collation.Charset, collation.Name
	decode, err := charset.Of(d.charset)
	if err != nil {
		return fmt.Errorf("column %s: %w", c.Name, err)
	}
	for _, member := range c.Members {
		decoded, err := decode(nil, []byte(member))
		if err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
		d.members = append(d.members, string(decoded))
	}
	return nil
}
