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
	case ddl.RenameTable:
		err = r.move(statement.Renames)
	case ddl.AlterTable:
		err = r.alter(statement)
	}
	if err != nil {
		*r = *before
		return Change{}, err
	}
	return before.changeTo(r), nil
}

// alter follows the renames of ALTER TABLE. Where it names a second table and no rename, the two exchange rows.
func (r *Register) alter(statement ddl.Statement) error {
	if len(statement.Renames) > 0 {
		return r.move(statement.Renames)
	}
	for _, other := range statement.Tables[1:] {
		if !r.mapping.alike(statement.Tables[0], other) {
			return refuse("tables %s and %s exchange rows, and other columns or rows of each are replicated", plainName(statement.Tables[0]), plainName(other))
		}
	}
	return nil
}

// move follows renames pair by pair. Only names in the selection are registered; those outside it matter as steps of a chain. A table must
// not come under a rule that takes other columns or rows, as those that it has at the target are taken already.
func (r *Register) move(renames []ddl.Rename) error {
	origins := map[ddl.Name]ddl.Name{}
	for _, pair := range renames {
		origin, moved := origins[pair.From]
		if !moved {
			origin = pair.From
		}
		origins[pair.To] = origin
		r.remove(pair.From)
		if !r.mapping.Table(pair.To.Schema, pair.To.Table) {
			continue
		}
		if !r.mapping.alike(origin, pair.To) {
			return refuse("table %s becomes %s, of which other columns or rows are replicated", plainName(origin), plainName(pair.To))
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
