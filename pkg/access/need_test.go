package access

import (
	"testing"

	"github.com/stretchr/testify/require"

	accessv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/access/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

func rightsRule(all, some []string) *accessv1.Rule {
	return &accessv1.Rule{Caller: &accessv1.Rule_Rights{Rights: &accessv1.Rights{AllOf: all, AnyOf: some}}}
}

func TestNeed(t *testing.T) {
	t.Parallel()
	enable, manage := "module:dns.enable_dns_mgmt", "module:dns.manage_dns_server"
	for _, test := range []struct {
		name    string
		rule    *accessv1.Rule
		held    []string
		missing string
	}{
		{"all of two, one held", rightsRule([]string{enable, manage}, nil), []string{enable}, manage},
		{"all of two, both held", rightsRule([]string{enable, manage}, nil), []string{manage, enable}, ""},
		{"any of two, none held", rightsRule(nil, []string{"admin", manage}), nil, "any of admin, " + manage},
		{"any of one, not held", rightsRule(nil, []string{"admin"}), nil, "admin"},
		{"any of two, one held", rightsRule(nil, []string{"admin", manage}), []string{manage}, ""},
		{"the method decides by row", rightsRule([]string{enable}, []string{manage, "row"}), []string{enable}, ""},
		{"by row, but not without the switch", rightsRule([]string{enable}, []string{manage, "row"}), []string{manage}, enable},
		{"row is nothing to be held", rightsRule([]string{"row"}, nil), nil, "row"},
		{"a menu action", &accessv1.Rule{Caller: &accessv1.Rule_MenuAction{MenuAction: "/v2/x"}}, nil, "/v2/x"},
		{"a menu action held", &accessv1.Rule{Caller: &accessv1.Rule_MenuAction{MenuAction: "/v2/x"}}, []string{"menu:/v2/x"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := needOf(test.rule, nil)
			require.Equal(t, test.missing, n.missing(Decision{Held: test.held}))
			require.NotContains(t, n.any, byRow, "row is no question for a decider")
		})
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	request := &replicationv1.PauseJobRequest{JobType: "sync", JobId: "a/../b"}
	require.Equal(t, "menu:/v2/job/sync/pause", fill("menu:/v2/job/{job_type}/pause", request))
	require.Equal(t, "user:?", fill("user:{job_id}", request), "no right is made of what a caller wrote")
	require.Equal(t, "user:{id}", fill("user:{id}", request), "a field that is not there stays a hole that nobody fills")
	require.Equal(t, "menu:/v2/{job_type}", fill("menu:/v2/{job_type}", nil))
	page := &replicationv1.ListJobsRequest{PageSize: 12}
	require.Equal(t, "application:12.view_app", fill("application:{page_size}.view_app", page))
}
