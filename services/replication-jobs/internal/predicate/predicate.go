// Package predicate evaluates the conditions that choose rows, in the same way for rows of a copy and of the binary log, and as the servers
// would: whatever it cannot evaluate exactly is refused when the condition is compiled.
//
// A condition may compare (=, <=>, <>, <, <=, >, >=, BETWEEN, IN, LIKE, IS NULL, IS TRUE, IS FALSE), combine (AND, OR, XOR, NOT),
// calculate with exact numbers (+, -, *, and DIV and MOD of integers), and call the functions that docs/replication.md lists. NULL is the third
// truth value.
package predicate

import (
	"errors"
	"fmt"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // holds the literals of what the parser reads

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// MaxLength is the longest condition, in bytes.
const MaxLength = 4096

// ErrUnsupported is wrapped by the error for what cannot be evaluated as the servers would.
var ErrUnsupported = errors.New("cannot be evaluated exactly as the server would")

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%s %w", fmt.Sprintf(format, args...), ErrUnsupported)
}

// Condition is a condition that has been read, and of which only the columns' types are not known yet.
type Condition struct {
	// Names are the columns that it names.
	Names []string

	root ast.ExprNode
}

// Parse reads a condition. It refuses what no types could make evaluable.
func Parse(text string) (*Condition, error) {
	if len(text) > MaxLength {
		return nil, fmt.Errorf("the condition is longer than %d bytes", MaxLength)
	}
	p := parser.New()
	// The line break ends a comment.
	statement, err := p.ParseOneStmt("SELECT ("+text+"\n)", "utf8mb4", "utf8mb4_bin")
	if err != nil {
		return nil, fmt.Errorf("the condition cannot be read: %w", err)
	}
	query, ok := statement.(*ast.SelectStmt)
	if !ok || !bare(query) {
		return nil, errors.New("the condition is more than one expression")
	}
	inner, ok := query.Fields.Fields[0].Expr.(*ast.ParenthesesExpr)
	if !ok {
		return nil, errors.New("the condition is more than one expression")
	}
	c := &Condition{root: inner.Expr}
	return c, c.check()
}

// bare reports whether a query is one expression and nothing else.
func bare(q *ast.SelectStmt) bool {
	return q.From == nil && q.Where == nil && q.GroupBy == nil && q.Having == nil && q.OrderBy == nil && q.Limit == nil && q.With == nil &&
		q.LockInfo == nil && q.SelectIntoOpt == nil && len(q.WindowSpecs) == 0 && !q.Distinct && len(q.TableHints) == 0 &&
		len(q.Fields.Fields) == 1 && q.Fields.Fields[0].AsName.O == "" && q.Fields.Fields[0].WildCard == nil
}

// check binds the condition to columns that take part in everything: what is refused then is refused with any types.
func (c *Condition) check() error {
	b := &binder{untyped: true}
	_, err := b.bind(c.root)
	c.Names = b.names
	return err
}

// Predicate is a condition for the rows of one table. It is safe for concurrent use.
type Predicate struct {
	// Columns are the indexes of the columns that it looks at.
	Columns []int

	root node
}

// Bind prepares the condition for rows with the given columns.
func (c *Condition) Bind(columns []mysql.Column) (*Predicate, error) {
	b := &binder{columns: columns, places: map[int]int{}}
	root, err := b.bind(c.root)
	if err != nil {
		return nil, err
	}
	if err := b.boolean(root, c.root); err != nil {
		return nil, err
	}
	return &Predicate{Columns: b.used, root: root}, nil
}

// Match reports whether the condition is true, neither false nor NULL, for a row, of which the values of p.Columns are given, in that order.
// It fails where the server would, as with a number that is out of range.
func (p *Predicate) Match(values []Value) (bool, error) {
	v, err := p.root.eval(values)
	if err != nil {
		return false, err
	}
	t := v.truth()
	return t == yes, nil
}
