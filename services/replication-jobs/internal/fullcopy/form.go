package fullcopy

import (
	"slices"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// form is how the rows of a table are written: as an INSERT, or as the file of a LOAD DATA, which spares the target the parsing of values.
type form struct {
	// insert is the statement up to its rows.
	insert string
	// load is the statement that reads a file; "" if rows are written as statements.
	load string
	how  []literal
}

func formOf(t *task, columns []mysql.Column) form {
	verb := "INSERT"
	if t.resumed() {
		// Rows of the earlier snapshot may still hold unique values that belong to rows of this one by now; what is replaced
		// comes back with the events between the two.
		verb = "REPLACE"
	}
	f := form{}
	var names []string
	for _, c := range columns {
		_, how := readColumn(c)
		f.how = append(f.how, how)
		names = append(names, mysql.QuoteIdent(c.Name))
	}
	f.insert = verb + " INTO " + t.quoted() + " (" + strings.Join(names, ", ") + ") VALUES "
	if t.files {
		fields, settings := fieldsOf(columns)
		f.load = "LOAD DATA LOCAL INFILE 'rows' " + strings.TrimPrefix(verb, "INSERT") + " INTO TABLE " + t.quoted() +
			" CHARACTER SET binary (" + strings.Join(fields, ", ") + ")" + settings
	}
	return f
}

// fieldsOf says where the fields of a file go: into columns, or into variables that the settings behind them make values of.
func fieldsOf(columns []mysql.Column) (fields []string, settings string) {
	// Where there are settings, a number must be among them: the server has forgotten by then that the file gave the row's AUTO_INCREMENT, and would
	// take a zero for none.
	direct := !slices.ContainsFunc(columns, func(c mysql.Column) bool { return converted(c, "") != "" })
	separator := " SET "
	for i, c := range columns {
		name, variable := mysql.QuoteIdent(c.Name), "@opsdeck_field_"+strconv.Itoa(i)
		value := converted(c, variable)
		if _, how := readColumn(c); value == "" && how == number && !direct {
			value = variable
		}
		if value == "" {
			fields = append(fields, name)
			continue
		}
		fields = append(fields, variable)
		settings += separator + name + " = " + value
		separator = ", "
	}
	return fields, settings
}

// converted makes a column's value of the bytes of a field, where the column would not take them for what they are: digits might be the name of an
// ENUM's member, and text the bytes of an address. It is "" for all others.
func converted(c mysql.Column, field string) string {
	switch c.DataType {
	case "enum", "set", "year":
		return "CAST(" + field + " AS UNSIGNED)"
	case "uuid", "inet4", "inet6":
		return "CONVERT(" + field + " USING utf8mb4)"
	}
	return ""
}

// begin is the head of a chunk.
func (f *form) begin(dst []byte) []byte {
	if f.load != "" {
		return dst
	}
	return append(dst, f.insert...)
}

// append appends a row to a chunk.
func (f *form) append(dst []byte, row []gomysql.FieldValue, first bool) []byte {
	if f.load != "" {
		return f.appendLine(dst, row)
	}
	dst = openRow(dst, first)
	for i, how := range f.how {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendValue(dst, &row[i], how)
	}
	return append(dst, ')')
}

func openRow(dst []byte, first bool) []byte {
	if first {
		return append(dst, '(')
	}
	return append(dst, ",("...)
}

// null is the NULL of a file.
const null = `\N`

// appendLine appends a row to a file: fields with a tab between them, and a newline behind.
func (f *form) appendLine(dst []byte, row []gomysql.FieldValue) []byte {
	for i, how := range f.how {
		if i > 0 {
			dst = append(dst, '\t')
		}
		switch v := &row[i]; v.Type {
		case gomysql.FieldValueTypeNull:
			dst = append(dst, null...)
		case gomysql.FieldValueTypeString:
			dst = appendField(dst, v.AsString())
		default: // digits
			dst = appendValue(dst, v, how)
		}
	}
	return append(dst, '\n')
}

// escapes are the bytes that mean something in a file, and what stands for them behind a backslash.
var escapes = [256]byte{'\t': 't', '\n': 'n', '\\': '\\'}

func appendField(dst, s []byte) []byte {
	start := 0
	for i, b := range s {
		if escapes[b] == 0 {
			continue
		}
		dst = append(append(dst, s[start:i]...), '\\', escapes[b])
		start = i + 1
	}
	return append(dst, s[start:]...)
}

// statement makes the statement of the rows in a file.
func (f *form) statement(file []byte) []byte {
	out := append(make([]byte, 0, len(file)+len(file)/2+len(f.insert)), f.insert...)
	for first := true; len(file) > 0; first = false {
		out = openRow(out, first)
		for i, how := range f.how {
			if i > 0 {
				out = append(out, ',')
			}
			var v gomysql.FieldValue
			v, file = cutField(file)
			out = appendValue(out, &v, how)
		}
		out = append(out, ')')
	}
	return out
}

// cutField reads a field of a file, and returns what follows it.
func cutField(file []byte) (v gomysql.FieldValue, rest []byte) {
	end := 0
	for file[end] != '\t' && file[end] != '\n' { // a line ends with one of them
		if file[end] == '\\' {
			end++
		}
		end++
	}
	field, rest := file[:end], file[end+1:]
	if string(field) == null {
		return gomysql.NewFieldValue(gomysql.FieldValueTypeNull, 0, nil), rest
	}
	value := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		b := field[i]
		if b == '\\' {
			i++
			switch b = field[i]; b {
			case 't':
				b = '\t'
			case 'n':
				b = '\n'
			}
		}
		value = append(value, b)
	}
	return gomysql.NewFieldValue(gomysql.FieldValueTypeString, 0, value), rest
}
