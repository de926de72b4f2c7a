// Package access decides whether a caller may use an RPC, by the rule that the RPC declares in its .proto file.
package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	accessv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/access/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// standard lists the services of gRPC itself, which carry no rule of ours: health and reflection show nothing private.
var standard = []protoreflect.FullName{
	"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
}

// Rules holds the rule of every method of a server, by full method name ("/package.Service/Method").
type Rules map[string]*accessv1.Rule

// RulesOf collects the rules of all methods that a server serves. It fails when a method has none: a method nobody thought
// about must not be reachable.
func RulesOf(services map[string]grpc.ServiceInfo) (Rules, error) {
	rules := Rules{}
	var missing []error
	for name := range services {
		found, err := serviceRules(protoreflect.FullName(name))
		if err != nil {
			missing = append(missing, err)
			continue
		}
		for method, rule := range found {
			rules[method] = rule
		}
	}
	return rules, errors.Join(missing...)
}

func serviceRules(name protoreflect.FullName) (Rules, error) {
	rules := Rules{}
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", name, err)
	}
	service, ok := descriptor.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is not a service", name)
	}
	var missing []error
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		full := fmt.Sprintf("/%s/%s", name, method.Name())
		if slices.Contains(standard, name) {
			rules[full] = &accessv1.Rule{Caller: &accessv1.Rule_Public{Public: true}}
			continue
		}
		rule, err := RuleOf(method)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		rules[full] = rule
	}
	return rules, errors.Join(missing...)
}

// RuleOf returns the rule that a method declares, or an error when it declares none or an empty one.
func RuleOf(method protoreflect.MethodDescriptor) (*accessv1.Rule, error) {
	rule, ok := proto.GetExtension(method.Options(), accessv1.E_Rule).(*accessv1.Rule)
	if !ok || !says(rule) {
		return nil, fmt.Errorf("method %s has no access rule: add option (opsdeck.access.v1.rule)", method.FullName())
	}
	return rule, nil
}

func says(rule *accessv1.Rule) bool {
	switch caller := rule.GetCaller().(type) {
	case *accessv1.Rule_Public:
		return caller.Public
	case *accessv1.Rule_SignedIn:
		return caller.SignedIn
	case *accessv1.Rule_MenuAction:
		return caller.MenuAction != ""
	case *accessv1.Rule_Services:
		return len(caller.Services.GetNames()) > 0
	}
	return false
}

// Authorize checks the caller in ctx against the rule of a method. The request is nil for a stream that has not sent one
// yet. Errors: UNAUTHENTICATED and FORBIDDEN.
func (r Rules) Authorize(ctx context.Context, method string, request any) error {
	rule, ok := r[method]
	if !ok {
		return fault.Denied("FORBIDDEN", "method %s has no access rule", method)
	}
	if rule.GetPublic() {
		return nil
	}
	caller := authn.FromContext(ctx)
	if caller.Name() == "" {
		return fault.Unauthenticated("UNAUTHENTICATED", "permission denied: please log in")
	}
	switch want := rule.GetCaller().(type) {
	case *accessv1.Rule_SignedIn:
		if caller.Service == "" {
			return nil
		}
	case *accessv1.Rule_Services:
		if slices.Contains(want.Services.GetNames(), caller.Service) {
			return nil
		}
	case *accessv1.Rule_MenuAction:
		if caller.Service == "" && caller.Role == authn.AdminRole {
			return nil
		}
		return fault.Denied("FORBIDDEN", "%s may not use %s", caller.Name(), action(want.MenuAction, request))
	}
	return fault.Denied("FORBIDDEN", "%s may not call %s", caller.Name(), method)
}

// action fills the fields in braces of a menu action with the values of the request.
func action(pattern string, request any) string {
	message, ok := request.(proto.Message)
	if !ok {
		return pattern
	}
	m := message.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Kind() == protoreflect.StringKind && !field.IsList() {
			pattern = strings.ReplaceAll(pattern, "{"+string(field.Name())+"}", m.Get(field).String())
		}
	}
	return pattern
}
