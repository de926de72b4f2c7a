package mapping_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

func name(schema, table string) ddl.Name { return ddl.Name{Schema: schema, Table: table} }

func build(t *testing.T, do ...filter.SchemaRule) *mapping.Mapping {
	t.Helper()
	m, err := mapping.New(do, nil)
	require.NoError(t, err)
	return m
}

func TestTarget(t *testing.T) {
	t.Parallel()
	m := build(t, filter.SchemaRule{Schema: "a", Rename: "b", Tables: []filter.TableRule{{Name: "x", Rename: "y"}, {Regex: "^long_(.*)", Rename: "much_longer_$1"}}},
		filter.SchemaRule{Regex: "^s_(.*)$", Rename: "${1}"})
	require.False(t, m.Plain())
	for from, want := range map[ddl.Name]ddl.Name{
		name("a", "x"): name("b", "y"), name("a", "unknown"): name("b", "unknown"), name("other", "x"): name("other", "x"),
		name("s_z", "t"): name("z", "t"), name("a", "long_1"): name("b", "much_longer_1"),
	} {
		got, err := m.Target(from)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for from, want := range map[ddl.Name]string{
		name("s_", "t"):                            "the name is empty",
		name("s_mysql", "t"):                       "schema s_mysql would be mysql at the target",
		name("a", "long_"+strings.Repeat("x", 59)): "is longer than 64 characters",
	} {
		_, err := m.Target(from)
		require.ErrorContains(t, err, want)
		require.True(t, mysql.Permanent(err))
	}
	plain := build(t, filter.SchemaRule{Schema: "a"})
	require.True(t, plain.Plain())
	got, err := plain.Target(name("a", "x"))
	require.NoError(t, err)
	require.Equal(t, name("a", "x"), got)
}

func TestNewRefusesNamesThatClash(t *testing.T) {
	t.Parallel()
	for want, tables := range map[string][]filter.TableRule{
		"s.a and s.b would both be s.c": {{Name: "a", Rename: "c"}, {Name: "b", Rename: "c"}},
		"s.a and s.b would both be s.b": {{Name: "a", Rename: "b"}, {Name: "b"}},
	} {
		_, err := mapping.New([]filter.SchemaRule{{Schema: "s", Tables: tables}}, nil)
		require.ErrorContains(t, err, want)
	}
	build(t, filter.SchemaRule{Schema: "s", Tables: []filter.TableRule{{Name: "a", Rename: "b"}, {Name: "b", Rename: "a"}}})
}

// apply runs statements through the register of a mapping.
func apply(t *testing.T, r *mapping.Register, statements ...string) (mapping.Change, error) {
	t.Helper()
	var change mapping.Change
	for _, text := range statements {
		s, err := ddl.Parse(text, ddl.Session{Schema: "s"})
		require.NoError(t, err)
		if _, change, err = r.Apply(s); err != nil {
			return change, err
		}
	}
	return change, nil
}

func TestRegister(t *testing.T) {
	t.Parallel()
	m := build(t, filter.SchemaRule{Schema: "s", Rename: "all", Tables: []filter.TableRule{{Regex: "^[a-z]$"}, {Name: "one", Rename: "a"}}},
		filter.SchemaRule{Schema: "other", Rename: "all"})
	table := func(source, target string) mapping.Table {
		return mapping.Table{Source: name("s", source), Target: name("all", target)}
	}
	start := []mapping.Table{table("a", "a"), table("b", "b")}

	r := mapping.NewRegister(m, start)
	change, err := apply(t, r, "RENAME TABLE a TO tmp, b TO a, tmp TO b")
	require.NoError(t, err)
	require.Equal(t, mapping.Change{}, change, "the same names are taken")
	change, err = apply(t, r, "CREATE TABLE c (id INT)")
	require.NoError(t, err)
	require.Equal(t, mapping.Change{Come: []mapping.Table{table("c", "c")}}, change)
	change, err = apply(t, r, "ALTER TABLE c RENAME TO outside")
	require.NoError(t, err)
	require.Equal(t, mapping.Change{Gone: []ddl.Name{name("s", "c")}}, change)

	_, err = apply(t, r, "CREATE TABLE one (id INT)")
	require.ErrorContains(t, err, "tables s.a and s.one would both be all.a")
	_, err = apply(t, r, "RENAME TABLE b TO one")
	require.ErrorContains(t, err, "tables s.a and s.one would both be all.a")
	change, err = apply(t, r, "DROP TABLE a", "CREATE TABLE one (id INT)")
	require.NoError(t, err, "a refused statement has changed nothing, and a dropped table makes room")
	require.Equal(t, mapping.Change{Come: []mapping.Table{table("one", "a")}}, change)

	shared, err := r.Shared("s")
	require.NoError(t, err)
	require.False(t, shared)
	_, err = apply(t, r, "CREATE TABLE other.t (id INT)")
	require.NoError(t, err)
	shared, err = r.Shared("s")
	require.NoError(t, err)
	require.True(t, shared)
	change, err = apply(t, r, "DROP DATABASE s")
	require.NoError(t, err)
	require.ElementsMatch(t, []ddl.Name{name("s", "one"), name("s", "b")}, change.Gone)
	require.Empty(t, r.Tables("s"))
	require.Len(t, r.Tables("other"), 1)

	require.Nil(t, mapping.NewRegister(build(t), start), "a plain mapping needs no register")
}
