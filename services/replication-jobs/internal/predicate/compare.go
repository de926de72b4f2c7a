package predicate

import (
	"regexp"
	"time"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/shopspring/decimal"
)

func (b *binder) comparison(e *ast.BinaryOperationExpr) (node, error) {
	return b.compared(e.Op, e.L, e.R, e)
}

// compared compares two expressions; whole is what they are part of.
func (b *binder) compared(op opcode.Op, l, r ast.ExprNode, whole ast.Node) (node, error) {
	left, err := b.bind(l)
	if err != nil {
		return node{}, err
	}
	right, err := b.bind(r)
	if err != nil {
		return node{}, err
	}
	compare, err := comparer(&left, &right, whole)
	if err != nil {
		return node{}, err
	}
	return truths(func(row []Value) (truth, error) {
		x, err := left.eval(row)
		if err != nil {
			return unknown, err
		}
		y, err := right.eval(row)
		if err != nil {
			return unknown, err
		}
		if x.kind == kindNull || y.kind == kindNull {
			if op == opcode.NullEQ {
				return truthOf(x.kind == y.kind), nil
			}
			return unknown, nil
		}
		return truthOf(holds(op, compare(x, y))), nil
	}), nil
}

func holds(op opcode.Op, order int) bool {
	switch op {
	case opcode.NE:
		return order != 0
	case opcode.LT:
		return order < 0
	case opcode.LE:
		return order <= 0
	case opcode.GT:
		return order > 0
	case opcode.GE:
		return order >= 0
	default:
		return order == 0
	}
}

// comparer returns how two expressions are compared. Those of different kinds the servers convert in ways that differ among them.
func comparer(left, right *node, whole ast.Node) (func(x, y Value) int, error) {
	switch l, r := left.class, right.class; {
	case l == anything || r == anything:
		return func(Value, Value) int { return 0 }, nil // one is always NULL, or the types come later
	case l == exactly && r == exactly:
		return func(x, y Value) int { return x.exact.Cmp(y.exact) }, nil
	case (l == exactly || l == floating) && (r == exactly || r == floating):
		return func(x, y Value) int { return compareFloats(x.double(), y.double()) }, nil
	case l == textual && r == textual:
		by, err := common(*left, *right, whole)
		if err != nil {
			return nil, err
		}
		return func(x, y Value) int { return by.compare(x.text, y.text) }, nil
	case l == temporal && r == temporal:
	case l == temporal && r == textual && right.constant:
		if err := moment(right, whole); err != nil {
			return nil, err
		}
	case r == temporal && l == textual && left.constant:
		if err := moment(left, whole); err != nil {
			return nil, err
		}
	default:
		return nil, unsupported("%s: %s compared with %s", describe(whole), l, r)
	}
	return func(x, y Value) int {
		if x.text == y.text {
			return 0
		}
		return sign(x.text < y.text)
	}, nil
}

func compareFloats(x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func (v Value) double() float64 {
	if v.kind == kindFloat {
		return v.float
	}
	f, _ := v.exact.Float64()
	return f
}

// common is the collation by which two strings are compared.
func common(left, right node, whole ast.Node) (*collation, error) {
	by := left.collation
	switch {
	case left.constant && right.constant:
		return nil, unsupported("%s: two literals compared", describe(whole))
	case left.constant:
		by = right.collation
	case !right.constant && left.collation.name != right.collation.name:
		return nil, unsupported("%s: strings of the collations %s and %s compared", describe(whole), left.collation.name, right.collation.name)
	}
	if by.fold == nil {
		return nil, unsupported("%s: the collation %s (behind the column, COLLATE may name a binary one)", describe(whole), by.name)
	}
	for _, n := range []node{left, right} {
		if v, _ := n.evalConstant(); !by.wide && by.name != "binary" && !ascii(v.text) {
			return nil, unsupported("%s: a character outside ASCII compared by %s", describe(whole), by.name)
		}
	}
	return by, nil
}

// evalConstant is the value of a literal.
func (n node) evalConstant() (Value, error) {
	if !n.constant {
		return null, nil
	}
	return n.eval(nil)
}

var dates = regexp.MustCompile(`^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d{1,6})?)?$`)

// moment makes a date of a literal.
func moment(n *node, whole ast.Node) error {
	v, _ := n.evalConstant() // has no error
	layout := "2006-01-02 15:04:05.000000"
	if !dates.MatchString(v.text) {
		return unsupported("%s: the date '%s', other than YYYY-MM-DD or YYYY-MM-DD hh:mm:ss,", describe(whole), v.text)
	}
	full := canonical(v.text)
	if _, err := time.Parse(layout, full); err != nil {
		return unsupported("%s: the date '%s', which does not exist,", describe(whole), v.text)
	}
	*n = constant(temporal, Value{kind: kindTime, text: full})
	return nil
}

// The ranges of BIGINT.
var (
	minSigned   = decimal.RequireFromString("-9223372036854775808")
	maxSigned   = decimal.RequireFromString("9223372036854775807")
	maxUnsigned = decimal.RequireFromString("18446744073709551615")
)
