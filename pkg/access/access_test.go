package access_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	_ "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestEveryMethodHasARule(t *testing.T) {
	t.Parallel()
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(file.Package()), "opsdeck.") && !strings.HasPrefix(string(file.Package()), "opsdeck.test.") {
			files = append(files, file)
		}
		return true
	})
	methods := 0
	for _, file := range files { // not above: descriptors and rules are read by the registry, which RangeFiles locks, and withoutRule waits to write to
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				methods++
				_, err := access.RuleOf(service.Methods().Get(j))
				require.NoError(t, err)
			}
		}
	}
	require.Greater(t, methods, 10, "the contracts were found")
}

// withoutRule registers a service whose only method nobody thought about.
func withoutRule(t *testing.T, name string, options *descriptorpb.MethodOptions) string {
	t.Helper()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String(name + ".proto"), Package: proto.String("opsdeck.test." + name), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Empty")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("ForgottenService"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: proto.String("Do"), Options: options,
			InputType: proto.String(".opsdeck.test." + name + ".Empty"), OutputType: proto.String(".opsdeck.test." + name + ".Empty"),
		}}}},
	}, protoregistry.GlobalFiles)
	require.NoError(t, err)
	require.NoError(t, protoregistry.GlobalFiles.RegisterFile(file))
	return "opsdeck.test." + name + ".ForgottenService"
}

func TestMethodWithoutRuleIsRefused(t *testing.T) {
	t.Parallel()
	forgotten := withoutRule(t, "forgotten", nil)

	_, err := access.RulesOf(map[string]grpc.ServiceInfo{forgotten: {}, "grpc.health.v1.Health": {}})

	require.ErrorContains(t, err, "opsdeck.test.forgotten.ForgottenService.Do has no access rule")
	_, err = access.RulesOf(map[string]grpc.ServiceInfo{"opsdeck.test.Unknown": {}})
	require.Error(t, err, "a service that is not in the registry cannot have rules")
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	rules, err := access.RulesOf(map[string]grpc.ServiceInfo{
		authv1.SessionService_ServiceDesc.ServiceName: {}, authv1.UserService_ServiceDesc.ServiceName: {},
		replicationv1.JobService_ServiceDesc.ServiceName: {}, replicationv1.WorkerService_ServiceDesc.ServiceName: {},
	})
	require.NoError(t, err)
	var (
		nobody   authn.Principal
		admin    = authn.Principal{Tenant: "acme", User: "root", Role: authn.AdminRole}
		operator = authn.Principal{Tenant: "acme", User: "op", Role: "operator"}
		worker   = authn.Principal{Service: "replication-worker"}
		other    = authn.Principal{Service: "dns"}
	)
	for _, tc := range []struct {
		method  string
		request proto.Message
		caller  authn.Principal
		reason  string
		text    string
	}{
		{authv1.SessionService_Login_FullMethodName, nil, nobody, "", ""},
		{authv1.UserService_GetCurrentUser_FullMethodName, nil, nobody, "UNAUTHENTICATED", "log in"},
		{authv1.UserService_GetCurrentUser_FullMethodName, nil, operator, "", ""},
		{authv1.UserService_GetCurrentUser_FullMethodName, nil, worker, "FORBIDDEN", "replication-worker"},
		{replicationv1.JobService_PauseJob_FullMethodName, &replicationv1.PauseJobRequest{JobType: "sync"}, nobody, "UNAUTHENTICATED", "log in"},
		{replicationv1.JobService_PauseJob_FullMethodName, &replicationv1.PauseJobRequest{JobType: "sync"}, operator, "FORBIDDEN", "/v2/job/sync/pause"},
		{replicationv1.JobService_PauseJob_FullMethodName, &replicationv1.PauseJobRequest{JobType: "sync"}, admin, "", ""},
		{replicationv1.JobService_PauseJob_FullMethodName, nil, operator, "FORBIDDEN", "{job_type}"},
		{replicationv1.JobService_PauseJob_FullMethodName, nil, worker, "FORBIDDEN", "replication-worker"},
		{replicationv1.WorkerService_Reconcile_FullMethodName, nil, worker, "", ""},
		{replicationv1.WorkerService_Reconcile_FullMethodName, nil, other, "FORBIDDEN", "dns"},
		{replicationv1.WorkerService_Reconcile_FullMethodName, nil, admin, "FORBIDDEN", "acme:root"},
		{"/opsdeck.auth.v1.SessionService/Unknown", nil, admin, "FORBIDDEN", "no access rule"},
	} {
		t.Run(tc.method+" by "+tc.caller.Name(), func(t *testing.T) {
			t.Parallel()
			_, err := rules.Authorize(authn.WithPrincipal(context.Background(), tc.caller), nil, tc.method, tc.request)
			if tc.reason == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, fault.Is(err, tc.reason), "got %v", err)
			require.ErrorContains(t, err, tc.text)
		})
	}
}
