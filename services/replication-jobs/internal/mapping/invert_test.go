package mapping_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
)

type (
	schemaRule = replicationv1.SchemaRule
	tableRule  = replicationv1.TableRule
)

// TestInvert holds that what the rules take to the target comes back under the inverse to where it was, and that what they leave out stays out.
func TestInvert(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		do, ignore []*schemaRule
		taken      []string // at the source
		out        []string // at the target
	}{
		"everything":    {taken: []string{"shop.t", "other.u"}},
		"a schema":      {do: []*schemaRule{{TableSchema: "shop"}}, taken: []string{"shop.t"}, out: []string{"other.t"}},
		"a new schema":  {do: []*schemaRule{{TableSchema: "shop", TableSchemaRename: "store"}}, taken: []string{"shop.t"}, out: []string{"shop.t"}},
		"a new table":   {do: []*schemaRule{{TableSchema: "shop", TableSchemaRename: "store", Tables: []*tableRule{{TableName: "t", TableRename: "u"}, {TableName: "x"}}}}, taken: []string{"shop.t", "shop.x"}, out: []string{"store.t"}},
		"two exchanged": {do: []*schemaRule{{TableSchema: "a", TableSchemaRename: "b"}, {TableSchema: "b", TableSchemaRename: "a"}}, taken: []string{"a.t", "b.t"}},
		"two rules": {
			do:    []*schemaRule{{TableSchema: "a", TableSchemaRename: "b", Tables: []*tableRule{{TableName: "t"}}}, {TableSchema: "a", TableSchemaRename: "b", Tables: []*tableRule{{TableName: "u"}}}},
			taken: []string{"a.t", "a.u"}, out: []string{"b.v"},
		},
		"an expression": {do: []*schemaRule{{TableSchemaRegex: "^s_", Tables: []*tableRule{{TableRegex: "^t"}}}}, taken: []string{"s_1.t1"}, out: []string{"s_1.u"}},
		"ignored": {
			do:     []*schemaRule{{TableSchema: "shop", TableSchemaRename: "store", Tables: []*tableRule{{TableName: "t", TableRename: "u"}, {TableName: "x"}}}},
			ignore: []*schemaRule{{TableSchema: "shop", Tables: []*tableRule{{TableName: "t"}}}},
			taken:  []string{"shop.x"}, out: []string{"store.u"},
		},
	} {
		forth, err := mapping.New(mapping.Rules(tc.do), mapping.Rules(tc.ignore))
		require.NoError(t, err, name)
		do, ignore, err := mapping.Invert(tc.do, tc.ignore, nil)
		require.NoError(t, err, name)
		back, err := mapping.New(mapping.Rules(do), mapping.Rules(ignore))
		require.NoError(t, err, name)
		for _, table := range tc.taken {
			source := nameOf(table)
			require.True(t, forth.Table(source.Schema, source.Table), "%s: %s", name, table)
			there, err := forth.Target(source)
			require.NoError(t, err)
			require.True(t, back.Table(there.Schema, there.Table), "%s: %s", name, there)
			here, err := back.Target(there)
			require.NoError(t, err)
			require.Equal(t, source, here, name)
		}
		for _, table := range tc.out {
			require.False(t, back.Table(nameOf(table).Schema, nameOf(table).Table), "%s: %s", name, table)
		}
	}
}

func TestInvertRefuses(t *testing.T) {
	t.Parallel()
	for want, tc := range map[string]struct{ do, ignore []*schemaRule }{
		"replicate_do_db[0] renames what a regular expression finds": {do: []*schemaRule{{TableSchemaRegex: "^s_(.*)", TableSchemaRename: "t_$1"}}},
		"replicate_do_db[0].tables[0] renames what a regular": {
			do: []*schemaRule{{TableSchema: "s", Tables: []*tableRule{{TableRegex: "^(.*)_1$", TableRename: "$1"}}}},
		},
		"replicate_do_db[1] and another rule bring the schemas a and b together as c": {
			do: []*schemaRule{{TableSchema: "a", TableSchemaRename: "c", Tables: []*tableRule{{TableName: "t"}}}, {TableSchema: "b", TableSchemaRename: "c", Tables: []*tableRule{{TableName: "u"}}}},
		},
		"replicate_do_db[0].tables[0] chooses columns of what a regular expression finds": {
			do: []*schemaRule{{TableSchema: "s", Tables: []*tableRule{{TableRegex: "^t", ColumnMapFrom: []string{"id"}}}}},
		},
		"replicate_do_db[0].tables[0] chooses some of the columns": {do: []*schemaRule{{TableSchema: "s", Tables: []*tableRule{{TableName: "t", ColumnMapFrom: []string{"id"}}}}}},
		"replicate_ignore_db[0] is a regular expression over names": {
			do: []*schemaRule{{TableSchema: "a", TableSchemaRename: "b"}}, ignore: []*schemaRule{{TableSchemaRegex: "tmp"}},
		},
		"replicate_ignore_db[0].tables[0] is a regular expression": {
			do: []*schemaRule{{TableSchema: "a", TableSchemaRename: "b"}}, ignore: []*schemaRule{{TableSchema: "a", Tables: []*tableRule{{TableRegex: "tmp"}}}},
		},
	} {
		_, _, err := mapping.Invert(tc.do, tc.ignore, func(string, string) ([]string, error) { return []string{"id", "note"}, nil })
		require.ErrorContains(t, err, want)
	}
}

func TestInvertRestoresTheOrderOfColumns(t *testing.T) {
	t.Parallel()
	rules := []*schemaRule{{TableSchema: "shop", TableSchemaRename: "store", Tables: []*tableRule{{TableName: "t", ColumnMapFrom: []string{"note", "ID"}, Where: "id > 5"}}}}
	back, _, err := mapping.Invert(rules, nil, func(schema, table string) ([]string, error) {
		require.Equal(t, "shop.t", schema+"."+table)
		return []string{"id", "note"}, nil
	})
	require.NoError(t, err)
	require.Equal(t, "store", back[0].GetTableSchema())
	require.Equal(t, []string{"id", "note"}, back[0].GetTables()[0].GetColumnMapFrom())
	require.Equal(t, "id > 5", back[0].GetTables()[0].GetWhere())
	require.Equal(t, []string{"note", "ID"}, rules[0].GetTables()[0].GetColumnMapFrom(), "the rules themselves stay")
	_, _, err = mapping.Invert(rules, nil, func(string, string) ([]string, error) { return nil, errors.New("gone") })
	require.ErrorContains(t, err, "those of the source are not known: gone")
}

func nameOf(table string) ddl.Name {
	schema, name, _ := strings.Cut(table, ".")
	return ddl.Name{Schema: schema, Table: name}
}
