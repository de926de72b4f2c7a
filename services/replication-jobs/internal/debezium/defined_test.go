package debezium_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

func TestRefusedColumns(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]mysql.Column{
		"is of type vector":                     {Name: "v", DataType: "vector", ColumnType: "vector(3)"},
		"character set swe7 is not supported":   {Name: "v", DataType: "char", ColumnType: "char(3)", Charset: "swe7"},
		"the members \"'a\" are not understood": {Name: "v", DataType: "enum", ColumnType: "enum('a)"},
		"the members \"a\" are not understood":  {Name: "v", DataType: "set", ColumnType: "set(a)"},
	} {
		_, err := options.Defined(&mysql.Table{Schema: "a", Name: "b", Columns: []mysql.Column{c}})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "table a.b: column v")
	}
}

// FuzzMembers reads definitions of servers, which may hold anything between quotes.
func FuzzMembers(f *testing.F) {
	f.Add("'a','it''s',''")
	f.Add("'")
	f.Fuzz(func(_ *testing.T, list string) {
		_, _ = options.Defined(&mysql.Table{Columns: []mysql.Column{{Name: "e", DataType: "enum", ColumnType: "enum(" + list + ")"}}})
	})
}
