package apitest_test

import (
	"encoding/json"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

func TestSamplesAreValidRequests(t *testing.T) {
	t.Parallel()
	sample := apitest.Sample{Known: map[string]any{"username": "ann"}}
	for _, m := range []proto.Message{
		&authv1.LoginRequest{}, &authv1.CreateUserRequest{}, &authv1.CreateRoleRequest{}, &replicationv1.PauseJobRequest{},
		&replicationv1.ListJobsRequest{}, &replicationv1.ListSchemasRequest{}, &replicationv1.GetTaskStatusRequest{}, &replicationv1.ReconcileRequest{},
	} {
		text, err := json.Marshal(sample.Request(m.ProtoReflect().Descriptor()))
		require.NoError(t, err)
		require.NoError(t, protojson.Unmarshal(text, m), "%s", text)
		require.NoError(t, protovalidate.Validate(m), "%s", text)
	}
	user := sample.Request((&authv1.CreateUserRequest{}).ProtoReflect().Descriptor())
	require.Equal(t, "ann", user["username"])
	require.Equal(t, "x", user["tenant"])
}

func TestCallsOfAMethod(t *testing.T) {
	t.Parallel()
	method := func(file protoreflect.FileDescriptor, service, name protoreflect.Name) protoreflect.MethodDescriptor {
		return file.Services().ByName(service).Methods().ByName(name)
	}
	sample := apitest.Sample{Known: map[string]any{"job_type": "sync", "job_id": 7}}
	jobs := replicationv1.File_opsdeck_replication_v1_jobs_proto
	require.Equal(t, []apitest.HTTP{{Method: "POST", Path: "/v2/job/sync/pause", JSON: map[string]any{"job_id": "7"}}},
		sample.Calls(method(jobs, "JobService", "PauseJob")))
	require.Equal(t, []apitest.HTTP{{Method: "GET", Path: "/v2/job/sync/detail", Query: map[string]string{"job_id": "7"}}},
		sample.Calls(method(jobs, "JobService", "GetJob")))
	create := sample.Calls(method(jobs, "JobService", "CreateJob"))
	require.Equal(t, "/v2/job/sync/create", create[0].Path)
	require.Contains(t, create[0].JSON, "src_task", "the body is one field of the request")
	require.Len(t, sample.Calls(method(authv1.File_opsdeck_auth_v1_sessions_proto, "SessionService", "CreateCaptcha")), 2, "one for each address")
	require.Empty(t, sample.Calls(method(authv1.File_opsdeck_auth_v1_keys_proto, "KeyService", "ListSigningKeys")))
}
