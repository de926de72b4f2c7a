package e2e

import (
	"bytes"
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
	if g.letsAdministratorIn() && !endsSessions[g.method.FullName()] {
		require.NotContains(t, []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented}, g.emptyHanded(t, "admin"), "the administrator")
	}
	if g.needsRight() {
		g.requireRefused(t, powerless, codes.PermissionDenied, codes.NotFound)
	}
	if g.namesThing() && !ownView[g.method.FullName()] {
		g.requireRefused(t, outsider, codes.PermissionDenied, codes.NotFound)
	}
}

// endsSessions are the RPCs whose empty request ends sessions that others here use. That they let people in is shown by their own tests.
var endsSessions = map[protoreflect.FullName]bool{
	"opsdeck.auth.v1.CookieService.CloseSession":           true,
	"opsdeck.auth.v1.SessionService.Logout":                true,
	"opsdeck.auth.v1.SessionService.RevokeMyOtherSessions": true,
}

// emptyHanded calls the RPC with an empty request, which changes nothing.
func (g gate) emptyHanded(t *testing.T, as string) codes.Code {
	t.Helper()
	_, err := g.Invoke(t, as, apitest.GRPC{Method: g.grpc.Method})
	return status.Code(err)
}

// needsRight reports whether being signed in is not enough. What a method decides row by row, or by whom the request is about, is
// for its own tests.
func (g gate) needsRight() bool {
	rights := g.rule.GetRights()
	byRow := func(right string) bool { return right == "row" || strings.HasPrefix(right, "user:") }
	return g.rule.GetMenuAction() != "" || len(rights.GetAllOf()) > 0 || len(rights.GetAnyOf()) > 0 && !slices.ContainsFunc(rights.GetAnyOf(), byRow)
}

// letsAdministratorIn reports whether the administrator may use the RPC for anybody, and not only for himself.
func (g gate) letsAdministratorIn() bool {
	rights := g.rule.GetRights()
	forOneself := func(right string) bool { return strings.HasPrefix(right, "user:") }
	return !slices.ContainsFunc(rights.GetAllOf(), forOneself) &&
		(len(rights.GetAnyOf()) == 0 || slices.ContainsFunc(rights.GetAnyOf(), func(right string) bool { return !forOneself(right) }))
}

// namesThing reports whether the request is about a thing that exists in one tenant: by an id, or by the tenant's name.
func (g gate) namesThing() bool {
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
		require.Contains(t, statuses, statusOf(answer), "%s at %s %s: %s", as, call.Method, answer.URL, answer.Body)
	}
}

// statusOf returns the status of an answer. Contract 001 has 200 for refusals too, and says in the body what they are.
func statusOf(answer apitest.Answer) int {
	switch {
	case answer.Status != http.StatusOK:
		return answer.Status
	case bytes.HasPrefix(answer.Body, []byte(`{"stat":false,"code":10000`)):
		return http.StatusUnauthorized
	case bytes.HasPrefix(answer.Body, []byte(`{"stat":false`)):
		return http.StatusForbidden
	}
	return answer.Status
}
