package mapping

import (
	"reflect"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
)

// Table is a table that is replicated, by its names at both ends.
type Table struct {
	Source, Target ddl.Name
	// Columns are all columns that the table has at the source, in order. They are known of tables whose rule chooses columns.
	Columns []string
}

// Register knows the tables of the source that are replicated at a position of the stream. It is what tells that two of them would
// become one at the target. The nil register, that of a plain mapping, knows nothing and refuses nothing.
type Register struct {
	mapping  *Mapping
	bySource map[ddl.Name]Table
	byTarget map[ddl.Name]ddl.Name
}

// NewRegister returns a register of the tables, nil for a plain mapping.
func NewRegister(m *Mapping, tables []Table) *Register {
	if m.Plain() {
		return nil
	}
	r := &Register{mapping: m, bySource: map[ddl.Name]Table{}, byTarget: map[ddl.Name]ddl.Name{}}
	for _, t := range tables {
		r.bySource[t.Source] = t
		r.byTarget[t.Target] = t.Source
	}
	return r
}

// Add registers a table that the source has.
func (r *Register) Add(source ddl.Name) (Table, error) {
	if r == nil {
		return Table{Source: source, Target: source}, nil
	}
	err := r.add(source)
	return r.bySource[source], err
}

func (r *Register) add(source ddl.Name) error {
	target, err := r.mapping.Target(source)
	if err != nil {
		return err
	}
	if other, taken := r.byTarget[target]; taken && other != source {
		names := []string{plainName(other), plainName(source)}
		slices.Sort(names)
		return refuse("tables %s and %s would both be %s at the target", names[0], names[1], plainName(target))
	}
	r.bySource[source] = Table{Source: source, Target: target}
	r.byTarget[target] = source
	return nil
}

func (r *Register) remove(source ddl.Name) {
	t, known := r.bySource[source]
	if !known {
		return
	}
	delete(r.bySource, source)
	if r.byTarget[t.Target] == source {
		delete(r.byTarget, t.Target)
	}
}

// Change is what a definition does to the register.
type Change struct {
	Gone []ddl.Name
	Come []Table
}

// Apply takes a definition, of which the selection has left what it replicates, into account, before it is executed.
func (r *Register) Apply(statement ddl.Statement) (Change, error) {
	if r == nil {
		return Change{}, nil
	}
	before := r.clone()
	var err error
	switch statement.Kind {
	case ddl.CreateTable:
		err = r.add(statement.Tables[0])
	case ddl.DropTable:
		for _, name := range statement.Tables {
			r.remove(name)
		}
	case ddl.DropDatabase:
		for _, t := range r.Tables(statement.Schema) {
			r.remove(t.Source)
		}
	case ddl.RenameTable, ddl.AlterTable:
		err = r.move(statement.Renames)
	}
	if err != nil {
		*r = *before
		return Change{}, err
	}
	return before.changeTo(r), nil
}

// move follows renames pair by pair. Only names in the selection are registered.
func (r *Register) move(renames []ddl.Rename) error {
	for _, pair := range renames {
		r.remove(pair.From)
		if !r.mapping.Table(pair.To.Schema, pair.To.Table) {
			continue
		}
		if err := r.add(pair.To); err != nil {
			return err
		}
	}
	return nil
}

// Tables returns the registered tables of a source schema, sorted by name.
func (r *Register) Tables(schema string) []Table {
	if r == nil {
		return nil
	}
	var out []Table
	for _, t := range r.bySource {
		if t.Source.Schema == schema {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b Table) int { return strings.Compare(a.Source.Table, b.Source.Table) })
	return out
}

// Shared reports whether the target's schema for a source schema holds tables of other source schemas, too.
func (r *Register) Shared(schema string) (bool, error) {
	if r == nil {
		return false, nil
	}
	target, err := r.mapping.TargetSchema(schema)
	for _, t := range r.bySource {
		if t.Target.Schema == target && t.Source.Schema != schema {
			return true, err
		}
	}
	return false, err
}

func (r *Register) clone() *Register {
	out := NewRegister(r.mapping, nil)
	for source, t := range r.bySource {
		out.bySource[source] = t
	}
	for target, source := range r.byTarget {
		out.byTarget[target] = source
	}
	return out
}

// changeTo is what makes after of r.
func (r *Register) changeTo(after *Register) Change {
	var c Change
	for source := range r.bySource {
		if _, still := after.bySource[source]; !still {
			c.Gone = append(c.Gone, source)
		}
	}
	for source, t := range after.bySource {
		if known, ok := r.bySource[source]; !ok || !reflect.DeepEqual(known, t) {
			c.Come = append(c.Come, t)
		}
	}
	return c
}

func plainName(n ddl.Name) string { return n.Schema + "." + n.Table }
