package filter_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
)

func rule(schema string, names ...string) filter.SchemaRule {
	r := filter.SchemaRule{Schema: schema}
	for _, n := range names {
		r.Tables = append(r.Tables, filter.TableRule{Name: n})
	}
	return r
}

func TestSelection(t *testing.T) {
	t.Parallel()
	type want struct {
		schema, table string
		bySchema      bool
		byTable       bool
	}
	for name, tc := range map[string]struct {
		do, ignore []filter.SchemaRule
		want       []want
	}{
		"empty rules take everything but system schemas": {want: []want{
			{"shop", "orders", true, true},
			{"mysql", "user", false, false},
			{"SYS", "x", false, false},
			{"information_schema", "tables", false, false},
			{"performance_schema", "x", false, false},
			{"opsdeck", "replication_job", false, false},
			{"dtle", "gtid_executed_v4", false, false},
		}},
		"a listed schema without tables is whole": {do: []filter.SchemaRule{rule("shop")}, want: []want{
			{"shop", "orders", true, true}, {"crm", "people", false, false},
		}},
		"listed tables only": {do: []filter.SchemaRule{rule("shop", "orders")}, want: []want{
			{"shop", "orders", true, true}, {"shop", "items", true, false}, {"shop", "Orders", true, false},
		}},
		"rules for one schema add up": {do: []filter.SchemaRule{rule("shop", "orders"), rule("shop", "items")}, want: []want{
			{"shop", "orders", true, true}, {"shop", "items", true, true}, {"shop", "x", true, false},
		}},
		"a whole schema stays whole": {do: []filter.SchemaRule{rule("shop"), rule("shop", "items")}, want: []want{{"shop", "x", true, true}}},
		"an ignored table leaves its schema": {
			do: []filter.SchemaRule{rule("db1", "tb1", "tb2")}, ignore: []filter.SchemaRule{rule("db1", "tb1")},
			want: []want{{"db1", "tb1", true, false}, {"db1", "tb2", true, true}},
		},
		"an ignored schema wins over a chosen table": {
			do: []filter.SchemaRule{rule("db3", "tb1")}, ignore: []filter.SchemaRule{rule("db3")},
			want: []want{{"db3", "tb1", false, false}},
		},
		"ignore without do": {ignore: []filter.SchemaRule{rule("db2", "skip")}, want: []want{
			{"db2", "skip", true, false}, {"db2", "x", true, true}, {"db9", "x", true, true},
		}},
		"system schemas cannot be chosen": {do: []filter.SchemaRule{rule("mysql", "user")}, want: []want{{"mysql", "user", false, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := filter.New(tc.do, tc.ignore)
			require.NoError(t, err)
			for _, w := range tc.want {
				require.Equal(t, w.bySchema, s.Schema(w.schema), "schema %s", w.schema)
				require.Equal(t, w.byTable, s.Table(w.schema, w.table), "table %s.%s", w.schema, w.table)
			}
		})
	}
}

func TestNewNamesTheField(t *testing.T) {
	t.Parallel()
	_, err := filter.New([]filter.SchemaRule{rule("a"), rule("")}, nil)
	require.ErrorContains(t, err, "replicate_do_db[1].table_schema")
	_, err = filter.New(nil, []filter.SchemaRule{rule("a", "x", "")})
	require.ErrorContains(t, err, "replicate_ignore_db[0].tables[1].table_name")
}

func TestMissing(t *testing.T) {
	t.Parallel()
	s, err := filter.New([]filter.SchemaRule{rule("a", "x", "y"), rule("b"), rule("c", "z")}, nil)
	require.NoError(t, err)
	missing := s.Missing(func(schema string) bool { return schema != "c" },
		func(_, table string) bool { return table == "x" })
	require.Equal(t, []string{"a.y", "c"}, missing)
}
