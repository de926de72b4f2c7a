package jsonstream_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/jsonstream"
)

// numbers collects the array a of an object and skips everything else.
func numbers(text string) (all []int, err error) {
	in := json.NewDecoder(strings.NewReader(text))
	err = jsonstream.Fields(in, func(name string) error {
		if name != "a" {
			return jsonstream.Skip(in)
		}
		return jsonstream.Each(in, func() error {
			var n int
			err := in.Decode(&n)
			all = append(all, n)
			return err
		})
	})
	return all, err
}

func TestWalk(t *testing.T) {
	t.Parallel()
	all, err := numbers(`{"x": {"y": [{}, null, "}"]}, "s": 1, "a": [1, 2], "n": null}`)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, all)
	for _, text := range []string{"", "[]", `{"a": 1}`, `{"a": [1`, `{"x": [`, `{"a": ["x"]}`, `{"a" 1}`} {
		_, err := numbers(text)
		require.Error(t, err, text)
	}
}
