package feed

import (
	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// expression reads a column in the form in which the log has it.
func expression(c mysql.Column) string {
	name := mysql.QuoteIdent(c.Name)
	switch c.DataType {
	case "float":
		// The text of a FLOAT has six digits; that of the product, a DOUBLE, has all.
		return name + " * 1e0"
	case "enum", "set":
		return "CAST(" + name + " AS UNSIGNED)"
	case "uuid", "inet6":
		return "CAST(" + name + " AS BINARY(16))"
	case "inet4":
		return "CAST(" + name + " AS BINARY(4))"
	}
	return name
}

// value is a value as the log has it.
func value(v *gomysql.FieldValue) any {
	switch v.Type {
	case gomysql.FieldValueTypeNull:
		return nil
	case gomysql.FieldValueTypeUnsigned:
		return v.AsUint64()
	case gomysql.FieldValueTypeSigned:
		return v.AsInt64()
	case gomysql.FieldValueTypeFloat:
		return v.AsFloat64()
	}
	return v.AsString()
}
