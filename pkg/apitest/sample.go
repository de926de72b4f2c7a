package apitest

import (
	"fmt"
	"net/http"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Sample makes requests of any RPC, good enough that the answer depends on who asks and not on how.
type Sample struct {
	// Known has values for fields by their names in the .proto file, wherever they are, or by their full names. The others get one
	// that their validation rules allow.
	Known map[string]any
}

// maxDepth bounds messages that contain themselves.
const maxDepth = 5

// Request returns a request message as JSON: as protojson reads it, and the gateway.
func (s Sample) Request(m protoreflect.MessageDescriptor) map[string]any { return s.message(m, 0) }

func (s Sample) message(m protoreflect.MessageDescriptor, depth int) map[string]any {
	object := map[string]any{}
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		if oneof := field.ContainingOneof(); oneof != nil && oneof.Fields().Get(0) != field {
			continue
		}
		if value := s.field(field, depth); value != nil {
			object[jsonName(field)] = value
		}
	}
	return object
}

// field returns a value for a field; nil for none.
func (s Sample) field(field protoreflect.FieldDescriptor, depth int) any {
	known, ok := s.Known[string(field.FullName())]
	if !ok {
		known, ok = s.Known[string(field.Name())]
	}
	if ok {
		if field.Kind() == protoreflect.StringKind && !field.IsList() {
			return fmt.Sprint(known) // an id may be a number here and a text there
		}
		return known
	}
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	if field.IsMap() {
		return map[string]any{}
	}
	if field.IsList() {
		if element := s.value(field, rules.GetRepeated().GetItems(), depth); element != nil {
			return []any{element}
		}
		return nil
	}
	return s.value(field, rules, depth)
}

func (s Sample) value(field protoreflect.FieldDescriptor, rules *validate.FieldRules, depth int) any {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return !rules.GetBool().HasConst() || rules.GetBool().GetConst()
	case protoreflect.StringKind:
		return text(rules.GetString())
	case protoreflect.BytesKind:
		return ""
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		return string(values.Get(values.Len() - 1).Name())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return s.nested(field.Message(), depth)
	}
	return max(1, rules.GetInt32().GetGte(), int32(rules.GetInt64().GetGte()))
}

func (s Sample) nested(m protoreflect.MessageDescriptor, depth int) any {
	switch {
	case m.FullName() == "google.protobuf.Timestamp":
		return "2026-01-01T00:00:00Z"
	case m.FullName() == "google.protobuf.Duration":
		return "1s"
	case m.FullName() == "google.protobuf.FieldMask", depth == maxDepth:
		return nil
	}
	return s.message(m, depth+1)
}

func text(rules *validate.StringRules) string {
	switch {
	case rules.HasConst():
		return rules.GetConst()
	case len(rules.GetIn()) > 0:
		return rules.GetIn()[len(rules.GetIn())-1]
	case rules.GetEmail():
		return "nobody@example.com"
	case rules.GetUri():
		return "http://127.0.0.1:1/"
	case rules.GetUuid():
		return "00000000-0000-4000-8000-000000000000"
	case rules.GetIp(), rules.GetIpv4():
		return "192.0.2.1"
	}
	return strings.Repeat("x", int(max(1, rules.GetMinLen(), rules.GetLen())))
}

// jsonName returns the name of a field in JSON: the one in the .proto file, unless that sets another with json_name.
func jsonName(field protoreflect.FieldDescriptor) string {
	name := string(field.Name())
	if strings.EqualFold(strings.ReplaceAll(name, "_", ""), field.JSONName()) && strings.Contains(name, "_") {
		return name
	}
	return field.JSONName()
}

// Calls returns the HTTP calls of a method, one for each of its addresses. A method without any has none.
func (s Sample) Calls(method protoreflect.MethodDescriptor) []HTTP {
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if rule == nil {
		return nil
	}
	var calls []HTTP
	for _, binding := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		calls = append(calls, s.call(method, binding))
	}
	return calls
}

func (s Sample) call(method protoreflect.MethodDescriptor, binding *annotations.HttpRule) HTTP {
	request := s.Request(method.Input())
	verb, path := address(binding)
	var parts []string
	for _, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			field := method.Input().Fields().ByName(protoreflect.Name(strings.TrimSuffix(name, "}")))
			part = fmt.Sprint(request[jsonName(field)])
			delete(request, jsonName(field))
		}
		parts = append(parts, part)
	}
	call := HTTP{Method: verb, Path: strings.Join(parts, "/")}
	switch body := binding.GetBody(); body {
	case "*":
		call.JSON = request
	case "":
		call.Query = map[string]string{}
		for name, value := range request {
			switch value.(type) {
			case string, bool, int32:
				call.Query[name] = fmt.Sprint(value)
			}
		}
	default:
		call.JSON = request[jsonName(method.Input().Fields().ByName(protoreflect.Name(body)))]
	}
	return call
}

func address(binding *annotations.HttpRule) (method, path string) {
	switch p := binding.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		return http.MethodPost, p.Post
	case *annotations.HttpRule_Put:
		return http.MethodPut, p.Put
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, p.Patch
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, p.Delete
	}
	return binding.GetCustom().GetKind(), binding.GetCustom().GetPath()
}
