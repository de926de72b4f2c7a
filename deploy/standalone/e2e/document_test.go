package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// document is the OpenAPI document that a server serves.
type document struct{ *openapi3.T }

// loadDocument fetches the document and checks that it is one.
func (c *operator) loadDocument(t testing.TB) {
	t.Helper()
	c.document = parseDocument(t, c.fetch(t, "/swagger/doc.json"))
}

func parseDocument(t testing.TB, text []byte) *document {
	t.Helper()
	parsed, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	require.NoError(t, parsed.Validate(t.Context()))
	return &document{parsed}
}

// fetch gets a page that is not part of the API.
func (c *operator) fetch(t testing.TB, path string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.address+path, nil)
	require.NoError(t, err)
	response, err := httpClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", path, text)
	return text
}

// checkAnswer fails the test when an answer is not as the document says.
func (c *operator) checkAnswer(t testing.TB, answer apitest.Answer) {
	t.Helper()
	require.NoError(t, c.document.check(answer), "%s %s answered %d %s", answer.Method, answer.URL, answer.Status, answer.Body)
}

// check compares an answer with the document. What the document does not know must be answered with an error all the same.
func (d *document) check(answer apitest.Answer) error {
	u, err := url.Parse(answer.URL)
	if err != nil {
		return err
	}
	operation := d.operation(answer.Method, "/"+strings.Trim(u.Path, "/"))
	if operation == nil {
		return undocumented(answer)
	}
	response := operation.Responses.Status(answer.Status)
	if response == nil {
		response = operation.Responses.Default()
	}
	if response == nil {
		return fmt.Errorf("the document knows no status %d here", answer.Status)
	}
	media := response.Value.Content.Get(answer.Header.Get("Content-Type"))
	if media == nil {
		return fmt.Errorf("the document knows no content type %q here", answer.Header.Get("Content-Type"))
	}
	var body any
	if err := json.Unmarshal(answer.Body, &body); err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return media.Schema.Value.VisitJSON(body, openapi3.VisitAsResponse(), openapi3.EnableFormatValidation(), openapi3.MultiErrors())
}

// operation finds what the document says about a method and path. Of several templates that fit, the one with the fewest
// variables is meant.
func (d *document) operation(method, path string) *openapi3.Operation {
	given := strings.Split(path, "/")
	var found *openapi3.Operation
	fewest := len(given)
	for template, item := range d.Paths.Map() {
		operation, variables := item.GetOperation(method), strings.Count(template, "{")
		if operation != nil && matches(strings.Split(template, "/"), given) && variables < fewest {
			found, fewest = operation, variables
		}
	}
	return found
}

func matches(template, given []string) bool {
	if len(template) != len(given) {
		return false
	}
	for i, part := range template {
		if part != given[i] && !strings.HasPrefix(part, "{") {
			return false
		}
	}
	return true
}

// errorShapes are those of the four dialects.
var errorShapes = []map[string]any{
	{"message": "$string"},
	{"stat": "$boolean", "info": "$string"},
	{"error_code": "$number", "message": "$string"},
	{"status": "$boolean", "code": "$number", "message": "$string"},
}

func undocumented(answer apitest.Answer) error {
	if answer.Status < http.StatusBadRequest {
		return fmt.Errorf("the document does not know this call, and it succeeded with %d", answer.Status)
	}
	var problems []string
	for _, shape := range errorShapes {
		problems = apitest.HTTPAnswer{Status: []int{answer.Status}, Shape: shape}.Problems(answer)
		if len(problems) == 0 {
			return nil
		}
	}
	return fmt.Errorf("not an error of the API: %q", problems)
}

func TestDocumentIsHeldAgainstAnswers(t *testing.T) {
	t.Parallel()
	d := sharedOpsdeck(t).document
	header := http.Header{"Content-Type": {"application/json"}}
	answer := func(status int, path, body string) apitest.Answer {
		return apitest.Answer{Method: "GET", URL: path, Status: status, Header: header, Body: []byte(body)}
	}
	require.NoError(t, d.check(answer(200, "/v2/mysql/columns?x=y", `{"columns":["a"],"message":"ok"}`)))
	require.NoError(t, d.check(answer(400, "/v2/mysql/columns", `{"message":"no"}`)))
	for name, wrong := range map[string]apitest.Answer{
		"a number for a text":    answer(200, "/v2/mysql/columns", `{"columns":[1],"message":"ok"}`),
		"a member too many":      answer(200, "/v2/mysql/columns", `{"columns":["a"],"message":"ok","rows":1}`),
		"a missing member":       answer(200, "/v2/mysql/columns", `{"message":"ok"}`),
		"null for an array":      answer(200, "/v2/mysql/columns", `{"columns":null,"message":"ok"}`),
		"an error without text":  answer(400, "/v2/mysql/columns", `{"error":"no"}`),
		"no JSON":                answer(200, "/v2/mysql/columns", `columns`),
		"an unknown path":        answer(200, "/v2/nothing", `{"message":"ok"}`),
		"an unknown path, error": answer(404, "/v2/nothing", `{"error":"no"}`),
	} {
		require.Error(t, d.check(wrong), name)
	}
}

func TestDocumentIsServedAtBothAddresses(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	require.JSONEq(t, string(o.fetch(t, "/swagger/doc.json")), string(o.fetch(t, "/openapi.json")))
	require.Contains(t, string(o.fetch(t, "/swagger/index.html")), "swagger")
}
