package main

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
)

// envelope is how a dialect wraps answers and errors.
type envelope struct {
	success func(s *schemas, r *route.Route, d *dialect.Dialect) *openapi3.Schema
	failure func() *openapi3.Schema
	mixed   bool // a failure may have the status of success
}

// envelopes has an entry for each dialect.
var envelopes = map[string]envelope{
	"dtle":    {success: dtleSuccess, failure: dtleFailure},
	"openc3":  {success: openc3Success, failure: openc3Failure, mixed: true},
	"opsapi":  {success: opsapiSuccess, failure: opsapiFailure},
	"optimus": {success: optimusSuccess, failure: optimusFailure},
}

// payload is what an answer is about: its message, or the one field of it that the route picks.
func (s *schemas) payload(r *route.Route, d *dialect.Dialect) *openapi3.Schema {
	field := r.ResponseField()
	switch {
	case field == nil:
		return s.answer(r.RPC.Output(), d)
	case field.Message() != nil && !field.IsList() && !field.IsMap():
		return s.answer(field.Message(), d)
	}
	return s.answerField(field, d).Value
}

// object returns a schema that has exactly the given members.
func object(members map[string]*openapi3.Schema) *openapi3.Schema {
	schema := openapi3.NewObjectSchema().WithoutAdditionalProperties()
	for name, member := range members {
		addMember(schema, name, member)
	}
	return schema
}

func addMember(schema *openapi3.Schema, name string, member *openapi3.Schema) {
	schema.WithProperty(name, member)
	schema.Required = append(schema.Required, name)
	slices.Sort(schema.Required)
}

func only(words ...any) *openapi3.Schema { return openapi3.NewStringSchema().WithEnum(words...) }

func why() *openapi3.Schema {
	schema := openapi3.NewStringSchema()
	schema.Description = "What was wrong, where, and what to do."
	return schema
}

func dtleSuccess(s *schemas, r *route.Route, d *dialect.Dialect) *openapi3.Schema {
	payload := s.payload(r, d)
	if dialect.DTLEWraps(r.RPC.Output().FullName()) {
		return object(map[string]*openapi3.Schema{"message": only("ok"), "data": payload})
	}
	if r.RPC.Output().Fields().ByName("message") == nil {
		payload.WithProperty("message", only("ok"))
		payload.Required = append(payload.Required, "message")
	}
	return payload
}

func dtleFailure() *openapi3.Schema { return object(map[string]*openapi3.Schema{"message": why()}) }

// openc3Success has failures too: contract 001 answers both with 200, and clients look at stat.
func openc3Success(s *schemas, r *route.Route, d *dialect.Dialect) *openapi3.Schema {
	return openapi3.NewOneOfSchema(openc3Done(s, r, d), openc3Failure())
}

func openc3Done(s *schemas, r *route.Route, d *dialect.Dialect) *openapi3.Schema {
	done := openapi3.NewBoolSchema().WithEnum(true)
	if dialect.OpenC3Info(r.RPC.Output()) {
		payload := s.payload(r, d)
		addMember(payload, "stat", done)
		return payload
	}
	return object(map[string]*openapi3.Schema{"stat": done, "data": s.payload(r, d)})
}

func openc3Failure() *openapi3.Schema {
	code := openapi3.NewInt64Schema()
	code.Description = "10000 when the caller is not signed in; then there is no info."
	schema := object(map[string]*openapi3.Schema{"stat": openapi3.NewBoolSchema().WithEnum(false)})
	return schema.WithProperty("info", why()).WithProperty("code", code)
}

func opsapiSuccess(s *schemas, r *route.Route, d *dialect.Dialect) *openapi3.Schema {
	if r.RPC.Output().Fields().Len() == 0 {
		return object(map[string]*openapi3.Schema{"message": only("success")})
	}
	payload := s.payload(r, d)
	if d.Paged(r) {
		addMember(payload, "next", link("the page after this one"))
		addMember(payload, "prev", link("the page before this one"))
	}
	return payload
}

func link(to string) *openapi3.Schema {
	schema := openapi3.NewStringSchema()
	schema.Nullable = true
	schema.Description = "Relative link to " + to + ", null when there is none."
	return schema
}

func opsapiFailure() *openapi3.Schema {
	code := openapi3.NewInt64Schema()
	code.Description = "Number of the error, unique only together with the endpoint; below 20000, the same everywhere."
	return object(map[string]*openapi3.Schema{"error_code": code, "message": why()})
}

func optimusSuccess(s *schemas, r *route.Route, d *dialect.Dialect) *openapi3.Schema {
	schema := object(map[string]*openapi3.Schema{
		"status": openapi3.NewBoolSchema().WithEnum(true),
		"code":   openapi3.NewIntegerSchema().WithEnum(d.SuccessStatus(r.RPC.FullName())),
	})
	if r.RPC.Output().Fields().Len() > 0 {
		addMember(schema, "data", s.payload(r, d))
	} else if d.NoItems(r.RPC.FullName()) {
		addMember(schema, "data", openapi3.NewArraySchema().WithItems(openapi3.NewStringSchema()).WithMaxItems(0))
	}
	return schema
}

func optimusFailure() *openapi3.Schema {
	code := openapi3.NewInt64Schema()
	code.Description = "The HTTP status."
	return object(map[string]*openapi3.Schema{"status": openapi3.NewBoolSchema().WithEnum(false), "code": code, "message": why()})
}
