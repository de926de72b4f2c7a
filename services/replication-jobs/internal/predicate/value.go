package predicate

import (
	"fmt"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/shopspring/decimal"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Value is a value of a row.
type Value struct {
	kind  kind
	exact decimal.Decimal
	float float64
	text  string // bytes of a string; a date as YYYY-MM-DD hh:mm:ss.ffffff, so that the order is that of the text
}

type kind uint8

const (
	kindNull kind = iota
	kindExact
	kindFloat
	kindText
	kindTime
)

var null = Value{}

func exact(n decimal.Decimal) Value { return Value{kind: kindExact, exact: n} }

func integer(n int64) Value { return exact(decimal.NewFromInt(n)) }

func text(s string) Value { return Value{kind: kindText, text: s} }

// truth is a truth value of SQL.
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func (v Value) truth() truth {
	switch {
	case v.kind == kindNull:
		return unknown
	case v.kind == kindExact && !v.exact.IsZero(), v.kind == kindFloat && v.float != 0:
		return yes
	}
	return no
}

// value is 1, 0 or NULL.
func (t truth) value() Value {
	switch t {
	case yes:
		return integer(1)
	case no:
		return integer(0)
	default:
		return null
	}
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) not() truth { return yes - t }

// FromLog converts a value of the binary log.
func FromLog(v any, c *mysql.Column) (Value, error) {
	switch v := v.(type) {
	case nil:
		return null, nil
	case int8:
		return fromBits(int64(v), 8, c)
	case int16:
		return fromBits(int64(v), 16, c)
	case int32:
		if c.DataType == "mediumint" {
			return fromBits(int64(v), 24, c)
		}
		return fromBits(int64(v), 32, c)
	case int64:
		return fromBits(v, 64, c)
	case int:
		return integer(int64(v)), nil
	case float32:
		return Value{kind: kindFloat, float: float64(v)}, nil
	case float64:
		return Value{kind: kindFloat, float: v}, nil
	case string:
		return fromText(v, c)
	case []byte:
		return fromText(string(v), c)
	}
	return null, fmt.Errorf("column %s holds a value of type %T", c.Name, v)
}

// fromBits takes an integer that was decoded as signed.
func fromBits(v int64, bits int, c *mysql.Column) (Value, error) {
	switch {
	case c.DataType == "enum":
		return label(uint64(v), c)
	case c.Unsigned:
		return exact(decimal.NewFromUint64(uint64(v) & (1<<bits - 1))), nil
	}
	return integer(v), nil
}

// FromField converts a value that a copy has read.
func FromField(v *gomysql.FieldValue, c *mysql.Column) (Value, error) {
	switch v.Type {
	case gomysql.FieldValueTypeNull:
		return null, nil
	case gomysql.FieldValueTypeUnsigned:
		if c.DataType == "enum" {
			return label(v.AsUint64(), c)
		}
		return exact(decimal.NewFromUint64(v.AsUint64())), nil
	case gomysql.FieldValueTypeSigned:
		if c.DataType == "enum" {
			return label(uint64(v.AsInt64()), c)
		}
		return integer(v.AsInt64()), nil
	case gomysql.FieldValueTypeFloat:
		return Value{kind: kindFloat, float: v.AsFloat64()}, nil
	}
	return fromText(string(v.AsString()), c)
}

func fromText(s string, c *mysql.Column) (Value, error) {
	switch c.DataType {
	case "decimal":
		n, err := decimal.NewFromString(s)
		return exact(n), err
	case "float", "double":
		f, err := strconv.ParseFloat(s, 64)
		return Value{kind: kindFloat, float: f}, err
	case "date", "datetime", "timestamp":
		return Value{kind: kindTime, text: canonical(s)}, nil
	case "binary": // the log leaves trailing zeros out
		if n := binaryLength(c); len(s) < n {
			s += strings.Repeat("\x00", n-len(s))
		}
	}
	return text(s), nil
}

func binaryLength(c *mysql.Column) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(c.ColumnType, "binary("), ")"))
	return n
}

// canonical fills up a date or a date with a time to its full length.
func canonical(s string) string {
	const full = "0000-00-00 00:00:00.000000"
	if len(s) < len(full) {
		s += full[len(s):]
	}
	return s
}

// labels are the values of an ENUM.
func labels(c *mysql.Column) []string {
	var out []string
	rest := strings.TrimSuffix(strings.TrimPrefix(c.ColumnType, "enum("), ")")
	for len(rest) > 0 && rest[0] == '\'' {
		var b strings.Builder
		i := 1
		for ; i < len(rest); i++ {
			if rest[i] == '\'' {
				if i+1 >= len(rest) || rest[i+1] != '\'' {
					break
				}
				i++
			}
			b.WriteByte(rest[i])
		}
		out = append(out, b.String())
		rest = strings.TrimPrefix(rest[min(i+1, len(rest)):], ",")
	}
	return out
}

// label is the value of an ENUM by its number, where 0 is the empty value of what was refused once.
func label(n uint64, c *mysql.Column) (Value, error) {
	all := labels(c)
	if n > uint64(len(all)) {
		return null, fmt.Errorf("column %s holds value number %d of an ENUM of %d", c.Name, n, len(all))
	}
	if n == 0 {
		return text(""), nil
	}
	return text(all[n-1]), nil
}
