package predicate

import (
	"fmt"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/shopspring/decimal"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// class is what an expression is, as far as it decides how the servers compare it.
type class uint8

const (
	anything class = iota // NULL, or a column whose type is not known yet
	exactly               // an integer or a decimal
	floating
	textual
	temporal
)

func (c class) String() string {
	return [...]string{"NULL", "a number", "a floating-point number", "a string", "a date"}[c]
}

// node is a compiled expression.
type node struct {
	class class
	// whole is set for integers, unsigned for those that are never negative.
	whole, unsigned bool
	// constant is set for literals.
	constant bool
	// collation is that of a string; nil for a literal, which takes that of what it is compared with.
	collation *collation
	eval      func(row []Value) (Value, error)
}

func constant(c class, v Value) node {
	return node{class: c, constant: true, eval: func([]Value) (Value, error) { return v, nil }}
}

// truths makes a node of a function that returns a truth value.
func truths(eval func(row []Value) (truth, error)) node {
	return node{class: exactly, whole: true, eval: func(row []Value) (Value, error) {
		t, err := eval(row)
		return t.value(), err
	}}
}

// binder compiles expressions for the columns of a table.
type binder struct {
	columns []mysql.Column
	// places holds, for each used column, where it is in used.
	places map[int]int
	used   []int
	// untyped is set when the columns are not known; every column is then taken for NULL.
	untyped bool
	names   []string
}

func (b *binder) bind(e ast.ExprNode) (node, error) {
	switch e := e.(type) {
	case *ast.ParenthesesExpr:
		return b.bind(e.Expr)
	case ast.ValueExpr:
		return literal(e)
	case *ast.ColumnNameExpr:
		return b.column(e)
	case *ast.UnaryOperationExpr:
		return b.unary(e)
	case *ast.BinaryOperationExpr:
		return b.binary(e)
	case *ast.BetweenExpr:
		return b.between(e)
	case *ast.PatternInExpr:
		return b.in(e)
	case *ast.PatternLikeOrIlikeExpr:
		return b.like(e)
	case *ast.IsNullExpr:
		return b.isNull(e)
	case *ast.IsTruthExpr:
		return b.isTruth(e)
	case *ast.SetCollationExpr:
		return b.collate(e)
	case *ast.FuncCallExpr:
		return b.call(e)
	}
	return node{}, unsupported("%s", describe(e))
}

// describe names an expression in a message.
func describe(e ast.Node) string {
	var b strings.Builder
	if err := restoreTo(&b, e); err != nil || b.Len() > 200 {
		return "an expression of the condition"
	}
	return b.String()
}

// literal reads a number, a string or NULL.
func literal(e ast.ValueExpr) (node, error) {
	switch v := e.GetValue().(type) {
	case nil:
		return constant(anything, null), nil
	case int64:
		n := constant(exactly, integer(v))
		n.whole = true
		return n, nil
	case uint64:
		n := constant(exactly, exact(decimal.NewFromUint64(v)))
		n.whole, n.unsigned = true, true
		return n, nil
	case float64:
		return constant(floating, Value{kind: kindFloat, float: v}), nil
	case string:
		return constant(textual, text(v)), nil
	case fmt.Stringer: // a decimal
		d, err := decimal.NewFromString(v.String())
		if err == nil {
			return constant(exactly, exact(d)), nil
		}
	}
	return node{}, unsupported("the literal %s", describe(e))
}

// column reads a column of the row.
func (b *binder) column(e *ast.ColumnNameExpr) (node, error) {
	name := e.Name.Name.O
	if e.Name.Table.O != "" {
		return node{}, unsupported("%s, a column named together with its table,", describe(e))
	}
	if b.untyped {
		b.names = append(b.names, name)
		return node{class: anything, eval: func([]Value) (Value, error) { return null, nil }}, nil
	}
	at := -1
	for i := range b.columns {
		if strings.EqualFold(b.columns[i].Name, name) {
			at = i
		}
	}
	if at < 0 {
		return node{}, fmt.Errorf("the condition names column %s, which the table does not have", name)
	}
	n, err := typed(&b.columns[at])
	if err != nil {
		return node{}, err
	}
	place, known := b.places[at]
	if !known {
		place = len(b.used)
		b.places[at] = place
		b.used = append(b.used, at)
	}
	n.eval = func(row []Value) (Value, error) { return row[place], nil }
	return n, nil
}

// typed tells how the servers compare values of a column.
func typed(c *mysql.Column) (node, error) {
	n := node{unsigned: c.Unsigned}
	switch c.DataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		n.class, n.whole = exactly, true
		return n, nil
	case "decimal":
		n.class = exactly
		return n, nil
	case "float", "double":
		n.class = floating
		return n, nil
	case "date", "datetime", "timestamp":
		n.class = temporal
		return n, nil
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum",
		"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		n.class = textual
		return n, n.setCollation(c)
	}
	return n, unsupported("column %s of type %s", c.Name, c.ColumnType)
}

// setCollation accepts a column whatever its collation: COLLATE may name another one. Compared as it is, it needs one that is known.
func (n *node) setCollation(c *mysql.Column) error {
	if c.DataType == "enum" && strings.HasPrefix(c.Charset, "latin") && !ascii(c.ColumnType) {
		return unsupported("column %s, an ENUM in %s with characters outside ASCII,", c.Name, c.Charset)
	}
	known, ok := collationOf(c.Collation)
	if !ok {
		known = &collation{name: c.Collation, wide: strings.HasPrefix(c.Charset, "utf8")}
	}
	n.collation = known
	return nil
}

// boolean refuses what is no truth value. The servers read one out of strings, too.
func (b *binder) boolean(n node, e ast.Node) error {
	if n.class == textual || n.class == temporal {
		return unsupported("%s, %s used as a truth value,", describe(e), n.class)
	}
	return nil
}

// booleans binds operands of a logical operation.
func (b *binder) booleans(all ...ast.ExprNode) ([]node, error) {
	out := make([]node, len(all))
	for i, e := range all {
		var err error
		if out[i], err = b.bind(e); err != nil {
			return nil, err
		}
		if err := b.boolean(out[i], e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
