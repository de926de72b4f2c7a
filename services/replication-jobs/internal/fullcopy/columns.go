package fullcopy

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// literal is how a value is written in an INSERT so that the column gets exactly what the source has.
type literal int

const (
	// raw bytes go into text columns of any character set, binary, bit and geometry columns as they are.
	raw literal = iota
	// number values are digits.
	number
	// quoted values have a text form that is ASCII or utf8mb4: dates, JSON, UUIDs and addresses.
	quoted
	// ordinal values are the numbers of an ENUM, where 0, the empty value, needs a lenient session.
	ordinal
)

// readColumn returns the expression that reads a column without loss, and how to write what it returns.
func readColumn(c mysql.Column) (string, literal) {
	name := mysql.QuoteIdent(c.Name)
	switch c.DataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "year", "decimal":
		return name, number
	case "float", "double":
		// The text of a FLOAT has six digits; that of the product, a DOUBLE, has all.
		return name + " * 1e0", number
	case "enum":
		return "CAST(" + name + " AS UNSIGNED)", ordinal
	case "set":
		return "CAST(" + name + " AS UNSIGNED)", number
	case "date", "time", "datetime", "timestamp", "json", "uuid", "inet4", "inet6":
		return name, quoted
	}
	return name, raw
}

// EmptyEnum reports whether a value that was read by the Expression of its column is the empty one of an ENUM, which a strict session refuses.
func EmptyEnum(v *gomysql.FieldValue, c mysql.Column) bool {
	return c.DataType == "enum" && v.Type != gomysql.FieldValueTypeNull && v.AsUint64() == 0
}

// splittable reports whether a table can be cut at values of the column: they compare as they are ordered, and have an exact literal.
func splittable(c mysql.Column) bool {
	switch c.DataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "year", "decimal",
		"date", "time", "datetime", "timestamp", "char", "varchar", "binary", "varbinary":
		return true
	}
	return false
}

// appendValue appends a value that was read by readColumn.
func appendValue(dst []byte, v *gomysql.FieldValue, how literal) []byte {
	switch v.Type {
	case gomysql.FieldValueTypeNull:
		return append(dst, "NULL"...)
	case gomysql.FieldValueTypeUnsigned:
		return strconv.AppendUint(dst, v.AsUint64(), 10)
	case gomysql.FieldValueTypeSigned:
		return strconv.AppendInt(dst, v.AsInt64(), 10)
	case gomysql.FieldValueTypeFloat:
		return strconv.AppendFloat(dst, v.AsFloat64(), 'e', -1, 64) // with an exponent: MySQL takes -0 for an integer, which has no sign
	}
	switch how {
	case number, ordinal: // a DECIMAL
		return append(dst, v.AsString()...)
	case quoted:
		return mysql.AppendString(dst, v.AsString())
	}
	return mysql.AppendBinary(dst, v.AsString())
}

// appendKeyValue appends the bytes of a key column's value to a stored key.
func appendKeyValue(dst []byte, v *gomysql.FieldValue) []byte {
	var text []byte
	switch v.Type {
	case gomysql.FieldValueTypeUnsigned:
		text = strconv.AppendUint(nil, v.AsUint64(), 10)
	case gomysql.FieldValueTypeSigned:
		text = strconv.AppendInt(nil, v.AsInt64(), 10)
	default:
		text = v.AsString()
	}
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

var digits = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// keyLiterals decodes a stored key into SQL literals that compare with the columns in the columns' own collations.
func keyLiterals(stored []byte, columns []mysql.Column) ([]string, error) {
	out := make([]string, len(columns))
	for i, c := range columns {
		size, n := binary.Uvarint(stored)
		if n <= 0 || size > uint64(len(stored)-n) {
			return nil, fmt.Errorf("the stored key of column %s is damaged", c.Name)
		}
		value := stored[n : n+int(size)]
		stored = stored[n+int(size):]
		_, how := readColumn(c)
		switch {
		case how == number && !digits.Match(value):
			return nil, fmt.Errorf("the stored key of column %s is not a number", c.Name)
		case how == number:
			out[i] = string(value)
		case how == quoted:
			out[i] = string(mysql.AppendString(nil, value))
		case c.Charset != "":
			out[i] = "_" + c.Charset + " X'" + hex.EncodeToString(value) + "'"
		default:
			out[i] = "X'" + hex.EncodeToString(value) + "'"
		}
	}
	return out, nil
}

// after returns the condition for rows behind a key, before that for those before it. They are spelled out by columns because the servers
// find no index range for a comparison of row constructors.
func after(columns []mysql.Column, literals []string) string { return beyond(columns, literals, " > ") }

func before(columns []mysql.Column, literals []string) string {
	return beyond(columns, literals, " < ")
}

func beyond(columns []mysql.Column, literals []string, operator string) string {
	var alternatives, equal []string
	for i, literal := range literals {
		name := mysql.QuoteIdent(columns[i].Name)
		alternatives = append(alternatives, "("+strings.Join(append(slices.Clone(equal), name+operator+literal), " AND ")+")")
		equal = append(equal, name+" = "+literal)
	}
	return strings.Join(alternatives, " OR ")
}

// ChunkKey returns the columns by which the table is cut, nil if it cannot be. All of them are among those copied.
func ChunkKey(t *mysql.Table, rows *mapping.Rows) []int {
	copied := rows.Order(len(t.Columns))
	usable := func(key []int) bool {
		return len(key) > 0 && !slices.ContainsFunc(key, func(i int) bool {
			return !splittable(t.Columns[i]) || t.Columns[i].Nullable || t.Columns[i].Generated || !slices.Contains(copied, i)
		})
	}
	for _, key := range append([][]int{t.PrimaryKey}, t.UniqueKeys...) {
		if usable(key) {
			return key
		}
	}
	return nil
}
