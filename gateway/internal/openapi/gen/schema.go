package main

import (
	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

const refPrefix = "#/components/schemas/"

// schemas makes the schemas of messages. Requests and answers have different ones: a request may leave fields out and has
// limits, an answer has every field and may have nulls.
type schemas struct {
	comments *comments
	made     openapi3.Schemas
	names    map[string]protoreflect.FullName // which message each schema is of
}

// component returns the name of a message's schema, and whether it is yet to be made.
func (s *schemas) component(d protoreflect.MessageDescriptor, suffix string) (name string, isNew bool) {
	name = string(d.Name()) + suffix
	if taken, ok := s.names[name]; ok && taken != d.FullName() {
		name = string(d.FullName()) + suffix
	}
	_, ok := s.names[name]
	s.names[name] = d.FullName()
	return name, !ok
}

// answer returns the properties of a message in an answer.
func (s *schemas) answer(d protoreflect.MessageDescriptor, rules wire.Rules) *openapi3.Schema {
	schema := openapi3.NewObjectSchema().WithoutAdditionalProperties()
	schema.Description = s.comments.message(d)
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		if rules.Hide[field.FullName()] {
			continue
		}
		name := wire.Name(field)
		schema.WithPropertyRef(name, s.answerField(field, rules))
		if !rules.Omits(field) {
			schema.Required = append(schema.Required, name)
		}
	}
	for _, constant := range rules.Constants[d.FullName()] {
		schema.WithProperty(constant.Name, openapi3.NewStringSchema().WithEnum(constant.Text))
		schema.Required = append(schema.Required, constant.Name)
	}
	return schema
}

func (s *schemas) answerField(field protoreflect.FieldDescriptor, rules wire.Rules) *openapi3.SchemaRef {
	ref := s.single(field, func(d protoreflect.MessageDescriptor) string {
		name, isNew := s.component(d, "")
		if isNew {
			s.made[name] = s.answer(d, rules).NewRef()
		}
		return name
	})
	ref = listed(field, ref)
	nullable := !rules.Omits(field) && rules.Nullable(field)
	return described(ref, s.comments.field(field, operation{}), nullable)
}

// request returns the schema of a message that is a request body. Fields that come from the path are not part of it.
func (s *schemas) request(d protoreflect.MessageDescriptor, variables map[string]bool, op operation) *openapi3.Schema {
	schema := openapi3.NewObjectSchema().WithoutAdditionalProperties()
	schema.Description = s.comments.message(d)
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		if variables[string(field.Name())] {
			continue
		}
		schema.WithPropertyRef(wire.Name(field), s.requestField(field, op))
		if limitsOf(field).required {
			schema.Required = append(schema.Required, wire.Name(field))
		}
	}
	return schema
}

func (s *schemas) requestField(field protoreflect.FieldDescriptor, op operation) *openapi3.SchemaRef {
	ref := s.single(field, func(d protoreflect.MessageDescriptor) string {
		name, isNew := s.component(d, "Input")
		if isNew {
			s.made[name] = s.request(d, nil, op).NewRef()
		}
		return name
	})
	ref = listed(field, ref)
	if ref.Value != nil {
		limitsOf(field).apply(ref.Value)
	}
	// A null counts as left out, which a required field must not be.
	return described(ref, s.comments.field(field, op), !limitsOf(field).required)
}

// single returns the schema of one value of a field.
func (s *schemas) single(field protoreflect.FieldDescriptor, component func(protoreflect.MessageDescriptor) string) *openapi3.SchemaRef {
	if d := field.Message(); d != nil {
		switch d.FullName() {
		case "google.protobuf.Timestamp":
			return openapi3.NewDateTimeSchema().NewRef()
		case "google.protobuf.Duration":
			return openapi3.NewStringSchema().NewRef()
		}
		return openapi3.NewSchemaRef(refPrefix+component(d), nil)
	}
	return scalarSchema(field).NewRef()
}

func scalarSchema(field protoreflect.FieldDescriptor) *openapi3.Schema {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return openapi3.NewBoolSchema()
	case protoreflect.StringKind:
		return openapi3.NewStringSchema()
	case protoreflect.BytesKind:
		return openapi3.NewBytesSchema()
	case protoreflect.EnumKind:
		schema := openapi3.NewStringSchema()
		for i := range field.Enum().Values().Len() {
			schema.Enum = append(schema.Enum, string(field.Enum().Values().Get(i).Name()))
		}
		return schema
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return openapi3.NewFloat64Schema()
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return openapi3.NewInt32Schema()
	}
	return openapi3.NewInt64Schema()
}

func listed(field protoreflect.FieldDescriptor, ref *openapi3.SchemaRef) *openapi3.SchemaRef {
	if !field.IsList() {
		return ref
	}
	list := openapi3.NewArraySchema()
	list.Items = ref
	return list.NewRef()
}

// described adds a comment and null. A reference cannot carry either, so that it is wrapped then.
func described(ref *openapi3.SchemaRef, comment string, nullable bool) *openapi3.SchemaRef {
	if ref.Ref != "" {
		if comment == "" && !nullable {
			return ref
		}
		ref = (&openapi3.Schema{AllOf: openapi3.SchemaRefs{ref}}).NewRef()
	}
	ref.Value.Description, ref.Value.Nullable = comment, nullable
	return ref
}
