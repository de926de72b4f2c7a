package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// Bad requests are refused with a 4xx whose message names what is wrong, and leave nothing behind.
func TestBadRequestsAreRefused(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 1)
	taken := o.create(t, p.job("taken-"+schema, schema))
	name := "bad-" + schema
	cases := apitest.Load(t, os.DirFS("testdata"), "refused/*.yaml", map[string]string{
		"bad": name, "taken": "taken-" + schema, "job": taken, "token": o.token, "forged": forge(o.token),
		"src": fmt.Sprint(p.source.Port()), "dest": fmt.Sprint(p.target.Port()), "user": p.source.User(), "password": p.source.Password(),
	})
	deep := `{"job_id":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}"
	cases = append(cases, apitest.Case{Name: "deeply nested", As: "admin", HTTP: &apitest.HTTP{
		Method: "POST", Path: "/v2/job/migration/create", Raw: &deep, Want: apitest.HTTPAnswer{Status: []int{400}, Message: []string{"body"}},
	}})
	require.GreaterOrEqual(t, len(cases), 60)
	for _, c := range cases {
		require.NotEmpty(t, c.HTTP.Want.Message, "%s: a refusal names what is wrong", c.Name)
		for _, status := range c.HTTP.Want.Status {
			require.Equal(t, 4, status/100, c.Name)
		}
	}
	t.Run("cases", func(t *testing.T) { o.runner().Run(t, cases) })
	require.Empty(t, o.list(t, "filter_job_name="+name), "nothing was stored")
	require.Equal(t, []string{taken}, o.list(t, "filter_job_name=taken-"+schema))
	o.awaitStatus(t, taken, "running")
	o.order(t, "delete", taken)
}

// A body of 50 MB is refused before it is read, whether it says its size or not.
func TestHugeBodiesAreRefused(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	const size = 50 << 20
	huge := func() io.Reader {
		return io.MultiReader(strings.NewReader(`{"job_id":"`), io.LimitReader(letters{}, size), strings.NewReader(`"}`))
	}
	for name, body := range map[string]io.Reader{
		"size told":   bytes.NewReader(bytes.Repeat([]byte("x"), size)),
		"size untold": huge(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+o.address+"/v2/job/migration/create", body)
			require.NoError(t, err)
			request.Header.Set("Authorization", o.token)
			request.Header.Set("Content-Type", "application/json")
			response := upload(t, o.address, request)
			defer func() { require.NoError(t, response.Body.Close()) }()
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			answer := apitest.Answer{Method: "POST", URL: request.URL.RequestURI(), Status: response.StatusCode, Header: response.Header, Body: text}
			o.checkAnswer(t, answer)
			want := apitest.HTTPAnswer{Status: []int{http.StatusRequestEntityTooLarge}, Message: []string{"body", "1048576"}}
			require.Empty(t, want.Problems(answer))
		})
	}
}

// upload sends a request and reads the answer at the same time: a server that refuses a body hangs up on the sender, which net/http's
// client now and then reports instead of the answer.
func upload(t *testing.T, address string, request *http.Request) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	sent := make(chan struct{})
	t.Cleanup(func() {
		_ = conn.Close() // the server may have closed it
		<-sent
	})
	go func() {
		defer close(sent)
		_ = request.Write(conn) // ends with an error when the server hangs up
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	require.NoError(t, err)
	return response
}

// letters is an endless text.
type letters struct{}

// Read implements io.Reader.
func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
