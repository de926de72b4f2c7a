package apitest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStepsAreCheckedWhenTheyArePlayed(t *testing.T) {
	t.Parallel()
	const get = "http: {method: GET, path: /, want: {status: [200]}}"
	for text, wrong := range map[string]string{
		"{name: a, as: x, " + get + "}":                                     "",
		"{contract: a.b, as: x, " + get + ", keep: {id: id}}":               "",
		"{as: x, " + get + "}":                                              "needs a name",
		"{name: '${who}', as: x, " + get + "}":                              "there is no variable ${who}",
		"{name: a, as: x, htp: {}}":                                         "htp",
		"{name: a, as: x, keep: {id: id}, grpc: {method: a.B/C, code: OK}}": "only HTTP answers are kept",
	} {
		_, err := step{name: "1", text: text}.read(nil)
		if wrong == "" {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, wrong, text)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	answer := Answer{Body: []byte(`{"id":12345678901234567,"rows":[{"name":"a","ok":true,"none":null}]}`)}
	values := map[string]string{}
	require.NoError(t, keep(values, map[string]string{"id": "id", "name": "rows.0.name", "ok": "rows.0.ok"}, answer))
	require.Equal(t, map[string]string{"id": "12345678901234567", "name": "a", "ok": "true"}, values)
	for path, wrong := range map[string]string{
		"name": "there is no name", "rows.1": "there is no element 1 of 1", "rows.x": "there is no element x", "id.x": "nothing is inside",
		"rows": "is neither text", "rows.0.none": "is neither text",
	} {
		require.ErrorContains(t, keep(values, map[string]string{"x": path}, answer), wrong, path)
	}
	require.Error(t, keep(values, map[string]string{"x": "a"}, Answer{Body: []byte("<")}))
}
