package replication_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

func (m *manager) subscriptions(p authn.Principal) replicationv1.SubscriptionServiceClient {
	m.t.Helper()
	return replicationv1.NewSubscriptionServiceClient(m.as(p))
}

// subscription is a job with an account at its brokers, changed by with.
func subscription(t testing.TB, name string, with ...func(*replicationv1.SubscriptionConfig)) *replicationv1.SubscriptionConfig {
	t.Helper()
	c := &replicationv1.SubscriptionConfig{}
	require.NoError(t, protojson.Unmarshal([]byte(`{
		"src_task": {"task_name": "src", "mysql_connection_config":
			{"mysql_host": "db", "mysql_port": 3306, "mysql_user": "repl", "mysql_password": "source secret"}},
		"dest_task": {"task_name": "dest", "kafka_broker_addrs": ["k1:9092", "[::1]:9093"], "kafka_topic": "demo", "parallel_workers": 4,
			"kafka_sasl_mechanism": "SCRAM-SHA-256", "kafka_user": "writer", "kafka_password": "broker secret"}
	}`), c))
	c.JobId = name
	for _, change := range with {
		change(c)
	}
	return c
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	jobs, subscriptions := m.jobs(alice), m.subscriptions(alice)
	created, err := subscriptions.CreateSubscription(t.Context(), &replicationv1.CreateSubscriptionRequest{Job: subscription(t, "demo")})
	require.NoError(t, err)
	require.Equal(t, "demo-subscription", created.GetJob().GetJobId())
	require.Equal(t, "*", created.GetJob().GetDestTask().GetKafkaPassword())
	require.Equal(t, "*", created.GetJob().GetSrcTask().GetMysqlConnectionConfig().GetMysqlPassword())
	require.Nil(t, created.GetJob().GetDestTask().ParallelWorkers, "ignored")
	require.Equal(t, int32(1), created.GetJob().GetDestTask().GetMessageGroupMaxSize())
	require.Equal(t, int32(100), created.GetJob().GetDestTask().GetMessageGroupTimeout())
	requireNoSecrets(t, m)

	_, err = subscriptions.CreateSubscription(t.Context(), &replicationv1.CreateSubscriptionRequest{Job: subscription(t, "demo")})
	requireFault(t, err, codes.AlreadyExists, "JOB_EXISTS", "demo-subscription exists already")

	listed, err := jobs.ListJobs(t.Context(), &replicationv1.ListJobsRequest{JobType: "subscription"})
	require.NoError(t, err)
	require.Len(t, listed.GetJobs(), 1)
	require.Equal(t, "demo", listed.GetJobs()[0].GetTopic())
	require.Equal(t, []string{"k1:9092", "[::1]:9093"}, listed.GetJobs()[0].GetDstAddrList())
	detail, err := jobs.GetJob(t.Context(), &replicationv1.GetJobRequest{JobType: "subscription", JobId: "demo-subscription"})
	require.NoError(t, err)
	profile := detail.GetBasicTaskProfile()
	require.Equal(t, "demo", profile.GetJobBaseInfo().GetSubscriptionTopic())
	require.True(t, proto.Equal(&replicationv1.MySQLConnection{}, profile.GetConnectionInfo().GetDstDataBase()))
	require.Equal(t, "*", profile.GetConnectionInfo().GetDstKafka().GetKafkaPassword())
	require.Equal(t, "writer", profile.GetConnectionInfo().GetDstKafka().GetKafkaUser())
	require.Zero(t, profile.GetConfiguration().GetParallelWorkers())

	_, err = m.subscriptions(bob).UpdateSubscription(t.Context(), &replicationv1.UpdateSubscriptionRequest{Job: subscription(t, "demo")})
	requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND", "no job demo-subscription")
	_, err = jobs.DeleteJob(t.Context(), &replicationv1.DeleteJobRequest{JobType: "subscription", JobId: "demo-subscription"})
	require.NoError(t, err)
	requireNoSecrets(t, m)
	require.Equal(t, []string{"opsdeck.replication.job.created", "opsdeck.replication.job.deleted"}, m.published())
}

// An update is placed under a new epoch with the new configuration; a password of "*" is the one from before.
func TestUpdateSubscription(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	_, err := m.subscriptions(alice).CreateSubscription(t.Context(), &replicationv1.CreateSubscriptionRequest{Job: subscription(t, "demo")})
	require.NoError(t, err)
	worker := m.node("one")
	first := worker.reconcile()
	require.Len(t, first, 1)
	require.Equal(t, "demo-subscription", first[0].GetJob().GetJobId())
	require.Nil(t, first[0].GetJob().GetSrcTask(), "a node of the release before waits")
	require.Equal(t, "broker secret", first[0].GetSubscription().GetDestTask().GetKafkaPassword())
	require.Equal(t, "source secret", first[0].GetSubscription().GetSrcTask().GetMysqlConnectionConfig().GetMysqlPassword())
	require.Nil(t, worker.working()[0].GetSubscription(), "the node has it")

	change := subscription(t, "demo-subscription", func(c *replicationv1.SubscriptionConfig) {
		c.DestTask.MessageGroupMaxSize = proto.Int32(4096)
		c.DestTask.KafkaPassword, c.SrcTask.MysqlConnectionConfig.MysqlPassword = "*", "*"
	})
	updated, err := m.subscriptions(alice).UpdateSubscription(t.Context(), &replicationv1.UpdateSubscriptionRequest{Job: change})
	require.NoError(t, err)
	require.Equal(t, int32(4096), updated.GetJob().GetDestTask().GetMessageGroupMaxSize())
	require.Equal(t, "*", updated.GetJob().GetDestTask().GetKafkaPassword())
	requireNoSecrets(t, m)
	second := worker.working()
	require.Len(t, second, 1)
	require.Greater(t, second[0].GetEpoch(), first[0].GetEpoch())
	require.Equal(t, first[0].GetIncarnation(), second[0].GetIncarnation(), "progress is kept")
	require.Equal(t, int32(4096), second[0].GetSubscription().GetDestTask().GetMessageGroupMaxSize())
	require.Equal(t, "broker secret", second[0].GetSubscription().GetDestTask().GetKafkaPassword())
	require.Contains(t, m.published(), "opsdeck.replication.job.updated")
	detail, err := m.jobs(alice).GetJob(t.Context(), &replicationv1.GetJobRequest{JobType: "subscription", JobId: "demo-subscription"})
	require.NoError(t, err)
	require.Contains(t, log(detail.GetTaskLogs()[0]), "Killed: the job was changed: its tasks are started anew")

	_, err = m.jobs(alice).PauseJob(t.Context(), &replicationv1.PauseJobRequest{JobType: "subscription", JobId: "demo-subscription"})
	require.NoError(t, err)
	_, err = m.subscriptions(alice).UpdateSubscription(t.Context(), &replicationv1.UpdateSubscriptionRequest{Job: subscription(t, "demo")})
	require.NoError(t, err)
	require.Empty(t, worker.reconcile(), "it stays paused")
	_, err = m.jobs(alice).ResumeJob(t.Context(), &replicationv1.ResumeJobRequest{JobType: "subscription", JobId: "demo-subscription"})
	require.NoError(t, err)
	require.Len(t, worker.reconcile(), 1)
}

func TestRefusedSubscriptions(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	for want, change := range map[string]func(*replicationv1.SubscriptionConfig){
		"kafka_broker_addrs":     func(c *replicationv1.SubscriptionConfig) { c.DestTask.KafkaBrokerAddrs = nil },
		"kafka_broker_addrs[0]":  func(c *replicationv1.SubscriptionConfig) { c.DestTask.KafkaBrokerAddrs = []string{"k1"} },
		"port from 1 to 65535":   func(c *replicationv1.SubscriptionConfig) { c.DestTask.KafkaBrokerAddrs = []string{"k1:70000"} },
		"kafka_topic":            func(c *replicationv1.SubscriptionConfig) { c.DestTask.KafkaTopic = "a b" },
		"kafka_user":             func(c *replicationv1.SubscriptionConfig) { c.DestTask.KafkaUser = "" },
		"kafka_sasl_mechanism":   func(c *replicationv1.SubscriptionConfig) { c.DestTask.KafkaSaslMechanism = "" },
		"without kafka_tls":      func(c *replicationv1.SubscriptionConfig) { c.DestTask.KafkaTlsCa = "x" },
		"kafka_decimal":          func(c *replicationv1.SubscriptionConfig) { c.DestTask.KafkaDecimal = "double" },
		"auto_gtid":              func(c *replicationv1.SubscriptionConfig) { c.SrcTask.Gtid, c.SrcTask.AutoGtid = "0-1-1", true },
		"replicate_objects":      func(c *replicationv1.SubscriptionConfig) { c.SrcTask.ReplicateObjects = []string{"views"} },
		"node_id":                func(c *replicationv1.SubscriptionConfig) { c.Failover = proto.Bool(false) },
		"message_group_max_size": func(c *replicationv1.SubscriptionConfig) { c.DestTask.MessageGroupMaxSize = proto.Int32(0) },
		"topic of the rows": func(c *replicationv1.SubscriptionConfig) {
			c.DestTask.KafkaSingleTopic, c.DestTask.KafkaSchemaChangeTopic = true, "demo"
		},
	} {
		_, err := m.subscriptions(alice).CreateSubscription(t.Context(), &replicationv1.CreateSubscriptionRequest{Job: subscription(t, "bad", change)})
		f := fault.From(err)
		require.NotNil(t, f, want)
		require.Equal(t, codes.InvalidArgument, f.Code, want)
		require.Contains(t, f.Error(), want)
		require.NotContains(t, f.Error(), "secret")
	}
	_, err := m.subscriptions(anyone).CreateSubscription(t.Context(), &replicationv1.CreateSubscriptionRequest{Job: subscription(t, "bad")})
	require.Equal(t, codes.PermissionDenied, fault.From(err).Code)
}

// requireNoSecrets looks through the whole database.
func requireNoSecrets(t testing.TB, m *manager) {
	t.Helper()
	var found int
	require.NoError(t, m.pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM replication.jobs AS j WHERE j::text LIKE '% secret%')
			+ (SELECT count(*) FROM replication.river_job WHERE args::text LIKE '% secret%')`).Scan(&found))
	require.Zero(t, found)
}
