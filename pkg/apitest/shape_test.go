package apitest_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

func TestSameShape(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want, got string
		problems        []string
	}{
		{name: "other values of the same types", want: `{"a":1,"b":"x","c":true,"d":null}`, got: `{"a":2.5,"b":"","c":false,"d":null}`},
		{name: "a missing key", want: `{"a":1,"b":{"c":1}}`, got: `{"a":1,"b":{}}`, problems: []string{"b.c: is missing"}},
		{name: "a key too many", want: `{"a":1}`, got: `{"a":1,"z":1}`, problems: []string{"z: is not wanted"}},
		{name: "a number as text", want: `{"a":1}`, got: `{"a":"1"}`, problems: []string{"a: want number, got string"}},
		{name: "null for an array", want: `{"a":[]}`, got: `{"a":null}`, problems: []string{"a: want array, got null"}},
		{name: "an array for null", want: `{"a":null}`, got: `{"a":[]}`, problems: []string{"a: want null, got array"}},
		{name: "an object for an array", want: `[]`, got: `{}`, problems: []string{"the whole: want array, got object"}},
		{name: "every element", want: `[{"a":1}]`, got: `[{"a":1},{"a":null},{}]`, problems: []string{"[1].a: want number, got null", "[2].a: is missing"}},
		{name: "only the first wanted element counts", want: `[1,"x"]`, got: `[2,3]`},
		{name: "elements nobody wants anything of", want: `[]`, got: `[1,null,{}]`},
		{
			name: "nothing to compare", want: `{"a":[{"b":1}]}`, got: `{"a":[]}`,
			problems: []string{"a: is empty everywhere: the shape of its elements was not compared"},
		},
		{name: "empty here, filled there", want: `[{"a":[1]}]`, got: `[{"a":[]},{"a":[5]}]`},
		{
			name: "empty everywhere", want: `[{"a":[1]}]`, got: `[{"a":[]},{"a":[]}]`,
			problems: []string{"[].a: is empty everywhere: the shape of its elements was not compared"},
		},
		{name: "any value", want: `{"a":"$any","b":"$any"}`, got: `{"a":null,"b":{"c":1}}`},
		{name: "any value must be there", want: `{"a":"$any"}`, got: `{}`, problems: []string{"a: is missing"}},
		{name: "one of two types", want: `["$string|null"]`, got: `["x",null]`},
		{name: "neither of two types", want: `["$string|null"]`, got: `[1]`, problems: []string{"[0]: want string or null, got number"}},
		{
			name: "a type nobody knows", want: `["$integer"]`, got: `[1]`,
			problems: []string{`[0]: the wanted "$integer" is no type: there are $any, $null, $boolean, $number, $string, $array, $object`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.problems, apitest.SameShape(decode(t, test.want), decode(t, test.got)))
		})
	}
}

func TestSameShapeTakesNumbersOfEveryDecoder(t *testing.T) {
	t.Parallel()
	for _, number := range []any{1, int64(1), uint64(1 << 63), 1.5, json.Number("1")} {
		require.Empty(t, apitest.SameShape(1.0, number))
		require.Equal(t, []string{"the whole: want string, got number"}, apitest.SameShape("x", number))
	}
	require.Equal(t, []string{"the whole: want number, got a struct {}, which is no JSON"}, apitest.SameShape(1, struct{}{}))
}

func TestSameValue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want, got string
		problems        []string
	}{
		{name: "equal", want: `{"a":[1,{"b":"x"}],"c":null,"d":true}`, got: `{"d":true,"c":null,"a":[1,{"b":"x"}]}`},
		{name: "another text", want: `{"a":[{"b":"x"}]}`, got: `{"a":[{"b":"y"}]}`, problems: []string{"a[0].b: want x, got y"}},
		{name: "another number", want: `1`, got: `2`, problems: []string{"the whole: want 1, got 2"}},
		{name: "fewer elements", want: `[1,2]`, got: `[1]`, problems: []string{"the whole: want 2 elements, got 1"}},
		{name: "elements too many", want: `[]`, got: `[1]`, problems: []string{"the whole: want 0 elements, got 1"}},
		{name: "a type for a value", want: `{"a":"$number","b":"x"}`, got: `{"a":7,"b":"y"}`, problems: []string{"b: want x, got y"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.problems, apitest.SameValue(decode(t, test.want), decode(t, test.got)))
		})
	}
}
