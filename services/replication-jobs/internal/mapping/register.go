package mapping

import (
	"reflect"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
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

// Add registers a table that the source has, with its columns there.
func (r *Register) Add(source ddl.Name, columns []mysql.Column) (Table, error) {
	if r == nil {
		return Table{Source: source, Target: source}, nil
	}
	var all []string
	if len(r.mapping.Columns(source)) > 0 {
		for _, c := range columns {
			all = append(all, c.Name)
		}
	}
	err := r.add(source, all)
	return r.bySource[source], err
}

func (r *Register) add(source ddl.Name, columns []string) error {
	target, err := r.mapping.Target(source)
	if err != nil {
		return err
	}
	if other, taken := r.byTarget[target]; taken && other != source {
		names := []string{plainName(other), plainName(source)}
		slices.Sort(names)
		return refuse("tables %s and %s would both be %s at the target", names[0], names[1], plainName(target))
	}
	r.bySource[source] = Table{Source: source, Target: target, Columns: columns}
	r.byTarget[target] = source
	return nil
}

// Columns returns the columns that a table has at the source, if its rule chooses among them.
func (r *Register) Columns(source ddl.Name) []string {
	if r == nil {
		return nil
	}
	return r.bySource[source].Columns
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

// Apply takes a definition, of which the selection has left what it replicates, into account, before it is executed. It returns what of it
// is for the target, which is Ignored when nothing is.
func (r *Register) Apply(statement ddl.Statement) (ddl.Statement, Change, error) {
	if r == nil {
		return statement, Change{}, nil
	}
	before := r.clone()
	left, err := r.apply(statement)
	if err != nil {
		*r = *before
		return statement, Change{}, err
	}
	return left, before.changeTo(r), nil
}

func (r *Register) apply(statement ddl.Statement) (ddl.Statement, error) {
	switch statement.Kind {
	case ddl.CreateTable:
		return r.create(statement)
	case ddl.DropTable:
		for _, name := range statement.Tables {
			r.remove(name)
		}
	case ddl.DropDatabase:
		for _, t := range r.Tables(statement.Schema) {
			r.remove(t.Source)
		}
	case ddl.RenameTable:
		return statement, r.move(statement.Renames)
	case ddl.AlterTable, ddl.CreateIndex:
		return r.alter(statement)
	}
	return statement, nil
}

// create registers a new table, and leaves the chosen columns of its definition.
func (r *Register) create(statement ddl.Statement) (ddl.Statement, error) {
	name := statement.Tables[0]
	chosen := r.mapping.Columns(name)
	if statement.Like != nil {
		if !r.mapping.alike(*statement.Like, name) {
			return statement, refuse("table %s is made like %s, of which other columns or rows are replicated", plainName(name), plainName(*statement.Like))
		}
		return statement, r.add(name, r.Columns(*statement.Like))
	}
	if len(chosen) == 0 {
		return statement, r.add(name, nil)
	}
	left, all, err := statement.ProjectCreate(chosen)
	if err != nil {
		return statement, err
	}
	if known := r.Columns(name); known != nil && statement.IfNotExists() {
		all = known // the table was there
	}
	return left, r.add(name, all)
}

// alter follows the columns and the renames of ALTER TABLE. Where it names a second table and no rename, the two exchange rows.
func (r *Register) alter(statement ddl.Statement) (ddl.Statement, error) {
	name := statement.Tables[0]
	left := statement
	if chosen := r.mapping.Columns(name); len(chosen) > 0 {
		t, known := r.bySource[name]
		if !known {
			return statement, refuse("the columns of table %s are not known", plainName(name))
		}
		var err error
		if t.Columns, left, err = statement.ProjectAlter(chosen, t.Columns); err != nil {
			return statement, err
		}
		r.bySource[name] = t
	}
	if len(statement.Renames) > 0 {
		return left, r.move(statement.Renames)
	}
	for _, other := range statement.Tables[1:] {
		if !r.mapping.alike(name, other) {
			return statement, refuse("tables %s and %s exchange rows, and other columns or rows of each are replicated", plainName(name), plainName(other))
		}
	}
	return left, nil
}

// move follows renames pair by pair. Only names in the selection are registered; those outside it matter as steps of a chain. A table must
// not come under a rule that takes other columns or rows, as those that it has at the target are taken already.
func (r *Register) move(renames []ddl.Rename) error {
	origins := map[ddl.Name]Table{}
	for _, pair := range renames {
		origin, moved := origins[pair.From]
		if !moved {
			origin = Table{Source: pair.From, Columns: r.Columns(pair.From)}
		}
		origins[pair.To] = origin
		r.remove(pair.From)
		if !r.mapping.Table(pair.To.Schema, pair.To.Table) {
			continue
		}
		if !r.mapping.alike(origin.Source, pair.To) {
			return refuse("table %s becomes %s, of which other columns or rows are replicated", plainName(origin.Source), plainName(pair.To))
		}
		if err := r.add(pair.To, origin.Columns); err != nil {
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
