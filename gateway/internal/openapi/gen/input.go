package main

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// variables adds the parameters in the path of a call.
func (b *builder) variables(op *openapi3.Operation, r *route.Route, d *dialect.Dialect, said operation) {
	for _, name := range r.Variables {
		field := r.Input.Descriptor().Fields().ByName(protoreflect.Name(name))
		p := openapi3.NewPathParameter(name)
		p.Schema = b.schemas.requestField(field, d, operation{})
		p.Schema.Value.Nullable = false
		p.Description = b.comments.field(field, said)
		op.AddParameter(p)
	}
}

// body returns what a call takes as its body.
func (b *builder) body(r *route.Route, d *dialect.Dialect, said operation) *openapi3.RequestBody {
	accepted := d.Encodings(r.RPC.FullName())
	schema := b.bodySchema(r, d, said)
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
	return body
}

func (b *builder) bodySchema(r *route.Route, d *dialect.Dialect, said operation) *openapi3.Schema {
	request := d.Request(r)
	if list := r.ListBody(); list != nil {
		array := b.schemas.requestField(list, d, said).Value
		array.Nullable, array.MinItems = false, max(array.MinItems, 1)
		if request.Single {
			return openapi3.NewAnyOfSchema(array, b.schemas.request(list.Message(), d, nil, said))
		}
		return array
	}
	m, err := r.BodyMessage()
	if err != nil {
		b.err = err
		return openapi3.NewSchema()
	}
	schema := b.schemas.request(m.Descriptor(), d, named(r.Variables), said)
	addAliases(schema, request.Aliases)
	if r.Method == http.MethodPatch && wire.Mask(m.Descriptor()) == nil {
		for _, property := range schema.Properties {
			if property.Value != nil {
				property.Value.Nullable = false
			}
		}
	}
	return schema
}

func named(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

// query adds the query parameters of a call, and their second names. Where there may be a body instead none is required.
func (b *builder) query(op *openapi3.Operation, r *route.Route, d *dialect.Dialect, said operation) {
	fields := r.Input.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if slices.Contains(r.Variables, string(field.Name())) || field.Message() != nil && !wire.IsTime(field) {
			continue
		}
		p := openapi3.NewQueryParameter(wire.Name(field))
		p.Schema = b.schemas.requestField(field, d, said)
		p.Schema.Value.Nullable = false
		p.Description, p.Schema.Value.Description = p.Schema.Value.Description, ""
		p.Required = limitsOf(field).required && r.Body == ""
		if d.Paged(r) {
			limitPage(p)
		}
		op.AddParameter(p)
		for _, alias := range slices.Sorted(maps.Keys(d.Aliases())) {
			if d.Aliases()[alias] == p.Name {
				op.AddParameter(&openapi3.Parameter{Name: alias, In: p.In, Schema: p.Schema, Description: "Another name of " + p.Name + "."})
			}
		}
	}
}

// limitPage says what the gateway takes as the number and size of a page.
func limitPage(p *openapi3.Parameter) {
	switch p.Name {
	case "page":
		p.Schema.Value.WithMin(1).WithDefault(1)
	case "page_size":
		p.Schema.Value.WithMin(1).WithMax(dialect.MaxPageSize).WithDefault(dialect.DefaultPageSize)
	}
}
