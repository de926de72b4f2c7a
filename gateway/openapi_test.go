package gateway_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/require"
)

// loadDocument reads the API document as the gateway serves it.
func (r *rig) loadDocument(t *testing.T) {
	t.Helper()
	r.once.Do(func() {
		response, err := r.client.Get(r.url + "/swagger/doc.json")
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		doc, err := openapi3.NewLoader().LoadFromData(text)
		require.NoError(t, err)
		r.router, err = legacy.NewRouter(doc)
		require.NoError(t, err)
	})
}

// conforms checks an answer against the API document, and reports whether that has such a call at all.
func (r *rig) conforms(t *testing.T, request *http.Request, got reply) bool {
	t.Helper()
	r.loadDocument(t)
	lookup := request.Clone(context.Background())
	lookup.URL.Scheme, lookup.URL.Host, lookup.Host = "", "", ""
	lookup.URL.Path = strings.TrimRight(lookup.URL.Path, "/")
	found, variables, err := r.router.FindRoute(lookup)
	if err != nil {
		return false
	}
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: lookup, PathParams: variables, Route: found},
		Status:                 got.status, Header: got.header, Body: io.NopCloser(bytes.NewReader([]byte(got.body))),
	}), got.body)
	return true
}

// accepted checks that the API document allows a request.
func (r *rig) accepted(t *testing.T, c call) {
	t.Helper()
	r.loadDocument(t)
	request, err := http.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", c.contentType)
	found, variables, err := r.router.FindRoute(request)
	require.NoError(t, err)
	require.NoError(t, openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{
		Request: request, PathParams: variables, Route: found,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}))
}
