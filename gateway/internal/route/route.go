// Package route knows every HTTP call that the services' .proto files declare: its path, its RPC and who may call it.
package route

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/opsdeck/opsdeck/pkg/access"
)

// Route is one HTTP call.
type Route struct {
	Method    string // HTTP method
	Pattern   string // path with variables in braces, without a trailing slash
	Variables []string
	RPC       protoreflect.MethodDescriptor
	Input     protoreflect.MessageType // request message of the RPC
	Body      string                   // field that the HTTP body becomes, "*" for the whole request, "" for none
	Response  string                   // field of the answer that is all of the HTTP answer, "" for the whole message
	Public    bool                     // may be called without a token
	order     []rank                   // of the segments of the pattern
}

// BodyMessage returns a new message of the type that the HTTP body becomes; for a body that is a list, of its elements.
func (r *Route) BodyMessage() (protoreflect.Message, error) {
	request := r.Input.New()
	if r.Body == "" || r.Body == "*" {
		return request, nil
	}
	field := request.Descriptor().Fields().ByName(protoreflect.Name(r.Body))
	switch {
	case field == nil || field.Message() == nil || field.IsMap():
		return nil, fmt.Errorf("%s: the HTTP body %q is neither a message field nor a list of messages", r.RPC.FullName(), r.Body)
	case field.IsList():
		return request.NewField(field).List().NewElement().Message(), nil
	}
	return request.NewField(field).Message(), nil
}

// ListBody returns the field of the request that an HTTP body is the elements of; nil when the body is an object or there is none.
func (r *Route) ListBody() protoreflect.FieldDescriptor {
	field := r.Input.Descriptor().Fields().ByName(protoreflect.Name(r.Body))
	if field == nil || !field.IsList() {
		return nil
	}
	return field
}

// ResponseField returns the field of the answer that is all of the HTTP answer; nil when that is the whole message.
func (r *Route) ResponseField() protoreflect.FieldDescriptor {
	return r.RPC.Output().Fields().ByName(protoreflect.Name(r.Response))
}

// Table finds routes by path.
type Table struct {
	root   node
	routes []*Route
}

// Routes returns all routes in the order of the services, methods and bindings that declare them.
func (t *Table) Routes() []*Route { return t.routes }

// Of collects the routes of services by their full names. Two routes with equal method and path are an error, and so is a
// route that cannot be served.
func Of(services ...protoreflect.FullName) (*Table, error) {
	t := &Table{}
	var failures []error
	for _, name := range services {
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
		service, ok := descriptor.(protoreflect.ServiceDescriptor)
		if !ok {
			return nil, fmt.Errorf("%s is not a service", name)
		}
		for i := range service.Methods().Len() {
			failures = append(failures, t.addRPC(service.Methods().Get(i)))
		}
	}
	return t, errors.Join(append(failures, t.checkOrder())...)
}

func (t *Table) addRPC(method protoreflect.MethodDescriptor) error {
	rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil {
		return nil
	}
	caller, err := access.RuleOf(method)
	if err != nil {
		return err
	}
	input, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
	if err != nil {
		return fmt.Errorf("%s: %w", method.FullName(), err)
	}
	for _, binding := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
		verb, path := pattern(binding)
		r := &Route{
			Method: verb, Pattern: strings.TrimRight(path, "/"), RPC: method, Input: input,
			Body: binding.GetBody(), Response: binding.GetResponseBody(), Public: caller.GetPublic(),
		}
		if err := t.add(r); err != nil {
			return err
		}
	}
	return nil
}

func pattern(rule *annotations.HttpRule) (method, path string) {
	switch p := rule.GetPattern().(type) {
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
	case *annotations.HttpRule_Custom:
		return p.Custom.GetKind(), p.Custom.GetPath()
	}
	return "", ""
}

func (t *Table) add(r *Route) error {
	if _, err := r.BodyMessage(); err != nil {
		return err
	}
	if r.Response != "" && r.ResponseField() == nil {
		return fmt.Errorf("%s: its answer has no field %q", r.RPC.FullName(), r.Response)
	}
	at := &t.root
	for _, segment := range segments(r.Pattern) {
		name, isVariable := strings.CutPrefix(segment, "{")
		if !isVariable {
			r.order = append(r.order, literal)
			at = at.child(segment)
			continue
		}
		name = strings.TrimSuffix(name, "}")
		field := r.Input.Descriptor().Fields().ByName(protoreflect.Name(name))
		if field == nil {
			return fmt.Errorf("%s: its request has no field %q for the path", r.RPC.FullName(), name)
		}
		if kind := field.Kind(); kind != protoreflect.Int64Kind && kind != protoreflect.StringKind || field.IsList() {
			return fmt.Errorf("%s: %q cannot be in the path: it is neither an int64 nor a string", r.RPC.FullName(), name)
		}
		r.Variables = append(r.Variables, name)
		isNumber := field.Kind() == protoreflect.Int64Kind
		if isNumber {
			r.order = append(r.order, number)
		} else {
			r.order = append(r.order, anyText)
		}
		at = at.open(isNumber)
	}
	if taken := at.methods[r.Method]; taken != nil {
		return fmt.Errorf("%s %s is declared by %s and by %s", r.Method, r.Pattern, taken.RPC.FullName(), r.RPC.FullName())
	}
	if at.methods == nil {
		at.methods = map[string]*Route{}
	}
	at.methods[r.Method] = r
	t.routes = append(t.routes, r)
	return nil
}
