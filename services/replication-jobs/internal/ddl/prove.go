package ddl

import (
	"fmt"
	"slices"
	"strings"

	complete "github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/format"
	tidb "github.com/pingcap/tidb/pkg/parser/mysql"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // holds the literals of what the parser reads
)

// The bits of sql_mode that change how a statement reads, as the servers number them.
const (
	modePipesAsConcat     = 1 << 1
	modeANSIQuotes        = 1 << 2
	modeIgnoreSpace       = 1 << 3
	modeNoBackslashEscape = 1 << 20
)

// tree parses a statement with a complete grammar of MySQL's definitions. Executable comments of MariaDB are refused: that grammar takes
// them for ordinary ones, and what is in them would go unchecked.
func tree(text string, session Session) (ast.StmtNode, error) {
	if mariaDBComment(text, session.ANSIQuotes) {
		return nil, fmt.Errorf("%w: it has executable comments of MariaDB, /*M! */", ErrUnknown)
	}
	p := complete.New()
	p.SetMariaDB(true)
	p.SetStrictDoubleTypeCheck(false)
	p.SetSQLMode(parserMode(session))
	statement, err := p.ParseOneStmt(text, "", "")
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrUnknown, err)
	}
	return statement, nil
}

func parserMode(session Session) tidb.SQLMode {
	var mode tidb.SQLMode
	for bit, is := range map[uint64]tidb.SQLMode{
		modePipesAsConcat: tidb.ModePipesAsConcat, modeIgnoreSpace: tidb.ModeIgnoreSpace, modeNoBackslashEscape: tidb.ModeNoBackslashEscapes,
	} {
		if session.SQLMode&bit != 0 {
			mode |= is
		}
	}
	if session.ANSIQuotes {
		mode |= tidb.ModeANSIQuotes
	}
	return mode
}

// mariaDBComment looks for /*M! between the tokens.
func mariaDBComment(text string, ansiQuotes bool) bool {
	end := 0
	for _, t := range scan(text, ansiQuotes) {
		if strings.Contains(text[end:t.start], "/*M!") {
			return true
		}
		end = t.end
	}
	return strings.Contains(text[end:], "/*M!")
}

// prove checks the renamed text: read by a complete parser it must be what the original is, when that parser's names are replaced.
func (s Statement) prove(renamed Statement, names Names) error {
	before, err := tree(s.Text, s.session)
	if err != nil {
		return err
	}
	after, err := tree(renamed.Text, s.session)
	if err != nil {
		return err
	}
	r := &renamer{names: names, schema: s.session.Schema, done: map[*ast.TableName]bool{}}
	if before.Accept(r); r.err != nil {
		return r.err
	}
	if create, ok := after.(*ast.CreateDatabaseStmt); ok {
		create.IfNotExists = before.(*ast.CreateDatabaseStmt).IfNotExists
	}
	want, err := restore(before)
	if err != nil {
		return err
	}
	got, err := restore(after)
	if err != nil {
		return err
	}
	if want != got {
		return fmt.Errorf("%w: its tables cannot be told from the rest", ErrUnknown)
	}
	return nil
}

func restore(node ast.Node) (string, error) {
	var b strings.Builder
	if err := node.Restore(format.NewRestoreCtx(format.DefaultRestoreFlags, &b)); err != nil {
		return "", fmt.Errorf("%w (%w)", ErrUnknown, err)
	}
	return b.String(), nil
}

// renamer replaces the names in a tree.
type renamer struct {
	names  Names
	schema string // the session's default
	done   map[*ast.TableName]bool
	err    error
}

// Enter implements ast.Visitor.
func (r *renamer) Enter(node ast.Node) (ast.Node, bool) {
	switch n := node.(type) {
	case *ast.TableName:
		r.table(n)
	case *ast.ColumnName:
		if n.Table.O != "" {
			r.fail(fmt.Errorf("%w: it names column %s together with its table", ErrUnknown, n))
		}
	case *ast.ColumnOption:
		if n.Refer != nil { // which the tree does not visit
			r.table(n.Refer.Table)
		}
	case *ast.CreateTableStmt:
		r.options(n.Options)
	case *ast.AlterTableSpec:
		r.options(n.Options)
	case *ast.CreateDatabaseStmt:
		r.database(&n.Name)
	case *ast.AlterDatabaseStmt:
		r.database(&n.Name)
	case *ast.DropDatabaseStmt:
		r.database(&n.Name)
	}
	return node, r.err != nil
}

// Leave implements ast.Visitor.
func (r *renamer) Leave(node ast.Node) (ast.Node, bool) { return node, r.err == nil }

func (r *renamer) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *renamer) table(n *ast.TableName) {
	if r.done[n] {
		return
	}
	r.done[n] = true
	name := Name{Schema: n.Schema.O, Table: n.Name.O}
	if name.Schema == "" {
		name.Schema = r.schema
	}
	target, err := r.names.Target(name)
	if err != nil {
		r.fail(err)
		return
	}
	n.Schema, n.Name = ast.NewCIStr(target.Schema), ast.NewCIStr(target.Table)
}

// options refuses the one that holds names of tables, UNION of the engine MERGE.
func (r *renamer) options(all []*ast.TableOption) {
	if slices.ContainsFunc(all, func(o *ast.TableOption) bool { return o.Tp == ast.TableOptionUnion }) {
		r.fail(fmt.Errorf("%w: it has the option UNION", ErrUnknown))
	}
}

func (r *renamer) database(name *ast.CIStr) {
	target, err := r.names.TargetSchema(name.O)
	if err != nil {
		r.fail(err)
		return
	}
	*name = ast.NewCIStr(target)
}
