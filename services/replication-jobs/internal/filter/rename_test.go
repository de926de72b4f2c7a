package filter_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
)

func schemaRegex(regex, rename string, tables ...filter.TableRule) filter.SchemaRule {
	return filter.SchemaRule{Regex: regex, Rename: rename, Tables: tables}
}

func TestFind(t *testing.T) {
	t.Parallel()
	do := []filter.SchemaRule{
		{Schema: "shop", Rename: "store", Tables: []filter.TableRule{
			{Name: "orders", Rename: "bestellungen", Where: "id > 5"},
			{Regex: `^log_(\d+)$`, Rename: "archive_${1}"},
			{Regex: `^log_`, Rename: "log_rest"},
			{Regex: "keep"},
			{Name: "users"},
		}},
		{Schema: "shop", Rename: "store", Tables: []filter.TableRule{{Name: "items"}}},
		schemaRegex(`^tenant_(?P<no>\d+)$`, "t${no}", filter.TableRule{Regex: "^data(.*)$", Rename: "d$1"}),
		schemaRegex(`^tenant_7$`, "ignored", filter.TableRule{Name: "extra"}),
		schemaRegex(`_all`, ""),
	}
	s, err := filter.New(do, []filter.SchemaRule{{Regex: "^tenant_9"}, {Schema: "x_all", Tables: []filter.TableRule{{Regex: "^tmp"}}}})
	require.NoError(t, err)
	require.False(t, s.Plain())
	for name, want := range map[string]string{ // "" when the table is not replicated
		"shop.orders":             "store.bestellungen",
		"shop.items":              "store.items",
		"shop.users":              "store.users",
		"shop.log_12":             "store.archive_12",
		"shop.log_x":              "store.log_rest",
		"shop.we_keep_it":         "store.we_keep_it",
		"shop.other":              "",
		"tenant_3.data_x":         "t3.d_x",
		"tenant_3.other":          "",
		"tenant_3.extra":          "",
		"tenant_7.extra":          "t7.extra", // the first rule that matches a schema gives it its name, all of them its tables
		"tenant_7.data":           "t7.d",
		"tenant_9.data":           "",
		"my_tenant_3.data":        "",
		"x_all.any":               "x_all.any", // without a rename, and not anchored
		"x_all.tmp1":              "",
		"mysql_all.t":             "mysql_all.t",
		"mysql.user":              "",
		"shop._orders_gho":        "store._bestellungen_gho",
		"shop._orders_del":        "store._bestellungen_del",
		"shop._orders_ghc":        "",
		"shop._orders_new":        "store._bestellungen_new",
		"shop.___orders_old":      "store.___bestellungen_old",
		"shop._other_gho":         "",
		"shop._log_12_gho":        "store._archive_12_gho",
		"x_all._any_gho":          "x_all._any_gho",
		"x_all._tmp1_gho":         "",
		"tenant_3._data_del":      "t3._d_del",
		"shop.orders_gho":         "",
		"shop._orders_2024_del":   "",
		"shop._orders_x_gho":      "",
		"shop._we_keep_it_old":    "store._we_keep_it_old",
		"shop._items_" + day:      "store._items_" + day,
		"tenant_3._data_x_" + day: "t3._d_x_" + day,
	} {
		schema, table, _ := strings.Cut(name, ".")
		choice, ok := s.Find(schema, table)
		require.Equal(t, want != "", ok, name)
		require.Equal(t, ok, s.Table(schema, table))
		if ok {
			require.Equal(t, want, s.SchemaRename(schema)+"."+choice.Target, name)
		}
	}
	choice, _ := s.Find("shop", "_orders_gho")
	require.Equal(t, "id > 5", choice.Rule.Where, "the shadow of a table is filtered as the table is")
}

const day = "20240131235959_del"

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	table := func(rules ...filter.TableRule) []filter.SchemaRule {
		return []filter.SchemaRule{{Schema: "s", Tables: rules}}
	}
	for want, do := range map[string][]filter.SchemaRule{
		"replicate_do_db[0].table_schema_regex contradicts table_schema":                                              {{Schema: "a", Regex: "b"}},
		"replicate_do_db[0].table_schema_regex is not a regular expression":                                           {schemaRegex("(", "")},
		"replicate_do_db[0].table_schema_rename names the group ${2}":                                                 {schemaRegex("(a)", "x${2}")},
		"replicate_do_db[0].tables[0].table_rename names the group $1x":                                               table(filter.TableRule{Regex: "(a)", Rename: "$1x"}),
		"replicate_do_db[0].tables[0].table_rename names the group ${who}":                                            table(filter.TableRule{Regex: "(a)", Rename: "${who}"}),
		"replicate_do_db[1].table_schema_rename differs":                                                              {{Schema: "a", Rename: "b"}, {Schema: "a", Rename: "c"}},
		"replicate_do_db[0].tables[1].table_name names table t, of which another rule says something else":            table(filter.TableRule{Name: "t"}, filter.TableRule{Name: "t", Rename: "u"}),
		"replicate_do_db[0].table_schema_rename is MySQL, a schema of the server":                                     {{Schema: "a", Rename: "MySQL"}},
		"replicate_do_db[0].tables[0].table_rename cannot be a name: the name \"a/b\" has a character":                table(filter.TableRule{Name: "t", Rename: "a/b"}),
		"replicate_do_db[0].tables[0].table_rename cannot be a name: the name \"" + strings.Repeat("x", 65) + "\" is": table(filter.TableRule{Name: "t", Rename: strings.Repeat("x", 65)}),
	} {
		_, err := filter.New(do, nil)
		require.ErrorContains(t, err, want)
	}
	_, err := filter.New(nil, table(filter.TableRule{Name: "t", Where: "true"}))
	require.ErrorContains(t, err, "replicate_ignore_db says more")
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, do := range [][]filter.SchemaRule{nil, {rule("a", "b")}, {schemaRegex("x", "", filter.TableRule{Regex: "y"})}} {
		s, err := filter.New(do, nil)
		require.NoError(t, err)
		require.True(t, s.Plain())
	}
	for _, do := range [][]filter.SchemaRule{
		{{Schema: "a", Rename: "b"}},
		{schemaRegex("a", "b")},
		{{Schema: "a", Tables: []filter.TableRule{{Regex: "x", Rename: "y"}}}},
		{schemaRegex("a", "", filter.TableRule{Name: "x", Where: "true"})},
		{schemaRegex("a", "", filter.TableRule{Name: "x", Columns: []string{"y"}})},
	} {
		s, err := filter.New(do, nil)
		require.NoError(t, err)
		require.False(t, s.Plain())
	}
}

func BenchmarkTable(b *testing.B) {
	for name, do := range map[string][]filter.SchemaRule{
		"names":   {rule("shop", "orders", "items")},
		"regexes": {schemaRegex("^shop", "", filter.TableRule{Regex: `^ord(\w+)$`, Rename: "o$1"})},
	} {
		b.Run(name, func(b *testing.B) {
			s, err := filter.New(do, nil)
			require.NoError(b, err)
			for b.Loop() {
				if !s.Table("shop", "orders") {
					b.Fatal("not chosen")
				}
			}
		})
	}
}
