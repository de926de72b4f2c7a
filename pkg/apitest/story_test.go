package apitest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

const story = `
story: a thing and its name
scheme: Token
steps:
  - contract: things.create
    as: admin
    http: {method: POST, path: /things/, json: {name: "${name}"}, want: {status: [201], shape: {id: 1, rows: [{ok: true}]}}}
    keep: {thing: id, ok: rows.0.ok}
  - name: the thing is there
    as: admin
    http: {method: PUT, path: "/things/${thing}/", json: {id: ${thing}, ok: ${ok}, text: "${thing}"}, want: {status: [201], body: {id: 7, rows: [{ok: true}]}}}
  - contract: things.delete
    as: nobody
    http: {method: DELETE, path: "/things/${thing}/", want: {status: [201]}}
`

func TestPlay(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+" "+string(body))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":7,"rows":[{"ok":true}]}`)
	}))
	t.Cleanup(web.Close)
	r := apitest.Runner{BaseURL: web.URL, Client: web.Client(), Tokens: map[string]string{"admin": "t0k3n"}}
	values := map[string]string{"name": "a"}
	played := r.Play(t, apitest.LoadStory(t, fstest.MapFS{"s.yaml": {Data: []byte(story)}}, "s.yaml"), values)
	require.Equal(t, []string{"things.create", "things.delete"}, played)
	require.Equal(t, []string{
		`POST /things/ Token t0k3n {"name":"a"}`, `PUT /things/7/ Token t0k3n {"id":7,"ok":true,"text":"7"}`, `DELETE /things/7/  `,
	}, got)
	require.Equal(t, map[string]string{"name": "a"}, values, "the caller's values are left alone")
}

func TestParseStoryRefusesWhatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no name":        "steps: [{name: a, as: x}]",
		"no steps":       "story: a",
		"an unknown key": "{story: a, schema: Token, steps: [{name: a, as: x}]}",
		"no mapping":     "[]",
	} {
		_, err := apitest.ParseStory([]byte(text))
		require.Error(t, err, name)
	}
}
