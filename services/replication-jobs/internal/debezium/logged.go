package debezium

import (
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/charset"
)

// Charsets are the names of character sets by the ids of their collations, as the server tells them.
type Charsets map[uint64]string

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
func (o Options) Logged(shape *binlog.Shape, charsets Charsets) ([]Column, error) {
	out := make([]Column, len(shape.Columns))
	for i, c := range shape.Columns {
		d, err := logged(c, charsets)
		if err == nil {
			out[i], err = o.column(d)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func logged(c binlog.Column, charsets Charsets) (definition, error) {
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
	return d, d.text(c, charsets)
}

// text adds what columns with a character set need.
func (d *definition) text(c binlog.Column, charsets Charsets) error {
	if c.Collation == 0 || c.Collation == binaryCollation {
		d.members = c.Members
		return nil
	}
	if d.charset = charsets[c.Collation]; d.charset == "" {
		return fmt.Errorf("column %s has the collation number %d, which the source does not explain", c.Name, c.Collation)
	}
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
