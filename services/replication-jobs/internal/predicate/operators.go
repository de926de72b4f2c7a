package predicate

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/format"
	"github.com/pingcap/tidb/pkg/parser/opcode"
)

func restoreTo(b *strings.Builder, e ast.Node) error {
	return e.Restore(format.NewRestoreCtx(format.DefaultRestoreFlags|format.RestoreStringWithoutCharset, b))
}

func (b *binder) unary(e *ast.UnaryOperationExpr) (node, error) {
	switch e.Op {
	case opcode.Not, opcode.Not2:
		operands, err := b.booleans(e.V)
		if err != nil {
			return node{}, err
		}
		return negated(operands[0]), nil
	case opcode.Plus:
		n, err := b.bind(e.V)
		return n, err
	case opcode.Minus:
		return b.minus(e)
	}
	return node{}, unsupported("%s", describe(e))
}

func negated(n node) node {
	return truths(func(row []Value) (truth, error) {
		v, err := n.eval(row)
		return v.truth().not(), err
	})
}

func (b *binder) binary(e *ast.BinaryOperationExpr) (node, error) {
	switch e.Op {
	case opcode.LogicAnd, opcode.LogicOr, opcode.LogicXor:
		operands, err := b.booleans(e.L, e.R)
		if err != nil {
			return node{}, err
		}
		return logical(e.Op, operands[0], operands[1]), nil
	case opcode.EQ, opcode.NE, opcode.LT, opcode.LE, opcode.GT, opcode.GE, opcode.NullEQ:
		return b.comparison(e)
	case opcode.Plus, opcode.Minus, opcode.Mul, opcode.IntDiv, opcode.Mod:
		return b.arithmetic(e)
	}
	return node{}, unsupported("the operator of %s", describe(e))
}

// logical is AND, OR or XOR. The second operand is not looked at when the first decides.
func logical(op opcode.Op, left, right node) node {
	return truths(func(row []Value) (truth, error) {
		l, err := left.eval(row)
		if err != nil {
			return unknown, err
		}
		x := l.truth()
		if op == opcode.LogicAnd && x == no || op == opcode.LogicOr && x == yes {
			return x, nil
		}
		r, err := right.eval(row)
		if err != nil {
			return unknown, err
		}
		y := r.truth()
		switch {
		case op == opcode.LogicAnd:
			return min(x, y), nil
		case op == opcode.LogicOr:
			return max(x, y), nil
		case x == unknown || y == unknown:
			return unknown, nil
		}
		return truthOf(x != y), nil
	})
}

func (b *binder) isNull(e *ast.IsNullExpr) (node, error) {
	n, err := b.bind(e.Expr)
	if err != nil {
		return node{}, err
	}
	return truths(func(row []Value) (truth, error) {
		v, err := n.eval(row)
		return truthOf((v.kind == kindNull) != e.Not), err
	}), nil
}

func (b *binder) isTruth(e *ast.IsTruthExpr) (node, error) {
	operands, err := b.booleans(e.Expr)
	if err != nil {
		return node{}, err
	}
	want := no
	if e.True != 0 {
		want = yes
	}
	return truths(func(row []Value) (truth, error) {
		v, err := operands[0].eval(row)
		return truthOf((v.truth() == want) != e.Not), err
	}), nil
}

func (b *binder) between(e *ast.BetweenExpr) (node, error) {
	low, err := b.compared(opcode.GE, e.Expr, e.Left, e)
	if err != nil {
		return node{}, err
	}
	high, err := b.compared(opcode.LE, e.Expr, e.Right, e)
	if err != nil {
		return node{}, err
	}
	n := logical(opcode.LogicAnd, low, high)
	if e.Not {
		return negated(n), nil
	}
	return n, nil
}

// maxList bounds the list of IN.
const maxList = 1000

func (b *binder) in(e *ast.PatternInExpr) (node, error) {
	if e.Sel != nil || len(e.List) > maxList {
		return node{}, unsupported("an IN with a query, or with more than %d values,", maxList)
	}
	equal := make([]node, len(e.List))
	for i, value := range e.List {
		var err error
		if equal[i], err = b.compared(opcode.EQ, e.Expr, value, e); err != nil {
			return node{}, err
		}
	}
	n := truths(func(row []Value) (truth, error) {
		sum := no
		for i := range equal {
			v, err := equal[i].eval(row)
			if err != nil {
				return unknown, err
			}
			if sum = max(sum, v.truth()); sum == yes {
				break
			}
		}
		return sum, nil
	})
	if e.Not {
		return negated(n), nil
	}
	return n, nil
}

func (b *binder) like(e *ast.PatternLikeOrIlikeExpr) (node, error) {
	if !e.IsLike {
		return node{}, unsupported("%s", describe(e))
	}
	operand, err := b.bind(e.Expr)
	if err != nil {
		return node{}, err
	}
	pattern, err := b.bind(e.Pattern)
	if err != nil {
		return node{}, err
	}
	if !pattern.constant || pattern.class != textual || operand.constant || e.Escape >= 0x80 || e.Escape == 0 {
		return node{}, unsupported("%s: LIKE takes a column and a literal, and an ASCII character behind ESCAPE. Anything else", describe(e))
	}
	if operand.class == anything {
		return operand, nil
	}
	if operand.class != textual {
		return node{}, unsupported("%s: LIKE of %s", describe(e), operand.class)
	}
	by, err := common(operand, pattern, e)
	if err != nil {
		return node{}, err
	}
	p, _ := pattern.eval(nil) // a literal has no error
	n := truths(func(row []Value) (truth, error) {
		v, err := operand.eval(row)
		if err != nil || v.kind == kindNull {
			return unknown, err
		}
		return truthOf(by.like(v.text, p.text, rune(e.Escape))), nil
	})
	if e.Not {
		return negated(n), nil
	}
	return n, nil
}

// collate compares a string by another collation of its character set.
func (b *binder) collate(e *ast.SetCollationExpr) (node, error) {
	n, err := b.bind(e.Expr)
	if err != nil {
		return node{}, err
	}
	by, ok := collationOf(strings.ToLower(e.Collate))
	if !ok {
		return node{}, unsupported("the collation %s", e.Collate)
	}
	switch {
	case n.class == anything:
		return n, nil
	case n.class != textual || n.constant || n.collation.name == "binary":
		return node{}, unsupported("%s: COLLATE of something else than a column of characters", describe(e))
	case charset(n.collation.name) != charset(by.name):
		return node{}, unsupported("%s: a collation of another character set", describe(e))
	}
	n.collation = by
	return n, nil
}

// charset is the character set of a collation.
func charset(collation string) string {
	name, _, _ := strings.Cut(collation, "_")
	if name == "utf8" || name == "uca1400" {
		return "utf8mb3"
	}
	return name
}
