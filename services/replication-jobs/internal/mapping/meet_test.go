package mapping_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
)

func TestMeet(t *testing.T) {
	t.Parallel()
	type rules = []filter.SchemaRule
	table := func(schema, rename string, tables ...filter.TableRule) rules {
		return rules{{Schema: schema, Rename: rename, Tables: tables}}
	}
	for name, tc := range map[string]struct {
		a, b           rules
		ignore         rules  // of b
		one, different string // where they meet if their source is one, and if it is not; "" if they do not
	}{
		"everything":                     {one: "."},
		"everything and a schema":        {b: table("s", ""), one: "s."},
		"a schema twice":                 {a: table("s", ""), b: table("s", ""), one: "s."},
		"two schemas":                    {a: table("s", ""), b: table("t", "")},
		"a schema and one of its tables": {a: table("s", ""), b: table("s", "", filter.TableRule{Name: "t"}), one: "s.t"},
		"an expression and a table":      {a: rules{{Regex: "^s", Tables: []filter.TableRule{{Regex: "t$"}}}}, b: table("s", "", filter.TableRule{Name: "t"}), one: "s.t"},
		"an expression and another":      {a: rules{{Regex: "^s"}}, b: table("t", "")},
		"two tables":                     {a: table("s", "", filter.TableRule{Name: "t"}), b: table("s", "", filter.TableRule{Name: "u"})},
		"one table":                      {a: table("s", "", filter.TableRule{Name: "t"}), b: table("s", "", filter.TableRule{Name: "t"}), one: "s.t", different: "s.t"},
		"one table under two names":      {a: table("s", "", filter.TableRule{Name: "t"}), b: table("s", "", filter.TableRule{Name: "t", Rename: "u"})},
		"two tables under one name":      {a: table("s", "x", filter.TableRule{Name: "t"}), b: table("r", "x", filter.TableRule{Name: "u", Rename: "t"}), different: "x.t"},
		"a schema under another name":    {a: table("s", ""), b: table("s", "new")},
		"an ignored table":               {a: table("s", "", filter.TableRule{Name: "t"}), b: table("s", ""), ignore: table("s", "", filter.TableRule{Name: "t"})},
	} {
		a, err := mapping.New(tc.a, nil)
		require.NoError(t, err, name)
		b, err := mapping.New(tc.b, tc.ignore)
		require.NoError(t, err, name)
		for one, want := range map[bool]string{true: tc.one, false: tc.different} {
			there, met := mapping.Meet(a, b, one)
			require.Equal(t, want != "", met, "%s, one source: %v", name, one)
			if met {
				require.Equal(t, want, there.Schema+"."+there.Table, name)
			}
			_, back := mapping.Meet(b, a, one)
			require.Equal(t, met, back, name)
		}
	}
}
