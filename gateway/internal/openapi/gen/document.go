package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
)

const about = `The HTTP API of opsdeck.

Sign in with GET /v2/login/captcha and POST /v2/login; send the token of the answer as the header Authorization, bare or behind
"Bearer ". A trailing slash on a path changes nothing. JSON numbers are numbers: keep 64 bits of integers.`

// build returns the document of services as JSON.
func build(commentsFile string, services ...protoreflect.FullName) ([]byte, error) {
	said, err := readComments(commentsFile)
	if err != nil {
		return nil, err
	}
	table, err := route.Of(services...)
	if err != nil {
		return nil, err
	}
	b := &builder{
		comments: said, schemas: &schemas{comments: said, made: openapi3.Schemas{}, names: map[string]owner{}},
		routes: map[string]*route.Route{},
	}
	doc := b.document(table.Routes())
	if b.err != nil {
		return nil, b.err
	}
	text, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return nil, fmt.Errorf("print the document: %w", err)
	}
	loaded, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("read the document back: %w", err)
	}
	if err := loaded.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the document is not valid: %w", err)
	}
	return append(bytes.TrimSpace(text), '\n'), nil
}

type builder struct {
	comments *comments
	schemas  *schemas
	routes   map[string]*route.Route // by address, as the detours have them
	err      error
}

func (b *builder) document(routes []*route.Route) *openapi3.T {
	doc := &openapi3.T{
		OpenAPI: "3.0.3", Paths: openapi3.NewPaths(),
		Info:       &openapi3.Info{Title: "opsdeck", Version: "1", Description: about},
		Servers:    openapi3.Servers{{URL: "/"}},
		Security:   *openapi3.NewSecurityRequirements().With(openapi3.NewSecurityRequirement().Authenticate("token")),
		Components: &openapi3.Components{Schemas: b.schemas.made, SecuritySchemes: openapi3.SecuritySchemes{"token": {Value: tokenScheme()}}},
	}
	for _, r := range routes {
		b.routes[dialect.Address(r.Method, r.Pattern)] = r
	}
	used := map[string]bool{}
	for _, r := range routes {
		item := doc.Paths.Value(r.Pattern)
		if item == nil {
			item = &openapi3.PathItem{}
			doc.Paths.Set(r.Pattern, item)
		}
		item.SetOperation(r.Method, b.operation(r))
		if parameter, ok := dialect.Of(r.Pattern).Question(r.Pattern); ok {
			item.SetOperation(http.MethodGet, b.question(r, parameter))
		}
		used[string(r.RPC.Parent().Name())] = true
	}
	for _, t := range b.comments.Tags {
		if used[t.Name] {
			doc.Tags = append(doc.Tags, &openapi3.Tag{Name: t.Name, Description: t.Description})
		}
	}
	return doc
}

func tokenScheme() *openapi3.SecurityScheme {
	scheme := openapi3.NewSecurityScheme().WithType("apiKey").WithIn("header").WithName("Authorization")
	scheme.Description = "The token, as it is or behind \"Bearer \", in calls of the paths without /api or /v2 also behind \"Token \"."
	return scheme
}

func (b *builder) operation(r *route.Route) *openapi3.Operation {
	said := b.comments.operation(r.Method, r.Pattern)
	d := dialect.Of(r.Pattern)
	op := openapi3.NewOperation()
	op.OperationID, op.Tags = said.ID, said.Tags
	op.Summary, op.Description = sentences(said.Summary + " " + said.Description)
	if r.Public {
		op.Security = openapi3.NewSecurityRequirements()
	}
	b.variables(op, r, d, said)
	accepted := d.Encodings(r.RPC.FullName())
	if r.Body == "" || accepted&dialect.Query != 0 {
		b.query(op, r, d, said)
	}
	if r.Body != "" {
		op.RequestBody = &openapi3.RequestBodyRef{Value: b.body(r, d, said)}
	}
	success := envelopes[d.Name].success(b.schemas, r, d)
	if other, ok := d.Detour(r.Method, r.Pattern); ok {
		success = b.detour(op, success, b.routes[other.To], d)
	}
	if envelopes[d.Name].mixed {
		success = openapi3.NewAnyOfSchema(success, envelopes[d.Name].failure())
	}
	failure := openapi3.NewResponse().WithDescription("It failed.").WithJSONSchema(envelopes[d.Name].failure())
	op.Responses = openapi3.NewResponses(
		openapi3.WithStatus(d.SuccessStatus(r.RPC.FullName()), &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("It worked.").WithJSONSchema(success)}),
		openapi3.WithName("default", failure))
	return op
}

// question is a POST that is asked by GET.
func (b *builder) question(r *route.Route, parameter string) *openapi3.Operation {
	op := b.operation(r)
	op.OperationID += "ByGet"
	op.RequestBody = nil
	op.Description = strings.TrimSpace(op.Description + " As in the document: with the body of POST, or with it in the parameter.")
	op.AddParameter(openapi3.NewQueryParameter(parameter).WithDescription("The body of POST as text.").WithSchema(openapi3.NewStringSchema()))
	return op
}

// detour adds what the other RPC of an address takes, and returns the schema of what either of them answers.
func (b *builder) detour(op *openapi3.Operation, success *openapi3.Schema, to *route.Route, d *dialect.Dialect) *openapi3.Schema {
	if to == nil {
		b.err = fmt.Errorf("%s: a detour leads to what nobody serves", op.OperationID)
		return success
	}
	said := b.comments.operation(to.Method, to.Pattern)
	if to.Body == "" {
		b.query(op, to, d, said)
		op.RequestBody.Value.Required = false
	} else {
		either := op.RequestBody.Value.Content.Get("application/json")
		other := b.body(to, d, said).Content.Get("application/json")
		either.Schema = openapi3.NewAnyOfSchema(either.Schema.Value, other.Schema.Value).NewRef()
	}
	op.Description = strings.TrimSpace(op.Description + " By its body a call may mean " + to.Method + " " + to.Pattern + ".")
	other := envelopes[d.Name].success(b.schemas, to, d)
	if reflect.DeepEqual(success, other) {
		return success
	}
	return openapi3.NewAnyOfSchema(success, other)
}

// sentences cuts the first sentence off a comment.
func sentences(comment string) (first, rest string) {
	comment = strings.Join(strings.Fields(comment), " ")
	first, rest, more := strings.Cut(comment, ". ")
	if more {
		first += "."
	}
	return first, rest
}
