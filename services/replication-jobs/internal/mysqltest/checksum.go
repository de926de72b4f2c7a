package mysqltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Checksums returns the checksum of every base table of the schemas, by schema.table.
func (s *Server) Checksums(t testing.TB, schemas ...string) map[string]string {
	t.Helper()
	c, err := mysql.Connect(t.Context(), s.Config())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	out := map[string]string{}
	for _, schema := range schemas {
		r, err := c.Execute(`SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = ?`, schema)
		require.NoError(t, err)
		for i := range r.RowNumber() {
			name, err := r.GetString(i, 0)
			require.NoError(t, err)
			out[schema+"."+name] = Checksum(t, c, schema, name)
		}
	}
	return out
}

// Checksum is the server's own checksum of a table. Those of MySQL and MariaDB say nothing to each other: between the two it is one over
// what both show of the rows.
func Checksum(t testing.TB, c *mysql.Conn, schema, table string) string {
	t.Helper()
	if Mixed() {
		return shown(t, c, schema, table)
	}
	r, err := c.Execute("CHECKSUM TABLE " + mysql.QuoteTable(schema, table))
	require.NoError(t, err)
	sum, err := r.GetString(0, 1)
	require.NoError(t, err)
	return sum
}

// shown sums up the rows, so that their order does not matter.
func shown(t testing.TB, c *mysql.Conn, schema, table string) string {
	t.Helper()
	definition, err := mysql.LoadTable(c, schema, table)
	if mysql.Permanent(err) { // dropped a moment ago
		return err.Error()
	}
	require.NoError(t, err)
	columns := make([]string, len(definition.Columns))
	for i, column := range definition.Columns {
		columns[i] = comparable(column)
	}
	var rows, sum uint64
	var result gomysql.Result
	err = c.ExecuteSelectStreaming("SELECT "+strings.Join(columns, ", ")+" FROM "+mysql.QuoteTable(schema, table), &result, func(row []gomysql.FieldValue) error {
		h := fnv.New64a()
		for i := range row {
			fmt.Fprintf(h, "%d:%q ", i, text(&row[i]))
		}
		rows, sum = rows+1, sum+h.Sum64()
		return nil
	}, nil)
	require.NoError(t, err)
	return fmt.Sprintf("%d rows, %x", rows, sum)
}

// comparable is the expression under which both families show a column alike.
func comparable(column mysql.Column) string {
	name := mysql.QuoteIdent(column.Name)
	switch column.DataType {
	case "bit":
		return name + " + 0"
	case "float":
		return name + " * 1e0"
	}
	return name
}

// text is a value as it is compared: a document of JSON in one spelling, since MySQL keeps its own.
func text(v *gomysql.FieldValue) string {
	if v.Type != gomysql.FieldValueTypeString {
		return v.String()
	}
	value := v.AsString()
	if len(value) == 0 || !bytes.ContainsRune([]byte("{["), rune(value[0])) {
		return string(value)
	}
	var document any
	if json.Unmarshal(value, &document) != nil {
		return string(value)
	}
	same, err := json.Marshal(document)
	if err != nil {
		return err.Error()
	}
	return string(same)
}
