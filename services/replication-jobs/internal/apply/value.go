package apply

import (
	"fmt"
	"math"
	"strconv"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// appendValue appends a value of the log as a literal for the column. source is the column's type at the source.
func (c *column) appendValue(dst []byte, v any, source byte) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "NULL"...), nil
	case int8:
		return c.appendInt(dst, int64(v), 8), nil
	case int16:
		return c.appendInt(dst, int64(v), 16), nil
	case int32:
		if source == gomysql.MYSQL_TYPE_INT24 {
			return c.appendInt(dst, int64(v), 24), nil
		}
		return c.appendInt(dst, int64(v), 32), nil
	case int64:
		if source == gomysql.MYSQL_TYPE_STRING && c.DataType != "enum" && c.DataType != "set" {
			return nil, fmt.Errorf("column %s is an ENUM or SET at the source and %s at the target: make the definitions equal", c.Name, c.ColumnType)
		}
		return c.appendInt(dst, v, 64), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float32:
		return appendFloat(dst, float64(v)), nil
	case float64:
		return appendFloat(dst, v), nil
	case string:
		return c.appendText(dst, v, source), nil
	case []byte:
		return c.appendBytes(dst, v), nil
	default:
		return nil, fmt.Errorf("column %s holds a value of type %T, which is not replicated", c.Name, v)
	}
}

// appendInt writes an integer that was decoded as signed. The bits are right; whether they mean a sign only the definition tells.
func (c *column) appendInt(dst []byte, v int64, bits int) []byte {
	switch c.DataType {
	case "bit", "set":
		return strconv.AppendUint(dst, uint64(v), 10)
	}
	if c.Unsigned {
		return strconv.AppendUint(dst, uint64(v)&(math.MaxUint64>>(64-bits)), 10)
	}
	return strconv.AppendInt(dst, v, 10)
}

// appendFloat writes the shortest text that reads back as the same double. A FLOAT is a double of less precision: written as such it
// compares equal to what is stored.
func appendFloat(dst []byte, v float64) []byte {
	return strconv.AppendFloat(dst, v, 'e', -1, 64)
}

func (c *column) appendText(dst []byte, v string, source byte) []byte {
	switch source {
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		return append(dst, v...) // digits, sign and point
	case gomysql.MYSQL_TYPE_STRING, gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_VAR_STRING:
		return c.appendBytes(dst, []byte(v))
	default: // dates and times; a JSON document as text
		return mysql.AppendString(dst, []byte(v))
	}
}

// appendBytes writes bytes in the column's own character set. A document of the JSON type must not come as binary.
func (c *column) appendBytes(dst, v []byte) []byte {
	if c.DataType == "json" {
		return mysql.AppendString(dst, v)
	}
	if n := c.length - len(v); n > 0 {
		v = append(append(make([]byte, 0, c.length), v...), make([]byte, n)...)
	}
	return mysql.AppendBinary(dst, v)
}
