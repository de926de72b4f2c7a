package main

import (
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// limits are the validation rules of a field that OpenAPI can say.
type limits struct {
	required bool
	apply    func(schema *openapi3.Schema)
}

func limitsOf(field protoreflect.FieldDescriptor) limits {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	l := limits{required: rules.GetRequired(), apply: func(*openapi3.Schema) {}}
	switch {
	case rules.GetString() != nil:
		text := rules.GetString()
		l.apply = func(schema *openapi3.Schema) { limitText(schema, text) }
		zeroAllowed := text.GetMinLen() == 0 && (len(text.GetIn()) == 0 || slices.Contains(text.GetIn(), ""))
		l.required = l.required || !zeroAllowed && !field.HasPresence()
	case rules.GetInt32() != nil:
		number := rules.GetInt32()
		l.apply = func(schema *openapi3.Schema) { limitNumber(schema, number) }
		l.required = l.required || number.HasGte() && number.GetGte() > 0 && !field.HasPresence()
	case rules.GetRepeated() != nil && rules.GetRepeated().HasMaxItems():
		most := rules.GetRepeated().GetMaxItems()
		l.apply = func(schema *openapi3.Schema) { schema.MaxItems = &most }
	case rules.GetBool() != nil && rules.GetBool().HasConst():
		only := rules.GetBool().GetConst()
		l.apply = func(schema *openapi3.Schema) { schema.Enum = []any{only} }
	}
	return l
}

func limitText(schema *openapi3.Schema, rules *validate.StringRules) {
	schema.MinLength = rules.GetMinLen()
	if rules.HasMaxLen() {
		most := rules.GetMaxLen()
		schema.MaxLength = &most
	}
	schema.Pattern = rules.GetPattern()
	for _, word := range rules.GetIn() {
		schema.Enum = append(schema.Enum, word)
	}
}

func limitNumber(schema *openapi3.Schema, rules *validate.Int32Rules) {
	if rules.HasGte() {
		schema.WithMin(float64(rules.GetGte()))
	}
	if rules.HasLte() {
		schema.WithMax(float64(rules.GetLte()))
	}
}
