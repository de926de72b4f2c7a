package access_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

// opens is a Decider for which one menu action is open to everybody, and the session "over" has ended.
type opens string

func (o opens) Decide(_ context.Context, caller authn.Principal, rights []string) (access.Decision, error) {
	if caller.Session == "over" {
		return access.Decision{}, fault.Unauthenticated("SESSION_ENDED", "over")
	}
	d := access.Decision{Scope: access.Scope{Users: []string{"acme:eve"}}}
	if slices.Contains(rights, access.MenuPrefix+string(o)) {
		d.Held = []string{access.MenuPrefix + string(o)}
	}
	return d, nil
}

func TestADeciderDecides(t *testing.T) {
	t.Parallel()
	rules, err := access.RulesOf(map[string]grpc.ServiceInfo{
		authv1.SessionService_ServiceDesc.ServiceName: {}, authv1.UserService_ServiceDesc.ServiceName: {},
		replicationv1.JobService_ServiceDesc.ServiceName: {}, replicationv1.WorkerService_ServiceDesc.ServiceName: {},
	})
	require.NoError(t, err)
	admin := authn.Principal{Tenant: "acme", User: "root", Role: authn.AdminRole}
	operator := authn.Principal{Tenant: "acme", User: "op", Role: "operator"}
	over := authn.Principal{Tenant: "acme", User: "op", Role: authn.AdminRole, Session: "over"}
	pause := func(jobType string) *replicationv1.PauseJobRequest {
		return &replicationv1.PauseJobRequest{JobType: jobType}
	}
	for _, test := range []struct {
		name, method string
		request      any
		caller       authn.Principal
		reason       string
	}{
		{"an open action", replicationv1.JobService_PauseJob_FullMethodName, pause("sync"), operator, ""},
		{"another action", replicationv1.JobService_PauseJob_FullMethodName, pause("migration"), operator, "FORBIDDEN"},
		{"an admin whose role was taken", replicationv1.JobService_PauseJob_FullMethodName, pause("migration"), admin, "FORBIDDEN"},
		{"an ended session", replicationv1.JobService_PauseJob_FullMethodName, pause("sync"), over, "SESSION_ENDED"},
		{"an ended session where being signed in is enough", authv1.UserService_GetCurrentUser_FullMethodName, nil, over, "SESSION_ENDED"},
		{"being signed in is enough", authv1.UserService_GetCurrentUser_FullMethodName, nil, operator, ""},
		{"a public method", authv1.SessionService_Login_FullMethodName, nil, over, ""},
		{"a service is no person", authv1.UserService_GetCurrentUser_FullMethodName, nil, authn.Principal{Service: "worker"}, "FORBIDDEN"},
		{"a person is no service", replicationv1.WorkerService_Reconcile_FullMethodName, nil, admin, "FORBIDDEN"},
		{"a service where services may call", replicationv1.WorkerService_Reconcile_FullMethodName, nil, authn.Principal{Service: "replication-worker"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, err := rules.Authorize(authn.WithPrincipal(context.Background(), test.caller), opens("/v2/job/sync/pause"), test.method, test.request)
			if test.reason != "" {
				require.True(t, fault.Is(err, test.reason), "%v", err)
				return
			}
			require.NoError(t, err)
			if test.caller == operator {
				require.Equal(t, []string{"acme:eve"}, access.ScopeOf(ctx).Users)
			}
		})
	}
}
