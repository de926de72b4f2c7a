package replication_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	replication "github.com/opsdeck/opsdeck/services/replication-jobs"
)

func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rj")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// example is the documented request (contract 000, replication.migration.create), with plain passwords.
const example = `{
	"job_id": "demo",
	"src_task": {
		"mysql_connection_config": {"mysql_host": "10.186.63.18", "mysql_port": 33061, "mysql_user": "root", "mysql_password": "source secret"},
		"node_id": "85148787-a6ba-016f-d9d2-3bc3522a573a", "gtid": "", "drop_table_if_exists": true, "binlog_relay": false,
		"repl_chan_buffer_size": 120, "group_max_size": 1, "group_timeout": 100, "chunk_size": 2000, "skip_create_db_table": false,
		"task_name": "src", "replicate_do_db": []
	},
	"is_mysql_password_encrypted": false,
	"dest_task": {
		"mysql_connection_config": {"mysql_host": "10.186.63.18", "mysql_port": 33062, "mysql_user": "root", "mysql_password": "target secret"},
		"node_id": "85148787-a6ba-016f-d9d2-3bc3522a573a", "use_my_sql_dependency": true, "dependency_history_size": 2500,
		"parallel_workers": 1, "task_name": "dest"
	},
	"task_step_name": "job_stage_full", "failover": true, "retry": 2
}`

// echo is the documented answer.
const echo = `{
	"job_id": "demo-migration", "task_step_name": "job_stage_full", "reverse": false, "failover": true, "is_mysql_password_encrypted": false,
	"src_task": {
		"task_name": "src", "node_id": "85148787-a6ba-016f-d9d2-3bc3522a573a", "gtid": "", "group_max_size": 1, "chunk_size": 2000,
		"drop_table_if_exists": true, "skip_create_db_table": false, "repl_chan_buffer_size": 120,
		"mysql_connection_config": {"mysql_host": "10.186.63.18", "mysql_port": 33061, "mysql_user": "root", "mysql_password": "*"},
		"binlog_relay": false, "group_timeout": 100, "wait_on_job": "", "auto_gtid": false
	},
	"dest_task": {
		"task_name": "dest", "node_id": "85148787-a6ba-016f-d9d2-3bc3522a573a", "parallel_workers": 1,
		"mysql_connection_config": {"mysql_host": "10.186.63.18", "mysql_port": 33062, "mysql_user": "root", "mysql_password": "*"},
		"use_my_sql_dependency": true, "dependency_history_size": 2500
	},
	"retry": 2
}`

func config(t testing.TB, text string) *replicationv1.JobConfig {
	t.Helper()
	c := &replicationv1.JobConfig{}
	require.NoError(t, protojson.Unmarshal([]byte(text), c))
	return c
}

// request is the documented request for a job of another name, changed by with.
func request(t testing.TB, name string, with ...func(*replicationv1.JobConfig)) *replicationv1.CreateJobRequest {
	t.Helper()
	c := config(t, example)
	c.JobId = name
	for _, change := range with {
		change(c)
	}
	return &replicationv1.CreateJobRequest{JobType: "migration", Job: c}
}

func (m *manager) create(p authn.Principal, name string, with ...func(*replicationv1.JobConfig)) string {
	m.t.Helper()
	answer, err := m.jobs(p).CreateJob(m.t.Context(), request(m.t, name, with...))
	require.NoError(m.t, err)
	return answer.GetJob().GetJobId()
}

func requireFault(t testing.TB, err error, code codes.Code, reason, text string) {
	t.Helper()
	f := fault.From(err)
	require.NotNil(t, f, "%v", err)
	require.Equal(t, code, f.Code, "%v", f)
	require.Equal(t, reason, f.Reason)
	require.Contains(t, f.Message, text)
	require.NotContains(t, f.Message, "secret")
}

func requireProto(t testing.TB, want, got proto.Message) {
	t.Helper()
	require.True(t, proto.Equal(want, got), "want %v\ngot  %v", protojson.Format(want), protojson.Format(got))
}

func TestTheDocumentedJob(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	jobs := m.jobs(admin)
	created, err := jobs.CreateJob(t.Context(), &replicationv1.CreateJobRequest{JobType: "migration", Job: config(t, example)})
	require.NoError(t, err)
	requireProto(t, config(t, echo), created.GetJob())
	require.Positive(t, created.GetJobModifyIndex())
	require.Equal(t, created.GetEvalCreateIndex(), created.GetJobModifyIndex())

	list, err := jobs.ListJobs(t.Context(), &replicationv1.ListJobsRequest{JobType: "migration"})
	require.NoError(t, err)
	require.Len(t, list.GetJobs(), 1)
	job := list.GetJobs()[0]
	require.NotNil(t, job.GetJobCreateTime())
	step := &replicationv1.JobStep{StepName: "job_stage_full", StepStatus: "waiting", JobCreateTime: job.GetJobCreateTime()}
	requireProto(t, &replicationv1.JobSummary{
		JobId: "demo-migration", JobStatus: "pending", JobCreateTime: job.GetJobCreateTime(),
		SrcAddrList: []string{"10.186.63.18"}, DstAddrList: []string{"10.186.63.18"}, User: "platform:admin",
		JobSteps: []*replicationv1.JobStep{step},
	}, job)

	detail, err := jobs.GetJob(t.Context(), &replicationv1.GetJobRequest{JobType: "migration", JobId: "demo-migration"})
	require.NoError(t, err)
	echoed := config(t, echo)
	requireProto(t, &replicationv1.GetJobResponse{BasicTaskProfile: &replicationv1.TaskProfile{
		JobBaseInfo: &replicationv1.JobBaseInfo{
			JobId: "demo-migration", JobStatus: "pending", JobCreateTime: job.GetJobCreateTime(), JobSteps: []*replicationv1.JobStep{step},
		},
		ConnectionInfo: &replicationv1.ConnectionInfo{
			SrcDataBase: echoed.GetSrcTask().GetMysqlConnectionConfig(), DstDataBase: echoed.GetDestTask().GetMysqlConnectionConfig(),
			DstKafka: &replicationv1.KafkaConnection{},
		},
		Configuration: &replicationv1.JobSettings{
			FailOver: true, RetryTimes: 2, ParallelWorkers: 1, ReplChanBufferSize: 120, GroupMaxSize: 1, ChunkSize: 2000, GroupTimeout: 100,
			DropTableIfExists: true, UseMySqlDependency: true, DependencyHistorySize: 2500,
		},
	}}, detail)
}

func TestHowAJobWrites(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "gently", func(c *replicationv1.JobConfig) {
		c.DestTask.MaxRowsPerSecond, c.DestTask.MaxBytesPerSecond = proto.Int32(500), proto.Int32(1<<20)
		c.DestTask.ConflictPolicy, c.DestTask.MaxMergedTransactions = "overwrite", proto.Int32(1)
	})
	detail, err := m.jobs(alice).GetJob(t.Context(), &replicationv1.GetJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	s := detail.GetBasicTaskProfile().GetConfiguration()
	require.Equal(t, []any{int32(500), int32(1 << 20), "overwrite", int32(1)},
		[]any{s.GetMaxRowsPerSecond(), s.GetMaxBytesPerSecond(), s.GetConflictPolicy(), s.GetMaxMergedTransactions()})
}

func TestDefaultsAreFilledIn(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	connection := `{"mysql_host": "a", "mysql_port": 3306, "mysql_user": "u", "mysql_password": "p"}`
	answer, err := m.jobs(alice).CreateJob(t.Context(), &replicationv1.CreateJobRequest{JobType: "sync", Job: config(t, `{"job_id": "least",
		"src_task": {"task_name": "src", "mysql_connection_config": `+connection+`},
		"dest_task": {"task_name": "dest", "mysql_connection_config": `+strings.Replace(connection, `"a"`, `"b"`, 1)+`}}`)})
	require.NoError(t, err)
	connection = strings.Replace(connection, `"p"`, `"*"`, 1)
	requireProto(t, config(t, `{"job_id": "least-sync", "failover": true, "retry": 2,
		"src_task": {"task_name": "src", "group_max_size": 1, "chunk_size": 2000, "repl_chan_buffer_size": 32, "group_timeout": 100,
			"mysql_connection_config": `+connection+`},
		"dest_task": {"task_name": "dest", "parallel_workers": 1, "dependency_history_size": 2500,
			"mysql_connection_config": `+strings.Replace(connection, `"a"`, `"b"`, 1)+`}}`), answer.GetJob())
	list, err := m.jobs(alice).ListJobs(t.Context(), &replicationv1.ListJobsRequest{JobType: "sync"})
	require.NoError(t, err)
	require.Empty(t, list.GetJobs()[0].GetJobSteps(), "no step was named")
}

func TestPasswordsAreSealed(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	id := m.create(alice, "sealed")
	var row string
	require.NoError(t, m.pool.QueryRow(t.Context(),
		`SELECT jobs::text || encode(source_password, 'escape') || encode(target_password, 'escape') FROM replication.jobs WHERE id = $1`, id).Scan(&row))
	require.NotContains(t, row, "source secret")
	require.NotContains(t, row, "target secret")
	_, err := m.jobs(alice).DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "migration", JobId: id})
	require.NoError(t, err)
	var queue string
	require.NoError(t, m.pool.QueryRow(t.Context(), `SELECT string_agg(args::text, ' ') FROM replication.river_job`).Scan(&queue))
	require.Contains(t, queue, "10.186.63.18")
	require.NotContains(t, queue, "secret")
}

func TestEncryptedPasswords(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rsa.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600))
	encrypt := func(text string) string {
		sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte(text)) //nolint:staticcheck // what the documents prescribe
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(sealed)
	}
	m := startManager(t, func(c *replication.Config) { c.RSAKey = path })
	encrypted := func(c *replicationv1.JobConfig) {
		c.IsMysqlPasswordEncrypted = true
		c.SrcTask.MysqlConnectionConfig.MysqlPassword = encrypt("source secret")
		c.DestTask.MysqlConnectionConfig.MysqlPassword = encrypt("target secret")
	}
	m.create(alice, "good", encrypted)
	w := m.node("n1")
	runs := w.reconcile()
	require.Equal(t, "source secret", runs[0].GetJob().GetSrcTask().GetMysqlConnectionConfig().GetMysqlPassword())
	require.Equal(t, "target secret", runs[0].GetJob().GetDestTask().GetMysqlConnectionConfig().GetMysqlPassword())

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	badPadding, err := rsa.EncryptPKCS1v15(rand.Reader, &other.PublicKey, []byte("source secret")) //nolint:staticcheck // see above
	require.NoError(t, err)
	for name, password := range map[string]string{"padding": base64.StdEncoding.EncodeToString(badPadding), "text": encrypt("\xff")} {
		// No answer may tell which ciphertexts have good padding, and no password may keep a node from its other jobs.
		m.create(alice, name, encrypted, func(c *replicationv1.JobConfig) { c.SrcTask.MysqlConnectionConfig.MysqlPassword = password })
	}
	require.Len(t, w.reconcile(), 3)

	_, err = m.jobs(alice).CreateJob(t.Context(), request(t, "bad", encrypted, func(c *replicationv1.JobConfig) {
		c.DestTask.MysqlConnectionConfig.MysqlPassword = "target secret"
	}))
	requireFault(t, err, codes.InvalidArgument, "PASSWORD_UNREADABLE", "job.dest_task.mysql_connection_config.mysql_password")
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	m.create(alice, "taken")
	type cfg = replicationv1.JobConfig
	for name, try := range map[string]struct {
		change func(*cfg)
		code   codes.Code
		reason string
		text   string
	}{
		"no id":        {func(c *cfg) { c.JobId = "" }, codes.InvalidArgument, "INVALID_REQUEST", "job.job_id"},
		"bad id":       {func(c *cfg) { c.JobId = "a/b" }, codes.InvalidArgument, "INVALID_REQUEST", "job.job_id"},
		"long id":      {func(c *cfg) { c.JobId = strings.Repeat("x", 55) }, codes.InvalidArgument, "INVALID_REQUEST", "job.job_id"},
		"taken":        {func(c *cfg) { c.JobId = "taken" }, codes.AlreadyExists, "JOB_EXISTS", "taken-migration"},
		"no source":    {func(c *cfg) { c.SrcTask = nil }, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task"},
		"no host":      {func(c *cfg) { c.SrcTask.MysqlConnectionConfig.MysqlHost = "" }, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task.mysql_connection_config.mysql_host"},
		"bad port":     {func(c *cfg) { c.DestTask.MysqlConnectionConfig.MysqlPort = 70000 }, codes.InvalidArgument, "INVALID_REQUEST", "job.dest_task.mysql_connection_config.mysql_port"},
		"bad step":     {func(c *cfg) { c.TaskStepName = "half" }, codes.InvalidArgument, "INVALID_REQUEST", "job.task_step_name"},
		"bad chunk":    {func(c *cfg) { c.SrcTask.ChunkSize = proto.Int32(0) }, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task.chunk_size"},
		"reverse":      {func(c *cfg) { c.Reverse = true }, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task.wait_on_job"},
		"small relay":  {func(c *cfg) { c.SrcTask.BinlogRelay, c.SrcTask.BinlogRelayMaxMib = true, proto.Int32(63) }, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task.binlog_relay_max_mib"},
		"no relay":     {func(c *cfg) { c.SrcTask.BinlogRelayMaxMib = proto.Int32(64) }, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task.binlog_relay_max_mib"},
		"gtid twice":   {func(c *cfg) { c.TaskStepName, c.SrcTask.Gtid, c.SrcTask.AutoGtid = "all", "0-1-2", true }, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task.auto_gtid"},
		"bad objects":  {func(c *cfg) { c.SrcTask.ReplicateObjects = []string{"users"} }, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task.replicate_objects"},
		"full + gtid":  {func(c *cfg) { c.SrcTask.Gtid = "0-1-2" }, codes.InvalidArgument, "INVALID_REQUEST", "job.task_step_name"},
		"policy":       {func(c *cfg) { c.DestTask.ConflictPolicy = "ask" }, codes.InvalidArgument, "INVALID_REQUEST", "job.dest_task.conflict_policy"},
		"pace":         {func(c *cfg) { c.DestTask.MaxRowsPerSecond = proto.Int32(-1) }, codes.InvalidArgument, "INVALID_REQUEST", "job.dest_task.max_rows_per_second"},
		"no merging":   {func(c *cfg) { c.DestTask.MaxMergedTransactions = proto.Int32(0) }, codes.InvalidArgument, "INVALID_REQUEST", "job.dest_task.max_merged_transactions"},
		"itself":       {func(c *cfg) { c.DestTask.MysqlConnectionConfig.MysqlPort = 33061 }, codes.InvalidArgument, "INVALID_REQUEST", "job.dest_task.mysql_connection_config"},
		"no node":      {func(c *cfg) { c.Failover, c.DestTask.NodeId = proto.Bool(false), "" }, codes.InvalidArgument, "NODE_REQUIRED", "job.dest_task.node_id"},
		"unknown node": {func(c *cfg) { c.Failover = proto.Bool(false) }, codes.InvalidArgument, "NODE_UNKNOWN", "job.src_task.node_id"},
		"two nodes":    {func(c *cfg) { c.Failover, c.SrcTask.NodeId = proto.Bool(false), "other" }, codes.InvalidArgument, "NODE_UNKNOWN", "job.src_task.node_id"},
		"no RSA key":   {func(c *cfg) { c.IsMysqlPasswordEncrypted = true }, codes.InvalidArgument, "PASSWORD_UNREADABLE", "job.src_task.mysql_connection_config.mysql_password"},
		"rename of a group": {func(c *cfg) {
			c.SrcTask.ReplicateDoDb = []*replicationv1.SchemaRule{{TableSchemaRegex: "b", TableSchemaRename: "${1}"}}
		}, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task.replicate_do_db[0].table_schema_rename"},
		"name and regex": {func(c *cfg) {
			c.SrcTask.ReplicateDoDb = []*replicationv1.SchemaRule{{TableSchema: "a", TableSchemaRegex: "b"}}
		}, codes.InvalidArgument, "INVALID_REQUEST", "job.src_task.replicate_do_db[0].table_schema_regex"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.jobs(alice).CreateJob(t.Context(), request(t, "job", try.change))
			requireFault(t, err, try.code, try.reason, try.text)
		})
	}
}
