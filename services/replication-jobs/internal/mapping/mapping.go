// Package mapping says what becomes of the source's tables at the target: which are replicated, and under which names. A full copy, the
// binary log and its definitions all go by the same mapping.
package mapping

import (
	"fmt"
	"slices"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/predicate"
)

// Mapping is the compiled mapping of a job. It is safe for concurrent use.
type Mapping struct {
	*filter.Selection

	plain      bool
	conditions map[*filter.TableRule]*predicate.Condition
}

// New compiles the rules of a job. Its errors name the field at fault.
func New(do, ignore []filter.SchemaRule) (*Mapping, error) {
	selection, err := filter.New(do, ignore)
	if err != nil {
		return nil, err
	}
	m := &Mapping{Selection: selection, plain: selection.Plain()}
	if err := m.compileConditions(do); err != nil {
		return nil, err
	}
	if err := checkColumns(do, m.conditions); err != nil {
		return nil, err
	}
	return m, m.checkNamed()
}

// Plain reports whether every replicated table keeps its name, its columns and all its rows.
func (m *Mapping) Plain() bool { return m.plain }

// checkNamed refuses rules that give two tables, which they name, one name at the target.
func (m *Mapping) checkNamed() error {
	if m.plain {
		return nil
	}
	r := NewRegister(m, nil)
	for schema, tables := range m.Named() {
		for _, table := range tables {
			if !m.Table(schema, table) {
				continue
			}
			if err := r.add(ddl.Name{Schema: schema, Table: table}, nil); err != nil {
				return filter.Wrong("replicate_do_db", "has rules that clash: %v", err)
			}
		}
	}
	return nil
}

// TargetSchema returns what a schema is called at the target. One that is not replicated keeps its name.
func (m *Mapping) TargetSchema(name string) (string, error) {
	if m.plain || !m.Schema(name) {
		return name, nil
	}
	target := m.SchemaRename(name)
	if err := filter.CheckName(target); err != nil {
		return "", refuse("schema %s cannot be replicated under its new name: %v", name, err)
	}
	if filter.System(target) {
		return "", refuse("schema %s would be %s at the target, which is a schema of the server or of a replication tool", name, target)
	}
	return target, nil
}

// Target returns what a table is called at the target. One that is not replicated, but that definitions may refer to, keeps its name within its
// schema.
func (m *Mapping) Target(name ddl.Name) (ddl.Name, error) {
	if m.plain {
		return name, nil
	}
	schema, err := m.TargetSchema(name.Schema)
	if err != nil {
		return ddl.Name{}, err
	}
	choice, ok := m.Find(name.Schema, name.Table)
	if !ok {
		return ddl.Name{Schema: schema, Table: name.Table}, nil
	}
	if err := filter.CheckName(choice.Target); err != nil {
		return ddl.Name{}, refuse("table %s.%s cannot be replicated under its new name: %v", name.Schema, name.Table, err)
	}
	return ddl.Name{Schema: schema, Table: choice.Target}, nil
}

// Tables maps the tables that the source has; none of a plain mapping needs to be remembered. Two that would become one are refused.
func (m *Mapping) Tables(all []*mysql.Table) ([]Table, error) {
	if m.plain {
		return nil, nil
	}
	r := NewRegister(m, nil)
	out := make([]Table, len(all))
	for i, t := range all {
		var err error
		if out[i], err = r.Add(ddl.Name{Schema: t.Schema, Table: t.Name}, t.Columns); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// alike reports whether the same columns and rows of two tables are replicated.
func (m *Mapping) alike(a, b ddl.Name) bool {
	x, y := m.rule(a), m.rule(b)
	return x.Where == y.Where && slices.Equal(x.Columns, y.Columns)
}

// rule is the rule that takes a table; an empty one where it comes with its schema.
func (m *Mapping) rule(name ddl.Name) filter.TableRule {
	if choice, _ := m.Find(name.Schema, name.Table); choice.Rule != nil {
		return *choice.Rule
	}
	return filter.TableRule{}
}

// refuse is the error for what the rules make of a name that the source has. Trying again does not help.
func refuse(format string, args ...any) error {
	return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(format, args...) + ": change the job's rules and create it anew"}
}
