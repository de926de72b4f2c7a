package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	accessv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/access/v1"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// gate is one RPC with all ways to it.
type gate struct {
	apitest.Runner
	method protoreflect.MethodDescriptor
	rule   *accessv1.Rule
	grpc   apitest.GRPC
	http   []apitest.HTTP
}

func newGate(t *testing.T, r apitest.Runner, method protoreflect.MethodDescriptor) gate {
	t.Helper()
	rule, ok := proto.GetExtension(method.Options(), accessv1.E_Rule).(*accessv1.Rule)
	require.True(t, ok && rule.GetCaller() != nil, "it has no rule")
	name := string(method.Parent().FullName()) + "/" + string(method.Name())
	return gate{
		Runner: r, method: method, rule: rule,
		grpc: apitest.GRPC{Method: name, Request: sample.Request(method.Input())}, http: sample.Calls(method),
	}
}

func (g gate) keepsOut(t *testing.T) {
	t.Helper()
	if g.rule.GetPublic() {
		require.NotContains(t, []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented}, g.emptyHanded(t, apitest.Nobody))
		return
	}
	if g.rule.GetServices() != nil {
		for _, person := range append([]string{"admin", powerless, outsider}, strangers...) {
			g.requireRefused(t, person, codes.PermissionDenied, codes.Unauthenticated)
		}
		return
	}
	for _, stranger := range strangers {
		g.requireRefused(t, stranger, codes.Unauthenticated)
	}
	if !endSessions[g.method.FullName()] && !g.onlyOneself() {
		require.NotContains(t, []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented}, g.emptyHanded(t, "admin"), "the administrator")
	}
	if g.needsRight() {
		g.requireRefused(t, powerless, codes.PermissionDenied, codes.NotFound)
	}
	if g.namesThing() {
		g.requireRefused(t, outsider, codes.PermissionDenied, codes.NotFound)
	}
}

// emptyHanded calls the RPC with an empty request, which changes nothing.
func (g gate) emptyHanded(t *testing.T, as string) codes.Code {
	t.Helper()
	_, err := g.Invoke(t, as, apitest.GRPC{Method: g.grpc.Method})
	return status.Code(err)
}

// needsRight reports whether being signed in is not enough. What a method decides row by row is for its own tests.
func (g gate) needsRight() bool {
	rights := g.rule.GetRights()
	return g.rule.GetMenuAction() != "" || len(rights.GetAllOf()) > 0 || len(rights.GetAnyOf()) > 0 && !slices.Contains(rights.GetAnyOf(), "row")
}

// onlyOneself reports whether nobody may but the user whom the request is about: an empty request is about nobody.
func (g gate) onlyOneself() bool {
	needed := append(g.rule.GetRights().GetAllOf(), g.rule.GetRights().GetAnyOf()...)
	return len(needed) == 1 && strings.HasPrefix(needed[0], "user:")
}

// namesThing reports whether the request is about a thing that exists in one tenant: by an id, or by the tenant's name.
func (g gate) namesThing() bool {
	if ownView[g.method.FullName()] {
		return false
	}
	fields := g.method.Input().Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		if name == "id" || name == "tenant" || name == "job_id" || strings.HasSuffix(name, "_id") && fields.Get(i).Kind() == protoreflect.Int64Kind {
			return true
		}
	}
	return false
}

// httpOf are the HTTP statuses of the ways to be refused.
var httpOf = map[codes.Code]int{codes.Unauthenticated: http.StatusUnauthorized, codes.PermissionDenied: http.StatusForbidden, codes.NotFound: http.StatusNotFound}

// requireRefused calls the RPC in every way there is, and wants one of these refusals.
func (g gate) requireRefused(t *testing.T, as string, refusals ...codes.Code) {
	t.Helper()
	answer, err := g.Invoke(t, as, g.grpc)
	require.Contains(t, refusals, status.Code(err), "%s over gRPC: %v %v", as, err, answer)
	var statuses []int
	for _, refusal := range refusals {
		statuses = append(statuses, httpOf[refusal])
	}
	for _, call := range g.http {
		answer := g.Do(t, as, call)
		g.Check(t, answer)
		if strings.HasPrefix(call.Path, "/api/connector/") { // contract 001 says by the body that a call failed
			require.Contains(t, string(answer.Body), `{"stat":false`, "%s at %s %s", as, call.Method, answer.URL)
			continue
		}
		require.Contains(t, statuses, answer.Status, "%s at %s %s: %s", as, call.Method, answer.URL, answer.Body)
	}
}
