package mapping

import (
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
)

// anyTable stands for the tables that rules take without naming them.
const anyTable = "opsdeck_any_table"

// Meet returns what two jobs would both write to, as far as their rules alone say so: a table of the target, or all of the tables of a schema, where
// Table is "". Two jobs of one source meet where they take the same table under the same new name; those of different sources where both name a
// table with the same new name, as nobody knows what else is there.
func Meet(a, b *Mapping, oneSource bool) (ddl.Name, bool) {
	if oneSource {
		return meetAtSource(a, b)
	}
	named := map[ddl.Name]bool{}
	for _, name := range a.named() {
		if there, err := a.Target(name); err == nil {
			named[there] = true
		}
	}
	for _, name := range b.named() {
		if there, err := b.Target(name); err == nil && named[there] {
			return there, true
		}
	}
	return ddl.Name{}, false
}

func meetAtSource(a, b *Mapping) (ddl.Name, bool) {
	candidates := append(a.named(), b.named()...)
	for _, m := range []*Mapping{a, b} {
		for schema := range m.Named() {
			candidates = append(candidates, ddl.Name{Schema: schema, Table: anyTable})
		}
	}
	candidates = append(candidates, ddl.Name{Schema: anyTable, Table: anyTable})
	for _, name := range candidates {
		if !a.Table(name.Schema, name.Table) || !b.Table(name.Schema, name.Table) {
			continue
		}
		there, err := a.Target(name)
		if other, otherErr := b.Target(name); err != nil || otherErr != nil || other != there {
			continue
		}
		if name.Table == anyTable {
			there.Table = ""
		}
		if name.Schema == anyTable {
			there.Schema = ""
		}
		return there, true
	}
	return ddl.Name{}, false
}

// named are the tables that the rules name and take.
func (m *Mapping) named() []ddl.Name {
	var out []ddl.Name
	for schema, tables := range m.Named() {
		for _, table := range tables {
			if m.Table(schema, table) {
				out = append(out, ddl.Name{Schema: schema, Table: table})
			}
		}
	}
	return out
}
