package access

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// everything is a Decider that grants whatever is asked for.
type everything struct{}

func (everything) Decide(_ context.Context, _ authn.Principal, rights []string) (Decision, error) {
	return Decision{Held: rights}, nil
}

func TestLimitedTokens(t *testing.T) {
	t.Parallel()
	rules, err := RulesOf(map[string]grpc.ServiceInfo{
		authv1.AccessService_ServiceDesc.ServiceName: {}, authv1.SessionService_ServiceDesc.ServiceName: {},
		authv1.UserService_ServiceDesc.ServiceName: {}, replicationv1.JobService_ServiceDesc.ServiceName: {},
	})
	require.NoError(t, err)
	reader, replicator := authn.Principal{ReadOnly: true}, authn.Principal{Scope: "dns replication"}
	for _, test := range []struct {
		caller authn.Principal
		method string
		reason string
	}{
		{reader, authv1.UserService_ListUsers_FullMethodName, ""},
		{reader, authv1.UserService_GetCurrentUser_FullMethodName, ""},
		{reader, authv1.AccessService_BatchCheck_FullMethodName, ""},
		{reader, authv1.SessionService_Login_FullMethodName, ""}, // public: not the token's doing
		{reader, authv1.UserService_DeleteUser_FullMethodName, "READ_ONLY_TOKEN"},
		{reader, replicationv1.JobService_PauseJob_FullMethodName, "READ_ONLY_TOKEN"},
		{replicator, replicationv1.JobService_PauseJob_FullMethodName, ""},
		{replicator, authv1.AccessService_BatchCheck_FullMethodName, ""},
		{replicator, authv1.SessionService_Login_FullMethodName, ""},
		{replicator, authv1.UserService_GetCurrentUser_FullMethodName, "OUT_OF_TOKEN_SCOPE"},
		{replicator, authv1.UserService_DeleteUser_FullMethodName, "OUT_OF_TOKEN_SCOPE"},
		{authn.Principal{Scope: "replication", ReadOnly: true}, replicationv1.JobService_PauseJob_FullMethodName, "READ_ONLY_TOKEN"},
	} {
		test.caller.Tenant, test.caller.User = "acme", "ann"
		_, err := rules.Authorize(authn.WithPrincipal(t.Context(), test.caller), everything{}, test.method, nil)
		if test.reason == "" {
			require.NoError(t, err, test.method)
			continue
		}
		require.True(t, fault.Is(err, test.reason), "%s: %v", test.method, err)
	}
}

func TestNeedWithinModules(t *testing.T) {
	t.Parallel()
	caller := authn.Principal{Scope: "application dns"}
	const on, edit, one, host = "module:application.enable_app_mgmt", "module:application.edit_app", "application:7.edit_app", "host:4.login_host"
	for name, test := range map[string]struct {
		need need
		want need
		ok   bool
	}{
		"nothing named":            {need{}, need{}, false},
		"one module":               {need{all: []string{on}, any: []string{edit, one}}, need{all: []string{on}, any: []string{edit, one}}, true},
		"all of two modules":       {need{all: []string{on, host}}, need{}, false},
		"any of two modules":       {need{any: []string{host, one}}, need{any: []string{one}}, true},
		"administrators":           {need{all: []string{"admin"}}, need{}, false},
		"rows of anything":         {need{any: []string{"admin"}, row: true}, need{}, false},
		"rows of the module":       {need{all: []string{on}, any: []string{"admin"}, row: true}, need{all: []string{on}, row: true}, true},
		"nothing of any is left":   {need{all: []string{on}, any: []string{host}}, need{}, false},
		"oneself":                  {need{any: []string{"user:5"}}, need{}, false},
		"menus are of no module":   {need{all: []string{"menu:/v2/nodes"}}, need{}, false},
		"points are of no module":  {need{all: []string{"point:openc3_job_write@12"}}, need{}, false},
		"another module's product": {need{any: []string{"business:3.view"}}, need{}, false},
	} {
		got, ok := test.need.within(caller.InScope)
		require.Equal(t, test.ok, ok, name)
		if ok {
			require.ElementsMatch(t, test.want.all, got.all, name)
			require.ElementsMatch(t, test.want.any, got.any, name)
			require.Equal(t, test.want.row, got.row, name)
		}
	}
}

// A token must be able to name every service.
func TestModulesHaveEveryService(t *testing.T) {
	t.Parallel()
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		files = append(files, file)
		return true
	})
	for _, file := range files { // not above: a descriptor may be read by the registry, which RangeFiles locks
		if name := file.Package(); strings.HasPrefix(string(name), "opsdeck.") && file.Services().Len() > 0 && !strings.HasPrefix(string(name), "opsdeck.test.") {
			require.Contains(t, Modules(), moduleOfPackage(name))
		}
	}
}
