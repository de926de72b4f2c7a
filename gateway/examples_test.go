package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// example is a documented call with its documented answer.
type example struct {
	Method   string          `json:"method"`
	Path     string          `json:"path"`
	Encoding string          `json:"encoding"`
	Request  json.RawMessage `json:"request"`
	Response json.RawMessage `json:"response"`
}

func readExample(t *testing.T, name string) example {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "examples", name+".json"))
	require.NoError(t, err)
	var e example
	require.NoError(t, json.Unmarshal(text, &e))
	return e
}

// call turns the documented request into an HTTP call, in its documented encoding.
func (e example) call(t *testing.T) call {
	t.Helper()
	c := call{method: e.Method, path: e.Path}
	if e.Encoding == "json" {
		c.contentType, c.body = "application/json", string(e.Request)
		return c
	}
	var fields map[string]string
	require.NoError(t, json.Unmarshal(e.Request, &fields))
	values := url.Values{}
	for name, value := range fields {
		values.Set(name, value)
	}
	if e.Encoding == "form" {
		c.contentType, c.body = "application/x-www-form-urlencoded", values.Encode()
	} else if len(values) > 0 {
		c.path += "?" + values.Encode()
	}
	return c
}

func at(t *testing.T, text string) *timestamppb.Timestamp {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return timestamppb.New(when.Add(123 * time.Millisecond))
}

func TestExamplesAnswerAsDocumented(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	mysql := "?mysql_host=10.186.63.18&mysql_port=33061&mysql_user=root&mysql_password=x"
	r.always("CreateCaptcha", &authv1.CreateCaptchaResponse{Id: "BCOUfuFCdR2m6DRmCov8", DataScheme: "data:image/png;base64,..."})
	r.on("Login", func(_ context.Context, request proto.Message) (proto.Message, error) {
		require.Equal(t, "00036", request.(*authv1.LoginRequest).GetCaptcha())
		return &authv1.LoginResponse{Token: exampleToken, ExpireTime: at(t, "2021-09-07T07:02:37Z")}, nil
	})
	r.always("GetCurrentUser", &authv1.GetCurrentUserResponse{CurrentUser: &authv1.User{
		Username: "admin", Tenant: "platform", Role: "admin", CreateTime: at(t, "2021-09-06T07:02:37Z"),
	}})
	exampleAccounts(t, r)
	r.on("CreateJob", echoJob)
	r.always("ListJobs", exampleJobs(t))
	r.always("GetJob", exampleJob(t))
	r.always("PauseJob", &replicationv1.PauseJobResponse{})
	r.always("ResumeJob", &replicationv1.ResumeJobResponse{})
	r.always("DeleteJob", &replicationv1.DeleteJobResponse{})
	r.always("ListNodes", &replicationv1.ListNodesResponse{Nodes: []*replicationv1.Node{{
		NodeAddress: "127.0.0.1", NodeName: "nomad0", NodeId: "ab0a1cf9-6100-fb9e-6e9a-ca2e898b4d57", NodeStatus: "ready",
		Datacenter: "dc1", NomadVersion: "1.1.2", DtleVersion: "3.21.08.0-3.21.08.x-e56bde2",
	}}})
	r.always("GetTaskStatus", exampleStatus())
	r.always("ListSchemas", &replicationv1.ListSchemasResponse{Schemas: []*replicationv1.Schema{
		{SchemaName: "db1", Tables: []*replicationv1.SchemaTable{{TableName: "tb1"}}}, {SchemaName: "dbtest"}, {SchemaName: "test"},
	}})
	r.always("ListColumns", &replicationv1.ListColumnsResponse{Columns: []string{"id", "c_bit_1"}})
	r.always("CheckConnection", &replicationv1.CheckConnectionResponse{Message: "ok"})

	for _, test := range []struct {
		name  string
		query string // where the document has no example request
	}{
		{"auth.captcha", ""},
		{"auth.login", ""},
		{"auth.user.current", ""},
		{"auth.user.list", ""},
		{"auth.user.create", ""},
		{"auth.user.update", ""},
		{"auth.user.reset_password", ""},
		{"auth.user.delete", ""},
		{"auth.user.list_action", ""},
		{"auth.tenant.list", ""},
		{"auth.role.list", ""},
		{"auth.role.create", ""},
		{"auth.role.update", ""},
		{"auth.role.delete", ""},
		{"replication.migration.create", ""},
		{"replication.migration.list", ""},
		{"replication.migration.detail", ""},
		{"replication.migration.pause", ""},
		{"replication.migration.resume", ""},
		{"replication.migration.delete", ""},
		{"nodes.list", ""},
		{"monitor.task", ""},
		{"mysql.schemas", mysql},
		{"mysql.columns", mysql + "&mysql_schema=s&mysql_table=t"},
		{"mysql.instance_connection", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := readExample(t, test.name)
			c := e.call(t)
			c.path += test.query
			r.accepted(t, c)
			got := r.do(t, c)
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.Equal(t, "application/json", got.header.Get("Content-Type"))
			require.True(t, got.documented)
			require.JSONEq(t, string(e.Response), got.body)
			slash := c
			path, query, _ := strings.Cut(c.path, "?")
			slash.path = path + "/?" + query
			require.Equal(t, got.body, r.do(t, slash).body, "a trailing slash changes nothing")
		})
	}
}

const exampleToken = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE2MzEwMDQ5NDQsImdyb3VwIjoicGxhdGZvcm0iLCJuYW1lIjoiYWRtaW4ifQ." +
	"iZYXNXXZqY5FVmexPY3yD2ZiO4xjeOLmdTq6pxvU4sE"

// echoJob answers like the service: the configuration with its full id, its defaults and without passwords.
func echoJob(_ context.Context, request proto.Message) (proto.Message, error) {
	job := proto.CloneOf(request.(*replicationv1.CreateJobRequest).GetJob())
	job.JobId += "-" + request.(*replicationv1.CreateJobRequest).GetJobType()
	job.GetSrcTask().GetMysqlConnectionConfig().MysqlPassword = "*"
	job.GetDestTask().GetMysqlConnectionConfig().MysqlPassword = "*"
	return &replicationv1.CreateJobResponse{Job: job, EvalCreateIndex: 4798, JobModifyIndex: 4798}, nil
}

func exampleJobs(t *testing.T) *replicationv1.ListJobsResponse {
	t.Helper()
	return &replicationv1.ListJobsResponse{Jobs: []*replicationv1.JobSummary{{
		JobId: "demo-migration", JobStatus: "running", JobCreateTime: at(t, "2021-09-06T03:26:41Z"),
		SrcAddrList: []string{"10.186.63.18"}, DstAddrList: []string{"10.186.63.18"}, User: "platform:admin",
		JobSteps: []*replicationv1.JobStep{{StepName: "job_stage_full", StepStatus: "start", JobCreateTime: at(t, "2021-09-06T03:26:41Z")}},
	}}}
}

func exampleStatus() *replicationv1.GetTaskStatusResponse {
	return &replicationv1.GetTaskStatusResponse{TasksStatus: &replicationv1.TaskStatus{
		CurrentCoordinates: &replicationv1.Coordinates{File: "mysql-bin.000001", Position: 154, GtidSet: "00003307-1111-1111-1111-111111111111:1-24"},
		DelayCount:         &replicationv1.DelayCount{}, ProgressPct: "100.0",
		ExecMasterRowCount: 4, ExecMasterTxCount: 958859, ReadMasterRowCount: 4, ReadMasterTxCount: 958859, Eta: "0s", Backlog: "0/128",
		NatsMessageStatus: &replicationv1.MessageStatus{InMessages: 5, OutMessages: 5, OutBytes: 1021},
		BufferStatus:      &replicationv1.BufferStatus{}, Stage: "Master has sent all binlog to slave; waiting for more updates",
		Timestamp: 1620882952091441700,
	}}
}

func exampleJob(t *testing.T) *replicationv1.GetJobResponse {
	t.Helper()
	const node, created = "85148787-a6ba-016f-d9d2-3bc3522a573a", "2021-09-06T03:26:41Z"
	events := func(lines ...[3]string) []*replicationv1.TaskEvent {
		var all []*replicationv1.TaskEvent
		for _, line := range lines {
			all = append(all, &replicationv1.TaskEvent{EventType: line[0], Message: line[1], Time: at(t, line[2])})
		}
		return all
	}
	connection := func(port int32) *replicationv1.MySQLConnection {
		return &replicationv1.MySQLConnection{MysqlHost: "10.186.63.18", MysqlPort: port, MysqlUser: "root", MysqlPassword: "*"}
	}
	signal := "Task being sent a signal"
	return &replicationv1.GetJobResponse{
		BasicTaskProfile: &replicationv1.TaskProfile{
			JobBaseInfo: &replicationv1.JobBaseInfo{
				JobId: "demo-migration", JobStatus: "running", JobCreateTime: at(t, created),
				JobSteps: []*replicationv1.JobStep{{StepName: "job_stage_full", StepStatus: "start", JobCreateTime: at(t, created)}},
			},
			DtleNodeInfos: []*replicationv1.TaskNode{
				{NodeAddr: "127.0.0.1", NodeId: node, DataSource: "10.186.63.18:33061", Source: "src"},
				{NodeAddr: "127.0.0.1", NodeId: node, DataSource: "10.186.63.18:33062", Source: "dst"},
			},
			ConnectionInfo: &replicationv1.ConnectionInfo{
				SrcDataBase: connection(33061), DstDataBase: connection(33062), DstKafka: &replicationv1.KafkaConnection{},
			},
			Configuration: &replicationv1.JobSettings{
				FailOver: true, RetryTimes: 2, ParallelWorkers: 1, ReplChanBufferSize: 120, GroupMaxSize: 1, ChunkSize: 2000,
				GroupTimeout: 100, DropTableIfExists: true, UseMySqlDependency: true, DependencyHistorySize: 2500,
			},
			ReplicateDoDb: []*replicationv1.SchemaRule{{TableSchema: "demo", Tables: []*replicationv1.TableRule{{TableName: "demo_tbl"}}}},
		},
		TaskLogs: []*replicationv1.TaskLog{
			{NodeId: node, AllocationId: "6a8fe2af-99fd-7880-0989-35a4d3fed0de", Address: "127.0.0.1", Target: "src", TaskEvents: events(
				[3]string{"Received", "Task received by client", created}, [3]string{"Task Setup", "Building Task Directory", created},
				[3]string{"Started", "Task started by client", created},
				[3]string{"Signaling", signal, "2021-09-06T05:37:21Z"}, [3]string{"Signaling", signal, "2021-09-06T05:42:23Z"})},
			{NodeId: node, AllocationId: "f9d36de1-b309-6252-e203-e342d3dcfe80", Address: "127.0.0.1", Target: "dst", TaskEvents: events(
				[3]string{"Driver", "job_stage_incr", "2021-09-06T03:20:08Z"},
				[3]string{"Terminated", `Exit Code: 2, Exit Message: "DstPutNats: NatsAddr changed to wait. will restart dst"`, created},
				[3]string{"Restarting", "Task restarting in 18.388197111s", created},
				[3]string{"Started", "Task started by client", "2021-09-06T03:26:59Z"},
				[3]string{"Driver", "job_stage_full", "2021-09-06T03:26:59Z"}, [3]string{"Driver", "job_stage_incr", "2021-09-06T03:26:59Z"},
				[3]string{"Signaling", signal, "2021-09-06T05:37:21Z"}, [3]string{"Signaling", signal, "2021-09-06T05:42:23Z"},
				[3]string{"Driver", "job_stage_full", "2021-09-06T05:42:23Z"}, [3]string{"Driver", "job_stage_incr", "2021-09-06T05:42:23Z"})},
		},
	}
}
