package dialect_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
	"github.com/opsdeck/opsdeck/gateway/internal/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// paths has one path of each dialect.
var paths = map[string]string{
	"dtle": "/v2/nodes", "openc3": "/api/job/approval", "opsapi": "/applications/1/", "optimus": "/api/ericic/v1/record",
}

func TestPathsBelongToDialects(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/v2": "dtle", "/v2/login": "dtle", "/": "dtle", "/v20": "dtle", "/nothing": "dtle",
		"/api/job": "openc3", "/api/job/slave/x": "openc3", "/api/agent/region": "openc3", "/api/connector/config": "openc3",
		"/api/jobs": "dtle", "/application/1": "opsapi", "/applications": "opsapi", "/hosts/1/actions": "opsapi",
		"/dns-services": "opsapi", "/users/1": "opsapi", "/audit/dns-operations": "opsapi", "/auth-tokens": "opsapi",
		"/api/v1/login": "optimus", "/api/ericic/v1": "optimus", "/api/v2": "dtle",
	} {
		require.Equal(t, want, dialect.Of(path).Name, path)
	}
	require.Len(t, dialect.All(), len(paths))
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	jwt := dialect.Credential{Kind: dialect.JWT, Value: "a.b.c"}
	token := dialect.Credential{Kind: dialect.APIToken, Value: "abc"}
	for _, test := range []struct {
		dialect, header string
		want            dialect.Credential
	}{
		{"dtle", "", dialect.Credential{}},
		{"dtle", "a.b.c", jwt},
		{"dtle", "Bearer a.b.c", jwt},
		{"dtle", "bEARER  a.b.c ", jwt},
		{"dtle", "Bearer abc", token},
		{"dtle", "Basic abc", dialect.Credential{}},
		{"dtle", "Token abc", dialect.Credential{}},
		{"dtle", "Bearer ", dialect.Credential{}},
		{"openc3", "Bearer a.b.c", jwt},
		{"opsapi", "Token abc", token},
		{"opsapi", "Token a.b.c", jwt},
		{"opsapi", "Bearer a.b.c", jwt},
		{"optimus", "a.b.c", jwt},
		{"optimus", "Bearer a.b.c", jwt},
	} {
		r := &http.Request{Header: http.Header{"Authorization": {test.header}}}
		require.Equal(t, test.want, dialect.Of(paths[test.dialect]).Credential(r), "%+v", test)
	}
}

func TestPagesAndProgramsOfOpenC3(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		header http.Header
		want   dialect.Credential
	}{
		{http.Header{"Cookie": {"a=b; sid=s3"}}, dialect.Credential{Kind: dialect.Cookie, Value: "s3"}},
		{http.Header{"Cookie": {"sid="}}, dialect.Credential{}},
		{http.Header{"Appname": {"job"}, "Appkey": {"k"}}, dialect.Credential{Kind: dialect.AppKey, Name: "job", Value: "k"}},
		{http.Header{"Appname": {"job"}}, dialect.Credential{}},
		{http.Header{"Appname": {"job"}, "Appkey": {"k"}, "Cookie": {"sid=s3"}}, dialect.Credential{Kind: dialect.AppKey, Name: "job", Value: "k"}},
		{http.Header{"Authorization": {"a.b.c"}, "Cookie": {"sid=s3"}}, dialect.Credential{Kind: dialect.JWT, Value: "a.b.c"}},
	} {
		require.Equal(t, test.want, dialect.Of(paths["openc3"]).Credential(&http.Request{Header: test.header}), "%+v", test)
		require.NotEqual(t, dialect.Cookie, dialect.Of(paths["opsapi"]).Credential(&http.Request{Header: test.header}).Kind)
	}
}

// answer is what some RPC answers.
func answer(m proto.Message) dialect.Answer {
	some := authv1.File_opsdeck_auth_v1_users_proto.Services().Get(0).Methods().Get(0)
	return dialect.Answer{Message: m.ProtoReflect(), Route: &route.Route{RPC: some}}
}

func TestSuccess(t *testing.T) {
	t.Parallel()
	nodes := &replicationv1.ListNodesResponse{Nodes: []*replicationv1.Node{{NodeName: "n"}}}
	const printed = `{"node_address":"","node_name":"n","node_id":"","node_status":"","node_status_description":"","datacenter":"",` +
		`"nomad_version":"","dtle_version":""}`
	for _, test := range []struct {
		dialect string
		message proto.Message
		want    string
	}{
		{"dtle", nodes, `{"nodes":[` + printed + `],"message":"ok"}`},
		{"dtle", &replicationv1.PauseJobResponse{}, `{"message":"ok"}`},
		{"dtle", &authv1.LoginResponse{Token: "t", ExpireTime: timestamppb.Now()}, `{"message":"ok","data":{"token":"t"}}`},
		{"dtle", &replicationv1.CheckConnectionResponse{Message: "refused"}, `{"message":"refused"}`},
		{"openc3", nodes, `{"stat":true,"data":{"nodes":[` + printed + `]}}`},
		{"opsapi", nodes, `{"nodes":[` + printed + `]}`},
		{"opsapi", &replicationv1.PauseJobResponse{}, `{"message":"success"}`},
		{"optimus", nodes, `{"status":true,"code":200,"data":{"nodes":[` + printed + `]}}`},
		{"optimus", &replicationv1.PauseJobResponse{}, `{"status":true,"code":200}`},
	} {
		text, err := dialect.Of(paths[test.dialect]).Success(answer(test.message))
		require.NoError(t, err)
		require.Equal(t, test.want, string(text), test.dialect)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	when := time.Date(2021, 9, 6, 3, 26, 41, 5e8, time.UTC)
	message := &replicationv1.TaskEvent{Time: timestamppb.New(when)}
	for name, want := range map[string]string{
		"dtle":    `"2021-09-06T03:26:41Z"`,
		"openc3":  `"` + when.Local().Format("2006-01-02 15:04:05") + `"`,
		"opsapi":  `"` + when.Local().Format("2006-01-02T15:04:05Z07:00") + `"`,
		"optimus": `1630898801`,
	} {
		text, err := dialect.Of(paths[name]).Success(answer(message))
		require.NoError(t, err)
		require.Contains(t, string(text), `"time":`+want, name)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	type want struct {
		status int
		text   string
	}
	for _, test := range []struct {
		fault                         *fault.Fault
		dtle, openc3, opsapi, optimus want
	}{
		{
			fault.Invalid("name", "must be \"x\""),
			want{400, `{"message":"name: must be \"x\""}`},
			want{200, `{"stat":false,"info":"name: must be \"x\""}`},
			want{400, `{"error_code":10001,"message":"name: must be \"x\""}`},
			want{400, `{"status":false,"code":400,"message":"name: must be \"x\""}`},
		},
		{
			fault.Unauthenticated("TOKEN_EXPIRED", "log in"),
			want{401, `{"message":"log in"}`},
			want{200, `{"stat":false,"code":10000}`},
			want{401, `{"error_code":10002,"message":"log in"}`},
			want{401, `{"status":false,"code":401,"message":"log in"}`},
		},
		{
			fault.Denied("FORBIDDEN", "no"),
			want{403, `{"message":"no"}`},
			want{200, `{"stat":false,"info":"no"}`},
			want{403, `{"error_code":10003,"message":"no"}`},
			want{403, `{"status":false,"code":403,"message":"no"}`},
		},
		{
			fault.NotFound("JOB_NOT_FOUND", "no job"),
			want{404, `{"message":"no job"}`},
			want{200, `{"stat":false,"info":"no job"}`},
			want{404, `{"error_code":10004,"message":"no job"}`},
			want{404, `{"status":false,"code":404,"message":"no job"}`},
		},
		{
			&fault.Fault{Code: codes.NotFound, Reason: dialect.PathUnknown, Message: "nothing"},
			want{404, `{"message":"nothing"}`},
			want{404, `{"stat":false,"info":"nothing"}`},
			want{404, `{"error_code":10004,"message":"nothing"}`},
			want{404, `{"status":false,"code":404,"message":"nothing"}`},
		},
		{
			fault.Conflict("JOB_EXISTS", "twice"),
			want{409, `{"message":"twice"}`},
			want{200, `{"stat":false,"info":"twice"}`},
			want{409, `{"error_code":10006,"message":"twice"}`},
			want{409, `{"status":false,"code":409,"message":"twice"}`},
		},
		{
			&fault.Fault{Code: codes.Internal, Reason: "INTERNAL", Message: "oops"},
			want{500, `{"message":"oops"}`},
			want{500, `{"stat":false,"info":"oops"}`},
			want{500, `{"error_code":10000,"message":"oops"}`},
			want{500, `{"status":false,"code":500,"message":"oops"}`},
		},
	} {
		for name, w := range map[string]want{"dtle": test.dtle, "openc3": test.openc3, "opsapi": test.opsapi, "optimus": test.optimus} {
			status, text := dialect.Of(paths[name]).Failure(test.fault, "", dialect.English)
			require.Equal(t, w, want{status, string(text)}, "%s: %s", name, test.fault.Message)
		}
	}
}

func TestStatusOfEveryCode(t *testing.T) {
	t.Parallel()
	for code, want := range map[codes.Code]int{
		codes.InvalidArgument: 400, codes.OutOfRange: 400, codes.Unauthenticated: 401, codes.PermissionDenied: 403, codes.NotFound: 404,
		codes.AlreadyExists: 409, codes.FailedPrecondition: 409, codes.Aborted: 409, codes.ResourceExhausted: 429, codes.Unimplemented: 501,
		codes.Unavailable: 503, codes.Canceled: 499, codes.DeadlineExceeded: 504, codes.Internal: 500, codes.Unknown: 500, codes.DataLoss: 500,
	} {
		require.Equal(t, want, dialect.Status(&fault.Fault{Code: code}), code)
	}
	for reason, want := range map[string]int{
		dialect.PathUnknown: 404, dialect.MethodNotAllowed: 405, dialect.BodyTooLarge: 413, dialect.TypeUnsupported: 415, dialect.Overloaded: 503,
	} {
		require.Equal(t, want, dialect.Status(&fault.Fault{Reason: reason}), reason)
	}
}

func TestDetours(t *testing.T) {
	t.Parallel()
	const hosts, apps = `{"view_host":true,"login_host":false}`, `{"view_app":true}`
	for _, test := range []struct {
		method, pattern, body string
		to                    string // "" when the call stays where it came in
	}{
		{"POST", "/v2/user/create", `{"username":"a","tenant":"t"}`, ""},
		{"POST", "/v2/user/create", `{"user_name":"a","name":"b"}`, ""},
		{"POST", "/v2/user/create", `{}`, ""},
		{"POST", "/v2/user/create", `["name"]`, ""},
		{"POST", "/v2/user/create", `{"name"`, ""},
		{"POST", "/v2/user/create", ``, ""},
		{"POST", "/v2/user/create", `{"name":"a","tenant":"t"}`, "POST /v2/role/create"},
		{"POST", "/v2/user/update", `{"name":"a"}`, "POST /v2/role/update"},
		{"POST", "/dns-services", " \n", "GET /dns-services"},
		{"POST", "/dns-services", "null", ""},
		{"POST", "/dns-services", `{}`, ""},
		{"POST", "/users/{id}/application/perms", `{"authorizations":[{"id":1,"permission":` + hosts + `},{"id":2,"permissions":` + hosts + `}]}`, "POST /users/{}/host/perms"},
		{"POST", "/users/{id}/application/perms", `{"authorizations":[{"id":1,"permission":` + hosts + `},{"id":2,"permission":` + apps + `}]}`, ""},
		{"POST", "/users/{id}/application/perms", `{"authorizations":[{"id":1,"permission":{}}]}`, ""},
		{"POST", "/users/{id}/application/perms", `{"authorizations":[1,{"permission":["view_host"]}]}`, ""},
		{"POST", "/users/{id}/application/perms", `{"authorizations":{}}`, ""},
		{"PATCH", "/applications/{id}/authorization/users", `[{"user":{"id":1},"permission":` + hosts + `},{"user":{"id":2},"action":"delete"}]`, "PATCH /hosts/{}/authorization/users"},
		{"PATCH", "/applications/{id}/authorization/users", `[{"user":{"id":2},"action":"delete"}]`, ""},
		{"PATCH", "/applications/{app_id}/authorization/roles", `[{"role":{"id":1},"permission":` + apps + `}]`, ""},
	} {
		d, ok := dialect.Of(test.pattern).Detour(test.method, test.pattern)
		require.True(t, ok, test.pattern)
		require.Equal(t, test.to != "", d.Takes([]byte(test.body)), "%+v", test)
		if test.to != "" {
			require.Equal(t, test.to, d.To)
		}
	}
	_, ok := dialect.Of("/v2/role/create").Detour("POST", "/v2/role/create")
	require.False(t, ok)
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]dialect.Language{
		"": dialect.English, "*": dialect.English, "en-US,en;q=0.9,zh;q=0.8": dialect.English, "fr, de": dialect.English, "zh;q=x": dialect.English,
		"zh": dialect.Chinese, "zh-CN,zh;q=0.9,en;q=0.8": dialect.Chinese, "fr;q=0.9, zh-TW;q=0.5": dialect.Chinese, "en;q=0.1,zh-Hans": dialect.Chinese,
	} {
		require.Equal(t, want, dialect.LanguageOf(accept), accept)
	}
}

func TestChineseFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault *fault.Fault
		want  string
	}{
		{fault.Conflict("NAME_TAKEN", "the name is taken").Chinese("名称已被使用"), "名称已被使用"},
		{fault.Invalid("ttl", "must be positive").Chinese("必须为正数"), "ttl：必须为正数"},
		{fault.Invalid("ttl", "must be positive"), "请求有误：ttl: must be positive"},
		{fault.Unauthenticated("TOKEN_EXPIRED", "log in"), "令牌已过期：请重新登录"},
		{fault.NotFound("JOB_NOT_FOUND", "no job 7"), "找不到：no job 7"},
		{&fault.Fault{Code: codes.DataLoss, Message: "odd"}, "odd"},
	} {
		status, text := dialect.Of("/users").Failure(test.fault, "", dialect.Chinese)
		require.Equal(t, dialect.Status(test.fault), status)
		require.Contains(t, string(text), `"message":"`+test.want+`"}`)
	}
}
