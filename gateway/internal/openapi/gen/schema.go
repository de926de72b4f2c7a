package main

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

const refPrefix = "#/components/schemas/"

// schemas makes the schemas of messages. Requests and answers have different ones: a request may leave fields out and has
// limits, an answer has every field and may have nulls.
type schemas struct {
	comments *comments
	made     openapi3.Schemas
	names    map[string]owner // what each schema is of
}

// owner is a message as one dialect prints it.
type owner struct {
	message protoreflect.FullName
	dialect string
}

// component returns the name of a message's schema, and whether it is yet to be made.
func (s *schemas) component(m protoreflect.MessageDescriptor, d *dialect.Dialect, suffix string) (name string, isNew bool) {
	own := owner{m.FullName(), d.Name}
	name = string(m.Name()) + suffix
	if taken, ok := s.names[name]; ok && taken != own {
		name = string(m.FullName()) + suffix + "." + d.Name
	}
	_, ok := s.names[name]
	s.names[name] = own
	return name, !ok
}

// answer returns the properties of a message in an answer.
func (s *schemas) answer(m protoreflect.MessageDescriptor, d *dialect.Dialect) *openapi3.Schema {
	rules := d.Rules()
	schema := openapi3.NewObjectSchema().WithoutAdditionalProperties()
	schema.Description = s.comments.message(m)
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		if rules.Hide[field.FullName()] {
			continue
		}
		names := []string{wire.Name(field)}
		if second, ok := rules.Mirrors[field.FullName()]; ok {
			names = append(names, second)
		}
		for _, name := range names {
			schema.WithPropertyRef(name, s.answerField(field, d))
			if !rules.Omits(field) {
				schema.Required = append(schema.Required, name)
			}
		}
	}
	for _, constant := range rules.Constants[m.FullName()] {
		schema.WithProperty(constant.Name, openapi3.NewStringSchema().WithEnum(constant.Text))
		schema.Required = append(schema.Required, constant.Name)
	}
	return schema
}

func (s *schemas) answerField(field protoreflect.FieldDescriptor, d *dialect.Dialect) *openapi3.SchemaRef {
	rules := d.Rules()
	var ref *openapi3.SchemaRef
	if isTime(field) {
		ref = times[d.Name]().NewRef()
	} else {
		ref = s.single(field, func(m protoreflect.MessageDescriptor) string {
			name, isNew := s.component(m, d, "")
			if isNew {
				s.made[name] = s.answer(m, d).NewRef()
			}
			return name
		})
	}
	ref = collected(field, ref)
	nullable := !rules.Omits(field) && rules.Nullable(field)
	return described(ref, s.comments.field(field, operation{}), nullable)
}

// times are the schemas of a time in the answers of each dialect.
var times = map[string]func() *openapi3.Schema{
	"dtle":    openapi3.NewDateTimeSchema,
	"openc3":  openapi3.NewStringSchema,
	"opsapi":  openapi3.NewDateTimeSchema,
	"optimus": openapi3.NewInt64Schema,
}

func isTime(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && field.Message().FullName() == "google.protobuf.Timestamp"
}

// request returns the schema of a message that is a request body. Fields that come from elsewhere, as the path, are not part of it.
func (s *schemas) request(m protoreflect.MessageDescriptor, d *dialect.Dialect, elsewhere map[string]bool, op operation) *openapi3.Schema {
	schema := openapi3.NewObjectSchema().WithoutAdditionalProperties()
	schema.Description = s.comments.message(m)
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		if elsewhere[string(field.Name())] || wire.IsMask(field) {
			continue
		}
		schema.WithPropertyRef(wire.Name(field), s.requestField(field, d, op))
		if limitsOf(field).required {
			schema.Required = append(schema.Required, wire.Name(field))
		}
		if second, ok := d.Rules().Mirrors[field.FullName()]; ok {
			addAliases(schema, map[string]string{second: wire.Name(field)})
		}
	}
	addAliases(schema, d.Names()[m.FullName()])
	return schema
}

func (s *schemas) requestField(field protoreflect.FieldDescriptor, d *dialect.Dialect, op operation) *openapi3.SchemaRef {
	ref := s.single(field, func(m protoreflect.MessageDescriptor) string {
		name, isNew := s.component(m, d, "Input")
		if isNew {
			s.made[name] = s.request(m, d, nil, op).NewRef()
		}
		return name
	})
	ref = collected(field, ref)
	if ref.Value != nil {
		limitsOf(field).apply(ref.Value)
	}
	// A null counts as left out, which a required field must not be.
	return described(ref, s.comments.field(field, op), !limitsOf(field).required)
}

// addAliases adds the second names of fields. A field that has one is not required under the first.
func addAliases(schema *openapi3.Schema, aliases map[string]string) {
	for alias, name := range aliases {
		field, ok := schema.Properties[name]
		if !ok {
			continue // it comes from the path in this call
		}
		if field.Value == nil {
			schema.WithPropertyRef(alias, field)
		} else {
			second := *field.Value
			second.Description = "Another name of " + name + "."
			schema.WithProperty(alias, &second)
		}
		schema.Required = slices.DeleteFunc(schema.Required, func(required string) bool { return required == name })
	}
}

// single returns the schema of one value of a field.
func (s *schemas) single(field protoreflect.FieldDescriptor, component func(protoreflect.MessageDescriptor) string) *openapi3.SchemaRef {
	if field.IsMap() {
		anything := openapi3.NewObjectSchema()
		anything.AdditionalProperties = openapi3.BoolSchema{Schema: s.single(field.MapValue(), component)}
		return anything.NewRef()
	}
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

// collected returns the schema of a field from that of one of its values.
func collected(field protoreflect.FieldDescriptor, ref *openapi3.SchemaRef) *openapi3.SchemaRef {
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
