package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/gateway"
	"github.com/opsdeck/opsdeck/gateway/internal/openapi"
	trialv1 "github.com/opsdeck/opsdeck/gateway/internal/trial/v1"
)

const commentsFile = "../../../../proto/gen/openapi/opsdeck.swagger.json"

func TestDocumentIsUpToDate(t *testing.T) {
	t.Parallel()
	want, err := build(commentsFile, gateway.Services()...)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, openapi.Document), "run: go run ./internal/openapi/gen")
}

// trial returns the document of the service that has one RPC for each way in which the documents differ from plain gRPC.
func trial(t *testing.T) routers.Router {
	t.Helper()
	text, err := build(commentsFile, trialv1.File_trial_v1_trial_proto.Services().Get(0).FullName())
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	router, err := legacy.NewRouter(doc)
	require.NoError(t, err)
	return router
}

// input finds what the document says about a call.
func input(t *testing.T, router routers.Router, call, body string) *openapi3filter.RequestValidationInput {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	request, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	found, variables, err := router.FindRoute(request)
	require.NoError(t, err, call)
	return &openapi3filter.RequestValidationInput{
		Request: request, PathParams: variables, Route: found,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
}

func TestRequestsOfTheDocument(t *testing.T) {
	t.Parallel()
	router := trial(t)
	for _, test := range []struct {
		call, body string
		allowed    bool
	}{
		{"GET /users?page=2&page_size=100&ids=1&ids=2", "", true},
		{"GET /users?page_number=2", "", true},
		{"GET /users?page=0", "", false},
		{"GET /users?page_size=101", "", false},
		{"PATCH /users/1", `{"phone":null,"tags":[]}`, true},
		{"PATCH /users/1", `{"update_mask":{"paths":[]}}`, false},
		{"PATCH /users/1", `{"id":1}`, false},
		{"PATCH /users", `{"id":1,"name":"a"}`, true},
		{"PATCH /roles/1", `{"name":null}`, false},
		{"POST /users/1/roles", `[{"id":1}]`, true},
		{"POST /users/1/roles", `[]`, false},
		{"POST /users/1/roles", `{"id":1}`, false},
		{"POST /users/1/roles", `[{"id":1},{"id":1},{"id":1},{"id":1}]`, false},
		{"DELETE /users/1/roles", `[{"id":1}]`, true},
		{"POST /users/ann/actions/forget-password", `{"email":"a"}`, true},
		{"POST /users/1/application/perms", `{"authorizations":[{"id":1,"permission":{"view_host":true}}]}`, true},
		{"POST /users/1/application/perms", `{"authorizations":[{"id":1,"permission":{"view_host":1}}]}`, false},
		{"POST /dns-services?page=1", ``, true},
		{"POST /dns-services", `{"name":"a"}`, true},
		{"POST /dns-services", `{}`, false},
	} {
		err := openapi3filter.ValidateRequest(t.Context(), input(t, router, test.call, test.body))
		require.Equal(t, test.allowed, err == nil, "%s %s: %v", test.call, test.body, err)
	}
}

func TestAnswersOfTheDocument(t *testing.T) {
	t.Parallel()
	router := trial(t)
	const user = `{"id":1,"name":"a","phone":null,"permission":{"view_app":true}}`
	for _, test := range []struct {
		call, answer string
		status       int
		allowed      bool
	}{
		{"GET /users", `{"count":1,"results":[` + user + `],"next":null,"prev":"/users/?page=1"}`, 200, true},
		{"GET /users", `{"count":1,"results":[` + user + `],"next":null}`, 200, false},
		{"GET /users", `{"error_code":10003,"message":"no"}`, 403, true},
		{"GET /users", `{"message":"no"}`, 403, false},
		{"PATCH /users/1", user, 200, true},
		{"PATCH /users", user, 200, true},
		{"PATCH /users/1", `{"user":` + user + `}`, 200, false},
		{"GET /roles/1/users", `[` + user + `]`, 200, true},
		{"GET /roles/1/users", `{"users":[]}`, 200, false},
		{"POST /users/1/roles", `{"message":"success"}`, 200, true},
		{"POST /users/1/roles", `{}`, 200, false},
		{"POST /dns-services", `{"id":1}`, 200, true},
		{"POST /dns-services", `{"count":0,"results":[],"next":null,"prev":null}`, 200, true},
		{"POST /dns-services", `{"count":0}`, 200, false},
		{"POST /api/v1/logout", `{"status":true,"code":200}`, 200, true},
		{"POST /api/v1/logout", `{"status":true,"code":200,"data":{}}`, 200, false},
		{"POST /api/v1/logout", `{"status":false,"code":401,"message":"no"}`, 401, true},
	} {
		err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: input(t, router, test.call, ""), Status: test.status,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(test.answer))),
		})
		require.Equal(t, test.allowed, err == nil, "%s %s: %v", test.call, test.answer, err)
	}
}
