package debezium

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Defined returns how the columns of a table are written as the server's catalog defines them. It says the same as Logged of rows that
// are logged under this definition.
func (o Options) Defined(table *mysql.Table) ([]Column, error) {
	out := make([]Column, len(table.Columns))
	for i, c := range table.Columns {
		d, err := defined(c)
		if err == nil {
			out[i], err = o.column(d)
		}
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", table, err)
		}
	}
	return out, nil
}

func defined(c mysql.Column) (definition, error) {
	d := definition{name: c.Name, dataType: c.DataType, unsigned: c.Unsigned, nullable: c.Nullable, charset: c.Charset}
	arguments := ""
	if _, rest, ok := strings.Cut(c.ColumnType, "("); ok {
		arguments = rest[:strings.LastIndexByte(rest, ')')]
	}
	var err error
	switch c.DataType {
	case "enum", "set":
		d.members, err = members(arguments)
	case "decimal":
		precision, scale, _ := strings.Cut(arguments, ",")
		d.precision, d.scale = number(precision), number(scale)
	case "bit", "binary":
		d.length = number(arguments)
	case "time", "datetime", "timestamp":
		d.scale = number(arguments)
	case "uuid", "inet6": // the log does not tell them from BINARY
		d.dataType, d.length = "binary", 16
	case "inet4":
		d.dataType, d.length = "binary", 4
	}
	if err != nil {
		return d, fmt.Errorf("column %s: %w", c.Name, err)
	}
	return d, nil
}

// number reads a length, 0 where there is none.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// members reads the list of an ENUM or SET, in which a quote is doubled.
func members(list string) ([]string, error) {
	var out []string
	for rest := list; rest != ""; rest = strings.TrimPrefix(rest, ",") {
		if rest[0] != '\'' {
			return nil, fmt.Errorf("the members %q are not understood", list)
		}
		rest = rest[1:]
		var member strings.Builder
		for {
			text, tail, ok := strings.Cut(rest, "'")
			if !ok {
				return nil, fmt.Errorf("the members %q are not understood", list)
			}
			member.WriteString(text)
			rest = tail
			if !strings.HasPrefix(rest, "'") {
				break
			}
			member.WriteByte('\'')
			rest = rest[1:]
		}
		out = append(out, member.String())
	}
	return out, nil
}
