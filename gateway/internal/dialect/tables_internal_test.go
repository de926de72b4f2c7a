package dialect

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/route"
	trialv1 "github.com/opsdeck/opsdeck/gateway/internal/trial/v1"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

const trial protoreflect.FullName = "trial.v1.TrialService"

func TestNumbersBelongToAnEndpoint(t *testing.T) {
	t.Parallel()
	numbers := numbersOf{trial + ".AddRoles": {"GRANT_DENIED": {30002, http.StatusBadRequest}}}
	for _, test := range []struct {
		rpc    protoreflect.FullName
		fault  *fault.Fault
		status int
		code   int64
	}{
		{trial + ".AddRoles", fault.Denied("GRANT_DENIED", "no"), 400, 30002},
		{trial + ".AddRoles", fault.Denied("FORBIDDEN", "no"), 403, 10003},
		{trial + ".RemoveRoles", fault.Denied("GRANT_DENIED", "no"), 403, 10003},
		{"", fault.Denied("GRANT_DENIED", "no"), 403, 10003},
		{trial + ".AddRoles", fault.Exhausted("TOO_MANY", "no"), 429, 10000},
	} {
		require.Equal(t, numbered{test.code, test.status}, numbers.of(failed{Fault: test.fault, status: Status(test.fault), rpc: test.rpc}), "%+v", test)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	d := *optimus
	d.outcomes = map[protoreflect.FullName]outcome{trial + ".AddRoles": {status: http.StatusCreated, noItems: true}}
	methods := trialv1.File_trial_v1_trial_proto.Services().ByName("TrialService").Methods()
	for name, want := range map[protoreflect.Name]string{
		"AddRoles": `{"status":true,"code":201,"data":[]}`, "RemoveRoles": `{"status":true,"code":200}`,
	} {
		got, err := d.Success(Answer{Message: (&trialv1.AddRolesResponse{}).ProtoReflect(), Route: &route.Route{RPC: methods.ByName(name)}})
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	require.Equal(t, http.StatusCreated, d.SuccessStatus(trial+".AddRoles"))
	require.Equal(t, http.StatusOK, d.SuccessStatus(trial+".RemoveRoles"))
}

func TestFieldsThatARoutePicks(t *testing.T) {
	t.Parallel()
	methods := trialv1.File_trial_v1_trial_proto.Services().ByName("TrialService").Methods()
	users := Answer{
		Message: (&trialv1.ListRoleUsersResponse{Users: []*trialv1.User{{Id: 1}}}).ProtoReflect(),
		Route:   &route.Route{RPC: methods.ByName("ListRoleUsers"), Response: "users"},
	}
	const list = `[{"id":1,"name":"","phone":null,"permission":{}}]`
	for _, test := range []struct {
		dialect *Dialect
		want    string
	}{
		{opsapi, list},
		{openc3, `{"stat":true,"data":` + list + `}`},
		{optimus, `{"status":true,"code":200,"data":` + list + `}`},
	} {
		got, err := test.dialect.Success(users)
		require.NoError(t, err)
		require.Equal(t, test.want, string(got))
	}
}

// FuzzPage proves that page parameters are refused or mean a page that exists in both directions of its links.
func FuzzPage(f *testing.F) {
	for _, query := range []string{"", "page=1", "page=0", "page=-1&page_size=5", "page=2147483647&page_size=100", "page_size=101", "page=1e3", "page=%00", "name=a%26b&page=2"} {
		f.Add(query, int64(25))
	}
	table, err := route.Of(trial)
	require.NoError(f, err)
	list := table.Match("/users")[http.MethodGet]
	f.Fuzz(func(t *testing.T, raw string, rows int64) {
		query, err := url.ParseQuery(raw)
		if err != nil || rows < 0 {
			return
		}
		message := &trialv1.ListUsersRequest{}
		if err := (wire.Request{}).DecodeValues(query, "query parameter", message.ProtoReflect()); err != nil {
			return
		}
		page, err := opsapi.Page(list, &url.URL{Path: "/users"}, query)
		if err != nil {
			require.True(t, query.Has("page") || query.Has("page_size"))
			return
		}
		require.False(t, query.Has("page") && message.GetPage() < 1 || message.GetPageSize() < 0 || message.GetPageSize() > MaxPageSize)
		links := string(page.appendLinks(nil, rows))
		require.Equal(t, strings.Contains(links, `"prev":null`), page.number == 1, links)
		require.Equal(t, !strings.Contains(links, `"next":null`), (page.number-1)*page.size+page.size < rows, links)
		require.NotContains(t, links, "page=0")
	})
}
