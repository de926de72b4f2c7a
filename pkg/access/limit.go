package access

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/access/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Method is what a method says about who may call it.
type Method struct {
	rule   *accessv1.Rule
	reads  bool   // it changes nothing
	module string // that it belongs to
}

// modules are what the scope of a token can be made of: the services, and the modules of contract 002 (conventions.permissions)
// where a service has several.
var modules = []string{
	"application", "auth", "common_tools", "deploy_template", "dns", "navigator", "replication", "resource", "resource_request",
}

// Modules lists the names of modules in alphabetical order.
func Modules() []string { return slices.Clone(modules) }

// limited returns what a request wants of a caller whose token may be limited. It refuses what the token is not good for, whatever
// its user may do: READ_ONLY_TOKEN, OUT_OF_TOKEN_SCOPE.
func (m Method) limited(caller authn.Principal, name string, n need) (need, error) {
	if caller.ReadOnly && !m.reads {
		return n, fault.Denied("READ_ONLY_TOKEN", "%s changes something, and the token may only read", name).Chinese("该令牌只读，不能调用 %s", name)
	}
	if m.rule.GetAnyScope() || caller.InScope(m.module) {
		return n, nil
	}
	if narrow, ok := n.within(caller.InScope); ok {
		return narrow, nil
	}
	return n, fault.Denied("OUT_OF_TOKEN_SCOPE", "%s does not belong to the modules of the token (%s)", name, caller.Scope).
		Chinese("%s 不属于该令牌的模块（%s）", name, caller.Scope)
}

// within returns the need as a token must meet it that is good for some modules only, at a method of a service that is none of them:
// by rights of those modules. It is false when there is no way to.
func (n need) within(scope func(module string) bool) (need, bool) {
	outside := func(right string) bool { return !scope(moduleOfRight(right)) }
	if slices.ContainsFunc(n.all, outside) {
		return n, false
	}
	some := slices.DeleteFunc(slices.Clone(n.any), outside)
	if len(n.all) > 0 {
		return need{all: n.all, any: some, row: n.row}, n.row || len(some) > 0 || len(n.any) == 0
	}
	return need{any: some}, len(some) > 0
}

// moduleOfRight returns the module that a right belongs to; "" for none.
func moduleOfRight(right string) string {
	kind, rest, _ := strings.Cut(right, ":")
	switch kind {
	case "module":
		module, _, _ := strings.Cut(rest, ".")
		return module
	case "application":
		return "application"
	case "host", "business":
		return "resource"
	}
	return ""
}

// moduleOfPackage returns the service in the name of a package: dns of opsdeck.dns.v1.
func moduleOfPackage(name protoreflect.FullName) string { return string(name.Parent().Name()) }

// reads reports whether a method says that it changes nothing: by its option, or because HTTP gets it.
func reads(method protoreflect.MethodDescriptor) bool {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	if options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
		return true
	}
	rule, _ := proto.GetExtension(options, annotations.E_Http).(*annotations.HttpRule)
	return rule.GetGet() != ""
}
