// Package access decides whether a caller may use an RPC, by the rule that the RPC declares in its .proto file.
package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

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

// Rules holds every method of a server by its full name ("/package.Service/Method").
type Rules map[string]Method

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
		maps.Copy(rules, found)
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
			rules[full] = Method{rule: &accessv1.Rule{Caller: &accessv1.Rule_Public{Public: true}}}
			continue
		}
		rule, err := RuleOf(method)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		rules[full] = Method{rule: rule, reads: reads(method), module: moduleOfPackage(method.ParentFile().Package())}
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
	case *accessv1.Rule_Rights:
		return len(caller.Rights.GetAllOf())+len(caller.Rights.GetAnyOf()) > 0
	}
	return false
}

// Authorize checks the caller in ctx against the rule of a method and returns the context for the method, which carries the
// decision. The request is nil for a stream that has not sent one yet. Without a decider a token is believed until it expires, and
// only the role admin holds rights. Errors: UNAUTHENTICATED, FORBIDDEN, READ_ONLY_TOKEN, OUT_OF_TOKEN_SCOPE, and those of the decider.
func (r Rules) Authorize(ctx context.Context, decider Decider, method string, request any) (context.Context, error) {
	declared, ok := r[method]
	rule := declared.rule
	if !ok {
		return ctx, fault.Denied("FORBIDDEN", "method %s has no access rule", method)
	}
	if rule.GetPublic() {
		return ctx, nil
	}
	caller := authn.FromContext(ctx)
	if caller.Name() == "" {
		return ctx, fault.Unauthenticated("UNAUTHENTICATED", "permission denied: please log in")
	}
	if want, ok := rule.GetCaller().(*accessv1.Rule_Services); ok && slices.Contains(want.Services.GetNames(), caller.Service) {
		return ctx, nil
	}
	if caller.Service != "" || rule.GetServices() != nil {
		return ctx, fault.Denied("FORBIDDEN", "%s may not call %s", caller.Name(), method)
	}
	need, err := declared.limited(caller, method, needOf(rule, request))
	if err != nil {
		return ctx, err
	}
	decision, err := decide(ctx, decider, caller, need.rights())
	if err != nil {
		return ctx, err
	}
	if missing := need.missing(decision); missing != "" {
		return ctx, fault.Denied("FORBIDDEN", "%s may not use %s", caller.Name(), missing)
	}
	return WithDecision(ctx, decision), nil
}

func decide(ctx context.Context, decider Decider, caller authn.Principal, rights []string) (Decision, error) {
	if decider != nil {
		return decider.Decide(ctx, caller, rights)
	}
	if caller.Role != authn.AdminRole {
		return Decision{Scope: Scope{EveryTenant: caller.IsPlatform()}}, nil
	}
	held := slices.DeleteFunc(slices.Clone(rights), func(right string) bool { return right == PlatformRight && !caller.IsPlatform() })
	return Decision{Held: held, Scope: Scope{All: true, EveryTenant: caller.IsPlatform()}}, nil
}
