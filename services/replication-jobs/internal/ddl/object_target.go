package ddl

import (
	"fmt"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// Target returns the statement for the target, of the names in chosen. It replaces an object that is there, unless it says IF NOT EXISTS; a trigger
// gets the Guard, and an event is switched off. Views are renamed along with what they read; a body of another object that names what has
// another name at the target is refused.
func (o Object) Target(names Names, chosen []Name) (Statement, error) {
	s := Statement{Kind: DefineObject, session: o.statement.session}
	there := make([]Name, len(chosen))
	for i, name := range chosen {
		var err error
		if there[i], err = o.there(names, name); err != nil {
			return s, err
		}
	}
	s.Objects = there
	drop := "DROP " + o.Type + " IF EXISTS " + joined(there)
	if o.Verb == "DROP" {
		s.Text = drop
		return s, nil
	}
	edits := o.renamed(0, there[0])
	switch {
	case o.Type == "VIEW" && o.Verb == "ALTER":
		edits = append(edits, edit{span{o.tokens[0].start, o.tokens[0].end}, "CREATE OR REPLACE"})
	case o.Type == "VIEW" && o.replaces.end == 0 && !o.kept:
		edits = append(edits, edit{span{o.tokens[0].end, o.tokens[0].end}, " OR REPLACE"})
	case o.Type != "VIEW" && o.Verb == "CREATE" && !o.kept: // MySQL has no OR REPLACE for these
		s.First = drop
		edits = append(edits, edit{span: o.replaces})
	}
	body, err := o.translate(names)
	if err != nil {
		return s, err
	}
	s.Text = apply(o.statement.Text, append(edits, body...))
	s.Default = there[0].Schema
	if o.Type == "VIEW" && o.statement.session.Schema != "" {
		s.Default, err = names.TargetSchema(o.statement.session.Schema)
	}
	return s, err
}

// renamed is the change of a name where it is another one at the target; it stays as it was written where it is not.
func (o Object) renamed(place int, there Name) []edit {
	p := o.places[place]
	if p.name == there {
		return nil
	}
	return []edit{{span{p.start, p.end}, there.String()}}
}

// there is the name of an object at the target. Views have names like tables.
func (o Object) there(names Names, name Name) (Name, error) {
	if o.Type == "VIEW" {
		return names.Target(name)
	}
	schema, err := names.TargetSchema(name.Schema)
	return Name{Schema: schema, Table: name.Table}, err
}

// translate returns the changes behind the name.
func (o Object) translate(names Names) ([]edit, error) {
	if o.Type == "VIEW" {
		return o.translateQuery(names)
	}
	if err := o.checkBody(names); err != nil {
		return nil, err
	}
	switch {
	case o.Type == "TRIGGER" && o.Verb == "CREATE":
		on, err := names.Target(o.On)
		if err != nil {
			return nil, err
		}
		edits := o.renamed(1, on)
		from, end := o.tokens[o.body].start, len(o.statement.Text)
		if strings.HasPrefix(o.statement.Text[from:], Guard) {
			return edits, nil
		}
		return append(edits, edit{span{from, from}, Guard}, edit{span{end, end}, "\n; END IF"}), nil // the body may end with a comment
	case o.Type == "EVENT":
		return o.switchOff(), nil
	}
	return nil, nil
}

// switchOff makes an event one that does not run here. One that is altered in other ways stays as it is.
func (o Object) switchOff() []edit {
	const off = "DISABLE ON SLAVE"
	at := o.body
	for ; at < len(o.tokens); at++ {
		t := o.tokens[at]
		if t.is("ENABLE") || t.is("DISABLE") {
			end := t.end
			if at+2 < len(o.tokens) && o.tokens[at+1].is("ON") {
				end = o.tokens[at+2].end
			}
			return []edit{{span{t.start, end}, off}}
		}
		if t.is("COMMENT") || t.is("DO") {
			break
		}
	}
	if o.Verb == "ALTER" {
		return nil
	}
	place := len(o.statement.Text)
	if at < len(o.tokens) {
		place = o.tokens[at].start
	}
	return []edit{{span{place, place}, off + " "}}
}

// checkBody refuses a body that names a schema or a table that is called otherwise at the target. What it names without a schema is in that of the
// object.
func (o Object) checkBody(names Names) error {
	for i := o.body; i < len(o.tokens); i++ {
		t := o.tokens[i]
		if t.kind != tokenWord && t.kind != tokenName || t.text == "" {
			continue
		}
		name := Name{Schema: o.Names[0].Schema, Table: t.text}
		switch {
		case i > 0 && o.tokens[i-1].isSign('.'):
			continue
		case i+2 < len(o.tokens) && o.tokens[i+1].isSign('.'):
			name = Name{Schema: t.text, Table: o.tokens[i+2].text}
		}
		there, err := names.Target(name)
		if err != nil {
			return err
		}
		moved := name.Schema == t.text && there.Schema != name.Schema
		if moved || there.Table != name.Table {
			return fmt.Errorf("%s %s.%s names %s, which is %s at the target, and the body of a %s is not rewritten: create it there by hand",
				strings.ToLower(o.Type), o.Names[0].Schema, o.Names[0].Table, name, there, strings.ToLower(o.Type))
		}
	}
	return nil
}

// translateQuery renames what the query of a view reads.
func (o Object) translateQuery(names Names) ([]edit, error) {
	last := len(o.tokens)
	if last >= 3 && o.tokens[last-1].is("OPTION") && o.tokens[last-2].is("CHECK") {
		last -= 2
		for last > o.body && !o.tokens[last].is("WITH") {
			last--
		}
	}
	where := span{o.tokens[o.body].start, o.tokens[last-1].end}
	text := o.statement.Text[where.start:where.end]
	q := &queryRenamer{renamer: renamer{names: names, schema: o.statement.session.Schema, done: map[*ast.TableName]bool{}}}
	if same, err := q.same(o, last); err != nil || same {
		return nil, err
	}
	node, err := tree(text, o.statement.session)
	if err == nil {
		node.Accept(q)
		err = q.err
	}
	if err != nil {
		return nil, fmt.Errorf("view %s.%s cannot be renamed: %w", o.Names[0].Schema, o.Names[0].Table, err)
	}
	renamed, err := o.statement.write(node)
	return []edit{{where, renamed}}, err
}

// queryRenamer replaces the names in the query of a view. Tables keep their old names as aliases, so that columns are found.
type queryRenamer struct{ renamer }

// same reports whether no word of the query is the name of a schema or a table with another name at the target.
func (q *queryRenamer) same(o Object, last int) (bool, error) {
	for i := o.body; i < last; i++ {
		t := o.tokens[i]
		if t.kind != tokenWord && t.kind != tokenName || t.text == "" {
			continue
		}
		schema, err := q.names.TargetSchema(t.text)
		if err != nil {
			return false, err
		}
		schemas := []string{q.schema}
		if i > 1 && o.tokens[i-1].isSign('.') {
			schemas = append(schemas, o.tokens[i-2].text)
		}
		for _, s := range schemas {
			name := Name{Schema: s, Table: t.text}
			if there, err := q.names.Target(name); err != nil || there != name {
				return false, err
			}
		}
		if schema != t.text {
			return false, nil
		}
	}
	return true, nil
}

// Enter implements ast.Visitor.
func (q *queryRenamer) Enter(node ast.Node) (ast.Node, bool) {
	switch n := node.(type) {
	case *ast.TableSource:
		if table, ok := n.Source.(*ast.TableName); ok && n.AsName.O == "" {
			n.AsName = table.Name
		}
	case *ast.TableName:
		q.table(n)
	case *ast.ColumnName:
		n.Schema = ast.CIStr{}
	case *ast.FuncCallExpr:
		if n.Schema.O != "" {
			q.database(&n.Schema)
		}
	}
	return node, q.err != nil
}

// Leave implements ast.Visitor.
func (q *queryRenamer) Leave(node ast.Node) (ast.Node, bool) { return node, q.err == nil }
