package binlog

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShownDocument(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		`{"a":1,"b":[1,2,{}],"c":{"d":null}}`:  `{"a": 1, "b": [1, 2, {}], "c": {"d": null}}`,
		`{"a,b:":"x,y:\"z\",\\"}`:              `{"a,b:": "x,y:\"z\",\\"}`,
		`"\u003ca\u0026\u2028\u0001\n\\u003c"`: "\"<a&\u2028\\u0001\\n\\\\u003c\"",
		// As MySQL 8.0.33 shows them.
		`[1e-16,1.5e-07,1e-15,0.001,-0.0,1.0,100000000000000.0,1000000000000000.0,-2500000000000000.0,1.2345678901234568e+15,123456789012345680.0,123456789012345.6]`: `[1e-16, 0.00000015, 0.000000000000001, 0.001, -0.0, 1.0, 100000000000000.0, 1e15, -2.5e15, 1234567890123456.8, 1.2345678901234568e17, 123456789012345.6]`,
		`[1.50,12345678901234567890.123,-9223372036854775808,18446744073709551615]`:                                                                                   `[1.50, 12345678901234567890.123, -9223372036854775808, 18446744073709551615]`,
		`""`: `""`, `[]`: `[]`,
	} {
		require.True(t, json.Valid([]byte(written)), written)
		require.Equal(t, want, shown(written))
	}
}

func FuzzShownDocument(f *testing.F) {
	f.Add(`{"<":"\u2028\\u003c,:","b":[1.5e-7,true]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var document any
		if json.Unmarshal([]byte(text), &document) != nil {
			return
		}
		written, err := json.Marshal(document)
		require.NoError(t, err)
		require.JSONEq(t, string(written), shown(string(written)))
	})
}
