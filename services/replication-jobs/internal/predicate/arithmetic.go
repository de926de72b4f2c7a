package predicate

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
	"github.com/shopspring/decimal"
)

// errRange is what the servers say as well.
var errRange = fmt.Errorf("a BIGINT value of the condition is out of range")

// inRange checks the result of integer arithmetic.
func (n node) inRange(v decimal.Decimal) (Value, error) {
	if n.unsigned && (v.IsNegative() || v.GreaterThan(maxUnsigned)) || !n.unsigned && (v.LessThan(minSigned) || v.GreaterThan(maxSigned)) {
		return null, errRange
	}
	return exact(v), nil
}

func (b *binder) minus(e *ast.UnaryOperationExpr) (node, error) {
	n, err := b.bind(e.V)
	switch {
	case err != nil || n.class == anything:
		return n, err
	case n.class != exactly || n.unsigned:
		return node{}, unsupported("%s: minus of something else than a signed number", describe(e))
	}
	operand := n.eval
	n.eval = func(row []Value) (Value, error) {
		v, err := operand(row)
		if err != nil || v.kind == kindNull {
			return null, err
		}
		if n.whole {
			return n.inRange(v.exact.Neg())
		}
		return exact(v.exact.Neg()), nil
	}
	return n, nil
}

// arithmetic is that of integers: of decimals the servers bound the digits, each in its own way.
func (b *binder) arithmetic(e *ast.BinaryOperationExpr) (node, error) {
	left, err := b.bind(e.L)
	if err != nil {
		return node{}, err
	}
	right, err := b.bind(e.R)
	if err != nil {
		return node{}, err
	}
	for _, n := range []node{left, right} {
		if n.class != anything && !n.whole {
			return node{}, unsupported("%s: arithmetic with something else than integers", describe(e))
		}
	}
	n := node{class: exactly, whole: true, unsigned: left.unsigned || right.unsigned}
	if e.Op == opcode.Mod {
		n.unsigned = left.unsigned
	}
	n.eval = func(row []Value) (Value, error) {
		l, err := left.eval(row)
		if err != nil {
			return null, err
		}
		r, err := right.eval(row)
		if err != nil || l.kind == kindNull || r.kind == kindNull {
			return null, err
		}
		v, defined := calculate(e.Op, l.exact, r.exact)
		if !defined {
			return null, nil
		}
		return n.inRange(v)
	}
	return n, nil
}

// calculate reports false for a division by zero.
func calculate(op opcode.Op, l, r decimal.Decimal) (decimal.Decimal, bool) {
	switch op {
	case opcode.Plus:
		return l.Add(r), true
	case opcode.Minus:
		return l.Sub(r), true
	case opcode.Mul:
		return l.Mul(r), true
	}
	if r.IsZero() {
		return r, false
	}
	quotient, rest := l.QuoRem(r, 0)
	if op == opcode.Mod {
		return rest, true
	}
	return quotient, true
}

// function is a function of one argument.
type function struct {
	takes class
	of    func(n node, v Value) (Value, error)
}

var functions = map[string]function{
	"length":           {textual, func(_ node, v Value) (Value, error) { return integer(int64(len(v.text))), nil }},
	"octet_length":     {textual, func(_ node, v Value) (Value, error) { return integer(int64(len(v.text))), nil }},
	"char_length":      {textual, func(n node, v Value) (Value, error) { return integer(n.collation.length(v.text)), nil }},
	"character_length": {textual, func(n node, v Value) (Value, error) { return integer(n.collation.length(v.text)), nil }},
	"crc32":            {textual, func(_ node, v Value) (Value, error) { return integer(int64(crc32.ChecksumIEEE([]byte(v.text)))), nil }},
	"abs":              {exactly, func(n node, v Value) (Value, error) { return n.absolute(v) }},
	"year":             {temporal, func(_ node, v Value) (Value, error) { return part(v.text[0:4]) }},
	"month":            {temporal, func(_ node, v Value) (Value, error) { return part(v.text[5:7]) }},
	"day":              {temporal, func(_ node, v Value) (Value, error) { return part(v.text[8:10]) }},
	"dayofmonth":       {temporal, func(_ node, v Value) (Value, error) { return part(v.text[8:10]) }},
}

func part(digits string) (Value, error) {
	n, err := strconv.ParseInt(digits, 10, 64)
	return integer(n), err
}

func (n node) absolute(v Value) (Value, error) {
	if n.whole {
		return n.inRange(v.exact.Abs())
	}
	return exact(v.exact.Abs()), nil
}

func (b *binder) call(e *ast.FuncCallExpr) (node, error) {
	name := strings.ToLower(e.FnName.O)
	switch {
	case name == "mod" && len(e.Args) == 2:
		return b.arithmetic(&ast.BinaryOperationExpr{Op: opcode.Mod, L: e.Args[0], R: e.Args[1]})
	case name == "isnull" && len(e.Args) == 1:
		return b.isNull(&ast.IsNullExpr{Expr: e.Args[0]})
	case (name == "ifnull" && len(e.Args) == 2 || name == "coalesce") && len(e.Args) > 0:
		return b.coalesce(e)
	}
	f, ok := functions[name]
	if !ok || len(e.Args) != 1 {
		return node{}, unsupported("the function %s", describe(e))
	}
	argument, err := b.bind(e.Args[0])
	if err != nil {
		return node{}, err
	}
	if argument.class == anything {
		return argument, nil
	}
	if argument.class != f.takes || argument.constant {
		return node{}, unsupported("%s: %s of %s", describe(e), strings.ToUpper(name), argument.class)
	}
	n := node{class: exactly, whole: f.takes != exactly || argument.whole, unsigned: f.takes == exactly && argument.unsigned}
	n.eval = func(row []Value) (Value, error) {
		v, err := argument.eval(row)
		if err != nil || v.kind == kindNull {
			return null, err
		}
		return f.of(argument, v)
	}
	return n, nil
}

// coalesce is the first of numbers that is not NULL.
func (b *binder) coalesce(e *ast.FuncCallExpr) (node, error) {
	all := make([]node, len(e.Args))
	n := node{class: exactly, whole: true}
	for i, argument := range e.Args {
		var err error
		if all[i], err = b.bind(argument); err != nil {
			return node{}, err
		}
		if all[i].class != anything && (!all[i].whole || all[i].unsigned) {
			return node{}, unsupported("%s: %s of something else than signed integers", describe(e), strings.ToUpper(e.FnName.O))
		}
	}
	n.eval = func(row []Value) (Value, error) {
		for i := range all {
			if v, err := all[i].eval(row); err != nil || v.kind != kindNull {
				return v, err
			}
		}
		return null, nil
	}
	return n, nil
}
