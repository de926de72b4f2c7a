package route_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/gateway/internal/route"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	table, err := route.Of(
		protoreflect.FullName(authv1.SessionService_ServiceDesc.ServiceName), protoreflect.FullName(replicationv1.JobService_ServiceDesc.ServiceName))
	require.NoError(t, err)
	for _, test := range []struct{ path, method, pattern, rpc string }{
		{"/v2/login", "POST", "/v2/login", "Login"},
		{"/v2/login/captcha", "GET", "/v2/login/captcha", "CreateCaptcha"},
		{"/v2/login/captcha", "POST", "/v2/login/captcha", "CreateCaptcha"},
		{"/v2/job/sync/pause", "POST", "/v2/job/{job_type}/pause", "PauseJob"},
		{"/v2/jobs/anything", "GET", "/v2/jobs/{job_type}", "ListJobs"},
	} {
		found := table.Match(test.path)[test.method]
		require.NotNil(t, found, test.path)
		require.Equal(t, test.pattern, found.Pattern)
		require.Equal(t, test.rpc, string(found.RPC.Name()))
	}
	for _, path := range []string{"", "/", "/v2", "/v2/job", "/v2/job//pause", "/v2/job/sync", "/v2/job/sync/pause/x", "/v2/jobs", "v2//login"} {
		require.Nil(t, table.Match(path), path)
	}
	require.Equal(t, "GET, HEAD, OPTIONS, POST", table.Match("/v2/login/captcha").Allow())
	login := table.Match("/v2/login")["POST"]
	require.True(t, login.Public)
	create := table.Match("/v2/job/sync/create")["POST"]
	require.False(t, create.Public)
	require.Equal(t, []string{"job_type"}, create.Variables)
	body, err := create.BodyMessage()
	require.NoError(t, err)
	require.Equal(t, "JobConfig", string(body.Descriptor().Name()))
}

func TestWhatCannotBeServedIsRefused(t *testing.T) {
	t.Parallel()
	_, err := route.Of("opsdeck.none.v1.Service")
	require.ErrorContains(t, err, "opsdeck.none.v1.Service")
	_, err = route.Of("opsdeck.auth.v1.LoginRequest")
	require.ErrorContains(t, err, "is not a service")
	twice := protoreflect.FullName(authv1.UserService_ServiceDesc.ServiceName)
	_, err = route.Of(twice, twice)
	require.ErrorContains(t, err, "GET /v2/user/current_user is declared by")
}
