package ddl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/format"
)

// ProjectAlter takes an ALTER TABLE or CREATE INDEX of a table of which only the given columns are replicated, and which has the columns all.
// It returns those that the table has afterwards, and the statement for the target, which is Ignored if nothing is left of it. A replicated
// column can be changed, but neither renamed nor dropped: the rules name it.
func (s Statement) ProjectAlter(columns, all []string) (after []string, left Statement, err error) {
	node, err := tree(s.Text, s.session)
	if err != nil {
		return nil, s, err
	}
	a := &alteration{projection: projection{columns: columns}, all: slices.Clone(all)}
	switch n := node.(type) {
	case *ast.CreateIndexStmt:
		a.refresh()
		if !a.keepsParts(n.IndexPartSpecifications) {
			s.Kind = Ignored
		}
		return all, s, nil
	case *ast.AlterTableStmt:
		kept := n.Specs[:0]
		for _, spec := range n.Specs {
			keep, err := a.apply(spec)
			if err != nil {
				return nil, s, err
			}
			if keep {
				kept = append(kept, spec)
			}
		}
		if n.Specs = kept; len(kept) == 0 {
			s.Kind = Ignored
			return a.all, s, nil
		}
		s.Text, err = s.write(n)
		return a.all, s, err
	}
	return nil, s, fmt.Errorf("%w of a table of which only some columns are replicated", ErrUnknown)
}

// write returns the text of a tree, for the session that the statement had.
func (s Statement) write(node ast.Node) (string, error) {
	flags := format.DefaultRestoreFlags | format.RestoreStringEscapeBackslash
	if s.session.SQLMode&modeNoBackslashEscape != 0 {
		flags = format.DefaultRestoreFlags
	}
	var b strings.Builder
	if err := node.Restore(format.NewRestoreCtx(flags, &b)); err != nil {
		return "", fmt.Errorf("%w (%w)", ErrUnknown, err)
	}
	return dropConstraint(b.String()), nil
}

// dropConstraint writes what drops a constraint in the words of both families: MariaDB does not know DROP CHECK, as which the tree takes both.
func dropConstraint(text string) string {
	tokens := scan(text, false)
	for i := len(tokens) - 1; i > 0; i-- {
		if tokens[i].is("CHECK") && tokens[i-1].is("DROP") {
			text = text[:tokens[i].start] + "CONSTRAINT" + text[tokens[i].end:]
		}
	}
	return text
}

// WithoutMissing leaves out of an ALTER TABLE what drops, renames or hides keys and constraints that has denies; it is Ignored if nothing is left.
func (s Statement) WithoutMissing(has func(name string) bool) (Statement, error) {
	node, err := tree(s.Text, s.session)
	if err != nil {
		return s, err
	}
	alter, ok := node.(*ast.AlterTableStmt)
	if !ok {
		return s, nil
	}
	all := len(alter.Specs)
	alter.Specs = slices.DeleteFunc(alter.Specs, func(spec *ast.AlterTableSpec) bool {
		name, names := keyOf(spec)
		return names && !has(name)
	})
	switch len(alter.Specs) {
	case all:
		return s, nil
	case 0:
		s.Kind = Ignored
		return s, nil
	}
	s.Text, err = s.write(alter)
	return s, err
}

// keyOf is the key or constraint that a part of an ALTER TABLE needs, if it is one that needs any.
func keyOf(spec *ast.AlterTableSpec) (name string, names bool) {
	switch spec.Tp {
	case ast.AlterTableDropIndex, ast.AlterTableDropForeignKey:
		return spec.Name, true
	case ast.AlterTableDropCheck:
		return spec.Constraint.Name, true
	case ast.AlterTableRenameIndex:
		return spec.FromKey.O, true
	case ast.AlterTableIndexInvisible:
		return spec.IndexName.O, true
	}
	return "", false
}

// alteration follows the columns of a table through the parts of an ALTER TABLE.
type alteration struct {
	projection
	all []string
}

// refresh works out which columns are left out now.
func (a *alteration) refresh() {
	a.left = slices.DeleteFunc(slices.Clone(a.all), a.keeps)
}

// apply reports whether a part is carried out at the target.
func (a *alteration) apply(spec *ast.AlterTableSpec) (bool, error) {
	a.refresh()
	switch spec.Tp {
	case ast.AlterTableAddColumns:
		return false, a.add(spec)
	case ast.AlterTableDropColumn:
		return false, a.drop(spec.OldColumnName.Name.O, spec.IfExists)
	case ast.AlterTableModifyColumn:
		return a.change(spec, spec.NewColumns[0].Name.Name.O)
	case ast.AlterTableChangeColumn:
		return a.change(spec, spec.OldColumnName.Name.O)
	case ast.AlterTableRenameColumn:
		return false, a.rename(spec.OldColumnName.Name.O, spec.NewColumnName.Name.O)
	case ast.AlterTableAddConstraint:
		if spec.Constraint.Tp == ast.ConstraintCheck {
			return false, fmt.Errorf("%w: a check is added to a table of which only some columns are replicated", ErrUnknown)
		}
		return a.keepsParts(spec.Constraint.Keys), nil
	case ast.AlterTableAlterColumn:
		return a.keeps(spec.NewColumns[0].Name.Name.O), nil
	case ast.AlterTableOption, ast.AlterTableDropPrimaryKey, ast.AlterTableDropIndex, ast.AlterTableDropForeignKey, ast.AlterTableRenameTable,
		ast.AlterTableDropCheck, ast.AlterTableRenameIndex, ast.AlterTableIndexInvisible, ast.AlterTableEnableKeys, ast.AlterTableDisableKeys, ast.AlterTableForce, ast.AlterTableLock, ast.AlterTableAlgorithm:
		return true, nil
	}
	return false, fmt.Errorf("%w of a table of which only some columns are replicated", ErrUnknown)
}

func (a *alteration) keepsParts(parts []*ast.IndexPartSpecification) bool {
	return !slices.ContainsFunc(parts, func(p *ast.IndexPartSpecification) bool { return p.Column == nil || !a.keeps(p.Column.Name.O) })
}

func (a *alteration) named(name string) error {
	if a.keeps(name) {
		return fmt.Errorf("column_map_from names column %s, which it drops, adds or renames", name)
	}
	return nil
}

func (a *alteration) add(spec *ast.AlterTableSpec) error {
	for _, column := range spec.NewColumns {
		name := column.Name.Name.O
		if spec.IfNotExists && contains(a.all, name) {
			continue
		}
		if err := a.named(name); err != nil {
			return err
		}
		if err := a.place(name, spec.Position); err != nil {
			return err
		}
	}
	if len(spec.NewConstraints) > 0 {
		return fmt.Errorf("%w: it adds columns and keys in one parenthesis", ErrUnknown)
	}
	return nil
}

func (a *alteration) drop(name string, ifExists bool) error {
	if err := a.named(name); err != nil {
		return err
	}
	if !contains(a.all, name) && !ifExists {
		return fmt.Errorf("%w: it drops column %s, which the table is not known to have", ErrUnknown, name)
	}
	a.all = slices.DeleteFunc(a.all, func(n string) bool { return strings.EqualFold(n, name) })
	return nil
}

// change is MODIFY or CHANGE of a column, which may also move it.
func (a *alteration) change(spec *ast.AlterTableSpec, name string) (bool, error) {
	if to := spec.NewColumns[0].Name.Name.O; !strings.EqualFold(to, name) {
		if err := a.rename(name, to); err != nil {
			return false, err
		}
		name = to
	}
	keep := a.keeps(name)
	if spec.Position != nil && spec.Position.Tp != ast.ColumnPositionNone {
		a.all = slices.DeleteFunc(a.all, func(n string) bool { return strings.EqualFold(n, name) })
		if err := a.place(name, spec.Position); err != nil {
			return false, err
		}
	}
	spec.Position = &ast.ColumnPosition{Tp: ast.ColumnPositionNone} // the target has an order of its own
	return keep, nil
}

func (a *alteration) rename(from, to string) error {
	if err := a.named(from); err != nil {
		return err
	}
	if err := a.named(to); err != nil {
		return err
	}
	at := slices.IndexFunc(a.all, func(n string) bool { return strings.EqualFold(n, from) })
	if contains(a.all, to) && !strings.EqualFold(from, to) {
		return fmt.Errorf("%w: it exchanges the names of columns", ErrUnknown)
	}
	if at < 0 {
		return fmt.Errorf("%w: it renames column %s, which the table is not known to have", ErrUnknown, from)
	}
	a.all[at] = to
	return nil
}

// place puts a column where the statement says.
func (a *alteration) place(name string, position *ast.ColumnPosition) error {
	at := len(a.all)
	if position != nil && position.Tp == ast.ColumnPositionFirst {
		at = 0
	}
	if position != nil && position.Tp == ast.ColumnPositionAfter {
		before := position.RelativeColumn.Name.O
		if at = slices.IndexFunc(a.all, func(n string) bool { return strings.EqualFold(n, before) }) + 1; at == 0 {
			return fmt.Errorf("%w: it puts a column behind %s, which the table is not known to have", ErrUnknown, before)
		}
	}
	a.all = slices.Insert(a.all, at, name)
	return nil
}
