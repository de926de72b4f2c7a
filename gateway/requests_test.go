package gateway_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// seen makes a method answer with an empty message and returns where its requests arrive.
func seen(r *rig, method string, reply proto.Message) <-chan proto.Message {
	requests := make(chan proto.Message, 1)
	r.on(method, func(_ context.Context, request proto.Message) (proto.Message, error) {
		requests <- request
		return reply, nil
	})
	return requests
}

func TestRequestsArriveInEveryEncoding(t *testing.T) {
	t.Parallel()
	paused := &replicationv1.PauseJobRequest{JobType: "sync", JobId: "a-sync"}
	login := &authv1.LoginRequest{Username: "u", Tenant: "t", Password: "p+/=", CaptchaId: "c", Captcha: "007"}
	audio := &authv1.CreateCaptchaRequest{CaptchaType: "audio"}
	jobs := &replicationv1.ListJobsRequest{JobType: "migration", FilterJobName: "de", PageSize: 7}
	config := &replicationv1.CreateJobRequest{JobType: "migration", Job: wantedJob()}
	post := func(path, contentType, body string) call {
		return call{method: "POST", path: path, contentType: contentType, body: body}
	}
	const loginForm = "username=u&tenant=t&password=p%2B%2F%3D&captcha_id=c&captcha=007"
	const loginJSON = `{"username":"u","tenant":"t","password":"p+/=","captcha_id":"c","captcha":"007"}`
	for _, test := range []struct {
		name   string
		method string
		reply  proto.Message
		call   call
		want   proto.Message
	}{
		{"pause by form", "PauseJob", &replicationv1.PauseJobResponse{}, post("/v2/job/sync/pause", formHdr, "job_id=a-sync"), paused},
		{"pause by form with a charset", "PauseJob", &replicationv1.PauseJobResponse{}, post("/v2/job/sync/pause", formHdr+"; charset=UTF-8", "job_id=a-sync"), paused},
		{"pause by JSON", "PauseJob", &replicationv1.PauseJobResponse{}, post("/v2/job/sync/pause/", jsonHdr, `{"job_id":"a-sync"}`), paused},
		{"pause by JSON without a type", "PauseJob", &replicationv1.PauseJobResponse{}, post("/v2/job/sync/pause", "", `{"job_id":"a-sync"}`), paused},
		{"pause by query", "PauseJob", &replicationv1.PauseJobResponse{}, post("/v2/job/sync/pause?job_id=a-sync", "", ""), paused},
		{"pause by query with a form's type", "PauseJob", &replicationv1.PauseJobResponse{}, post("/v2/job/sync/pause?job_id=a-sync", formHdr, ""), paused},
		{"login by JSON", "Login", &authv1.LoginResponse{}, post("/v2/login", jsonHdr, loginJSON), login},
		{"login by form", "Login", &authv1.LoginResponse{}, post("/v2/login", formHdr, loginForm), login},
		{"captcha by GET", "CreateCaptcha", &authv1.CreateCaptchaResponse{}, call{method: "GET", path: "/v2/login/captcha?captcha_type=audio", token: "none"}, audio},
		{"captcha by HEAD", "CreateCaptcha", &authv1.CreateCaptchaResponse{}, call{method: "HEAD", path: "/v2/login/captcha?captcha_type=audio", token: "none"}, audio},
		{"captcha by form", "CreateCaptcha", &authv1.CreateCaptchaResponse{}, post("/v2/login/captcha", formHdr, "captcha_type=audio"), audio},
		{"captcha by query", "CreateCaptcha", &authv1.CreateCaptchaResponse{}, post("/v2/login/captcha?captcha_type=audio", "", ""), audio},
		{"captcha with a stale token", "CreateCaptcha", &authv1.CreateCaptchaResponse{}, call{method: "GET", path: "/v2/login/captcha?captcha_type=audio", token: "stale"}, audio},
		{"list", "ListJobs", &replicationv1.ListJobsResponse{}, call{method: "GET", path: "/v2/jobs/migration?filter_job_name=de&page_size=7"}, jobs},
		{"list by the other name", "ListJobs", &replicationv1.ListJobsResponse{}, call{method: "GET", path: "/v2/jobs/migration/?filter_job_id=de&page_size=7"}, jobs},
		{"create", "CreateJob", &replicationv1.CreateJobResponse{}, post(create, jsonHdr, job()), config},
		{"create in a wrapper", "CreateJob", &replicationv1.CreateJobResponse{}, post(create, jsonHdr, `{"migration_job_config":`+job()+"}"), config},
		{"create with nulls", "CreateJob", &replicationv1.CreateJobResponse{}, post(create, jsonHdr, job(`"retry":2`, `"retry":2,"task_step_name":null`)), config},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			requests := seen(r, test.method, test.reply)
			got := r.do(t, test.call)
			require.Equal(t, http.StatusOK, got.status, got.body)
			request := <-requests
			require.True(t, proto.Equal(test.want, request), "%v", request)
		})
	}
}

func wantedJob() *replicationv1.JobConfig {
	return &replicationv1.JobConfig{
		JobId: "demo", Retry: proto.Int32(2),
		SrcTask: &replicationv1.SourceTask{
			TaskName: "src", ChunkSize: proto.Int32(2000),
			ReplicateDoDb:         []*replicationv1.SchemaRule{{TableSchema: "a", Tables: []*replicationv1.TableRule{{TableName: "t"}}}},
			MysqlConnectionConfig: &replicationv1.MySQLConnection{MysqlHost: "h", MysqlPort: 3306, MysqlUser: "u", MysqlPassword: "p"},
		},
		DestTask: &replicationv1.DestTask{
			TaskName:              "dest",
			MysqlConnectionConfig: &replicationv1.MySQLConnection{MysqlHost: "g", MysqlPort: 3307, MysqlUser: "v", MysqlPassword: "q"},
		},
	}
}

func TestCreateEchoesWhichListsWereSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.on("CreateJob", echoJob)
	const rules = `"replicate_do_db":[{"table_schema":"a","tables":[{"table_name":"t"}]}]`
	for _, test := range []struct{ name, sent, want string }{
		{"left out", ``, `"replicate_do_db":null,"replicate_ignore_db":null`},
		{"null", `"replicate_do_db":null,`, `"replicate_do_db":null,"replicate_ignore_db":null`},
		{"empty", `"replicate_do_db":[],`, `"replicate_do_db":[],"replicate_ignore_db":null`},
		{"both empty", `"replicate_ignore_db":[],"replicate_do_db":[],`, `"replicate_do_db":[],"replicate_ignore_db":[]`},
		{
			"tables", `"replicate_do_db":[{"table_schema":"a"},{"table_schema":"b","tables":[]}],`,
			`"replicate_do_db":[{"table_schema":"a","table_schema_regex":"","table_schema_rename":"","tables":null},` +
				`{"table_schema":"b","table_schema_regex":"","table_schema_rename":"","tables":[]}],"replicate_ignore_db":null`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, body := range []string{job(rules+",", test.sent), `{"migration_job_config":` + job(rules+",", test.sent) + `}`} {
				got := r.do(t, call{method: "POST", path: create, contentType: jsonHdr, body: body})
				require.Equal(t, http.StatusOK, got.status, got.body)
				require.Contains(t, got.body, test.want)
				require.NotContains(t, got.body, "node_id", "an empty node_id is left out")
			}
		})
	}
}

func TestNumbersKeep64Bits(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.always("GetTaskStatus", exampleStatus())
	got := r.do(t, call{method: "GET", path: "/v2/monitor/task?allocation_id=a&task_name=src"})
	require.Contains(t, got.body, `"timestamp":1620882952091441700`)
}

func TestEmptyAnswersHaveTheDocumentedNulls(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.always("GetJob", &replicationv1.GetJobResponse{
		BasicTaskProfile: &replicationv1.TaskProfile{JobBaseInfo: &replicationv1.JobBaseInfo{}, ReplicateDoDb: []*replicationv1.SchemaRule{{}}},
		TaskLogs:         []*replicationv1.TaskLog{{}},
	})
	r.always("ListJobs", &replicationv1.ListJobsResponse{NextPageToken: "x", Jobs: []*replicationv1.JobSummary{{}}})
	r.always("ListNodes", &replicationv1.ListNodesResponse{})
	r.always("CheckConnection", &replicationv1.CheckConnectionResponse{Message: "connection refused"})
	for _, test := range []struct{ name, path, want string }{
		{"detail", "/v2/job/migration/detail?job_id=a", `{"basic_task_profile":{"job_base_info":{"job_id":"","subscription_topic":"","job_status":"",
			"job_create_time":null,"job_steps":null,"delay":0},"dtle_node_infos":null,"connection_info":null,"configuration":null,
			"replicate_do_db":[{"table_schema":"","table_schema_regex":"","table_schema_rename":"","tables":[]}],"replicate_ignore_db":[]},
			"task_logs":[{"task_events":null,"node_id":"","allocation_id":"","address":"","target":""}],"message":"ok"}`},
		{"list", "/v2/jobs/sync", `{"jobs":[{"job_id":"","job_status":"","topic":"","job_create_time":null,"src_addr_list":[],"dst_addr_list":[],
			"user":"","job_steps":null}],"next_page_token":"x","message":"ok"}`},
		{"nodes", "/v2/nodes", `{"nodes":[],"message":"ok"}`},
		{"a connection that failed", "/v2/mysql/instance_connection?" + mysqlOK, `{"message":"connection refused"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := r.do(t, call{method: "GET", path: test.path})
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.JSONEq(t, test.want, got.body)
		})
	}
}

func TestOnlyWhatACallNeedsBecomesMetadata(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	got := make(chan metadata.MD, 1)
	r.on("ListNodes", func(ctx context.Context, _ proto.Message) (proto.Message, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		got <- md
		return &replicationv1.ListNodesResponse{}, nil
	})
	answer := r.do(t, call{method: "GET", path: "/v2/nodes", header: http.Header{
		"X-Request-Id": {"mine"}, "Grpc-Metadata-X-Client-Address": {"6.6.6.6"}, "Grpc-Timeout": {"1n"}, "Cookie": {"a=b"},
		"X-Forwarded-For": {"6.6.6.6"}, "X-Client-Address": {"6.6.6.6"}, "Te": {"trailers"},
	}})
	require.Equal(t, http.StatusOK, answer.status, answer.body)
	require.Equal(t, "mine", answer.header.Get("X-Request-Id"))
	md := <-got
	require.Equal(t, []string{"Bearer " + r.token}, md.Get("authorization"))
	require.Equal(t, []string{"mine"}, md.Get("x-request-id"))
	require.Equal(t, []string{"127.0.0.1"}, md.Get("x-client-address"))
	for name := range md {
		require.Contains(t, []string{
			":authority", "authorization", "x-request-id", "x-client-address", "x-client-agent-bin", "content-type", "user-agent", "grpc-accept-encoding", "traceparent",
		}, name)
	}
}

func TestTokenMayStandBehindBearer(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.always("ListNodes", &replicationv1.ListNodesResponse{})
	for _, token := range []string{r.token, "Bearer " + r.token, "bearer   " + r.token} {
		require.Equal(t, http.StatusOK, r.do(t, call{method: "GET", path: "/v2/nodes", token: token}).status)
	}
}
