package main

import (
	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// envelope is how a dialect wraps answers and errors.
type envelope struct {
	success func(s *schemas, d protoreflect.MessageDescriptor, rules wire.Rules) *openapi3.Schema
	failure func() *openapi3.Schema
}

// envelopes has an entry for each dialect that has calls.
var envelopes = map[string]envelope{
	"dtle": {success: dtleSuccess, failure: dtleFailure},
}

func dtleSuccess(s *schemas, d protoreflect.MessageDescriptor, rules wire.Rules) *openapi3.Schema {
	payload := s.answer(d, rules)
	done := openapi3.NewStringSchema().WithEnum("ok")
	if dialect.DTLEWraps(d.FullName()) {
		wrapped := openapi3.NewObjectSchema().WithoutAdditionalProperties().WithProperty("message", done).WithProperty("data", payload)
		wrapped.Required = []string{"message", "data"}
		return wrapped
	}
	if d.Fields().ByName("message") == nil {
		payload.WithProperty("message", done)
		payload.Required = append(payload.Required, "message")
	}
	return payload
}

func dtleFailure() *openapi3.Schema {
	why := openapi3.NewStringSchema()
	why.Description = "What was wrong, where, and what to do."
	schema := openapi3.NewObjectSchema().WithoutAdditionalProperties().WithProperty("message", why)
	schema.Required = []string{"message"}
	return schema
}
