package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway"
	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

const about = `The HTTP API of opsdeck.

Sign in with GET /v2/login/captcha and POST /v2/login; send the token of the answer as the header Authorization, bare or behind
"Bearer ". A trailing slash on a path changes nothing. JSON numbers are numbers: keep 64 bits of integers.`

// build returns the document as JSON.
func build(commentsFile string) ([]byte, error) {
	said, err := readComments(commentsFile)
	if err != nil {
		return nil, err
	}
	table, err := route.Of(gateway.Services()...)
	if err != nil {
		return nil, err
	}
	b := &builder{comments: said, schemas: &schemas{comments: said, made: openapi3.Schemas{}, names: map[string]protoreflect.FullName{}}}
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
	used := map[string]bool{}
	for _, r := range routes {
		item := doc.Paths.Value(r.Pattern)
		if item == nil {
			item = &openapi3.PathItem{}
			doc.Paths.Set(r.Pattern, item)
		}
		item.SetOperation(r.Method, b.operation(r))
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
	scheme.Description = "The token, as it is or behind \"Bearer \"."
	return scheme
}

func (b *builder) operation(r *route.Route) *openapi3.Operation {
	said := b.comments.operation(r.Method, r.Pattern)
	d := dialect.Of(r.Pattern)
	envelope, ok := envelopes[d.Name]
	if !ok {
		b.err = fmt.Errorf("%s %s: nothing is known about the envelopes of the dialect %s", r.Method, r.Pattern, d.Name)
		return nil
	}
	op := openapi3.NewOperation()
	op.OperationID, op.Tags = said.ID, said.Tags
	op.Summary, op.Description = sentences(said.Summary + " " + said.Description)
	if r.Public {
		op.Security = openapi3.NewSecurityRequirements()
	}
	b.parameters(op, r, d, said)
	success := openapi3.NewResponse().WithDescription("It worked.").WithJSONSchema(envelope.success(b.schemas, r.RPC.Output(), d.Rules()))
	failure := openapi3.NewResponse().WithDescription("It failed.").WithJSONSchema(envelope.failure())
	op.Responses = openapi3.NewResponses(openapi3.WithStatus(200, &openapi3.ResponseRef{Value: success}), openapi3.WithName("default", failure))
	return op
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

func (b *builder) parameters(op *openapi3.Operation, r *route.Route, d *dialect.Dialect, said operation) {
	fields := r.Input.Descriptor().Fields()
	variables := map[string]bool{}
	for _, name := range r.Variables {
		variables[name] = true
		p := openapi3.NewPathParameter(name)
		p.Schema = b.schemas.requestField(fields.ByName(protoreflect.Name(name)), operation{})
		p.Description = b.comments.field(fields.ByName(protoreflect.Name(name)), said)
		op.AddParameter(p)
	}
	accepted := d.Encodings(r.RPC.FullName())
	if r.Body == "" || accepted&dialect.Query != 0 {
		b.query(op, r, d, variables, said)
	}
	if r.Body == "" {
		return
	}
	m, err := r.BodyMessage()
	if err != nil {
		b.err = err
		return
	}
	schema := b.schemas.request(m.Descriptor(), variables, said)
	addAliases(schema, d.Request(r).Aliases)
	content := openapi3.NewContentWithJSONSchema(schema)
	if accepted&dialect.Form != 0 {
		content["application/x-www-form-urlencoded"] = openapi3.NewMediaType().WithSchema(schema)
	}
	body := openapi3.NewRequestBody().WithContent(content).WithRequired(accepted&dialect.Query == 0)
	if accepted&dialect.Query != 0 {
		body.Description = "The fields may stand in the query instead."
	}
	if names := d.Request(r).Wrappers; len(names) > 0 {
		body.Description = "The object may also be the only member of another, named " + strings.Join(names, " or ") + "."
	}
	op.RequestBody = &openapi3.RequestBodyRef{Value: body}
}

// addAliases adds the second names of fields. A field that has one is not required under the first.
func addAliases(schema *openapi3.Schema, aliases map[string]string) {
	for alias, name := range aliases {
		field := *schema.Properties[name].Value
		field.Description = "Another name of " + name + "."
		schema.WithProperty(alias, &field)
		schema.Required = slices.DeleteFunc(schema.Required, func(required string) bool { return required == name })
	}
}

// query adds the query parameters of a call, and their second names. Where there may be a body instead none is required.
func (b *builder) query(op *openapi3.Operation, r *route.Route, d *dialect.Dialect, variables map[string]bool, said operation) {
	fields := r.Input.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if variables[string(field.Name())] || field.Message() != nil {
			continue
		}
		p := openapi3.NewQueryParameter(wire.Name(field))
		p.Schema = b.schemas.requestField(field, said)
		p.Schema.Value.Nullable = false
		p.Description, p.Schema.Value.Description = p.Schema.Value.Description, ""
		p.Required = limitsOf(field).required && r.Body == ""
		op.AddParameter(p)
		for _, alias := range slices.Sorted(maps.Keys(d.Aliases())) {
			if d.Aliases()[alias] == p.Name {
				op.AddParameter(&openapi3.Parameter{Name: alias, In: p.In, Schema: p.Schema, Description: "Another name of " + p.Name + "."})
			}
		}
	}
}
