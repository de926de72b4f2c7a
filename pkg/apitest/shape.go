package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// anything is the wanted text that every value satisfies, null included.
const anything = "$any"

// SameShape compares two JSON values, as encoding/json or YAML decodes them, and returns what differs: the same keys, the same
// JSON types, null where null is wanted. Every element of an array is compared with the first wanted one; wanting [] asks for an
// array and nothing of its elements. An array whose elements have a wanted shape must have an element somewhere in the answer,
// for otherwise nothing was compared.
//
// A wanted text that starts with $ stands for types: "$any", "$number", "$string|null".
func SameShape(want, got any) []string {
	c := &comparison{elements: map[string]bool{}}
	c.value("", "", want, got)
	for _, at := range slices.Sorted(maps.Keys(c.elements)) {
		if !c.elements[at] {
			c.report(at, "is empty everywhere: the shape of its elements was not compared")
		}
	}
	return c.problems
}

// SameValue compares two JSON values and returns what differs. Types may stand for values as in SameShape.
func SameValue(want, got any) []string {
	c := &comparison{exact: true}
	c.value("", "", want, got)
	return c.problems
}

// comparison walks two values. Paths come twice: of the value, with indices, and of its place, without.
type comparison struct {
	exact    bool
	problems []string
	elements map[string]bool // places of arrays with a wanted element, and whether one was seen
}

func (c *comparison) report(at, format string, args ...any) {
	if at == "" {
		at = "the whole"
	}
	c.problems = append(c.problems, at+": "+fmt.Sprintf(format, args...))
}

func (c *comparison) value(at, place string, want, got any) {
	if text, ok := want.(string); ok && strings.HasPrefix(text, "$") {
		c.types(at, text, got)
		return
	}
	wanted, given := typeOf(want), typeOf(got)
	if wanted != given {
		c.report(at, "want %s, got %s", wanted, given)
		return
	}
	switch want := want.(type) {
	case map[string]any:
		c.object(at, place, want, got.(map[string]any))
	case []any:
		if c.exact {
			c.list(at, want, got.([]any))
		} else {
			c.array(at, place, want, got.([]any))
		}
	default:
		if c.exact && fmt.Sprint(want) != fmt.Sprint(got) {
			c.report(at, "want %v, got %v", want, got)
		}
	}
}

// types compares a value with the types that a text such as "$string|null" lists.
func (c *comparison) types(at, text string, got any) {
	if text == anything {
		return
	}
	wanted := strings.Split(strings.TrimPrefix(text, "$"), "|")
	for _, name := range wanted {
		if !slices.Contains(typeNames, name) {
			c.report(at, "the wanted %q is no type: there are $any, $%s", text, strings.Join(typeNames, ", $"))
			return
		}
	}
	if !slices.Contains(wanted, typeOf(got)) {
		c.report(at, "want %s, got %s", strings.Join(wanted, " or "), typeOf(got))
	}
}

func (c *comparison) object(at, place string, want, got map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value, ok := got[name]
		if !ok {
			c.report(join(at, name), "is missing")
			continue
		}
		c.value(join(at, name), join(place, name), want[name], value)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			c.report(join(at, name), "is not wanted")
		}
	}
}

// array compares every element with the first wanted one.
func (c *comparison) array(at, place string, want, got []any) {
	if len(want) == 0 {
		return
	}
	c.elements[place] = c.elements[place] || len(got) > 0
	for i, element := range got {
		c.value(fmt.Sprintf("%s[%d]", at, i), place+"[]", want[0], element)
	}
}

// list compares element by element.
func (c *comparison) list(at string, want, got []any) {
	if len(want) != len(got) {
		c.report(at, "want %d elements, got %d", len(want), len(got))
		return
	}
	for i := range want {
		c.value(fmt.Sprintf("%s[%d]", at, i), "", want[i], got[i])
	}
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// typeNames are the types of JSON.
var typeNames = []string{"null", "boolean", "number", "string", "array", "object"}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number, float64, int, int64, uint64:
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return fmt.Sprintf("a %T, which is no JSON", v)
}
