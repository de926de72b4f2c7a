package replication_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
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
	requireFault(t, err, codes.AlreadyExists, "JOB_EXISTS")

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

	for _, other := range []authn.Principal{bob} {
		_, err = m.subscriptions(other).UpdateSubscription(t.Context(), &replicationv1.UpdateSubscriptionRequest{Job: subscription(t, "demo")})
		requireFault(t, err, codes.NotFound, "JOB_NOT_FOUND")
	}
}

// requireNoSecrets looks through the whole database.
func requireNoSecrets(t testing.TB, m *manager) {
	t.Helper()
	var found int
	require.NoError(t, m.pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM replication.jobs AS j WHERE j::text LIKE '% secret%')
			+ (SELECT count(*) FROM replication.river_job AS q WHERE q::text LIKE '% secret%')`).Scan(&found))
	require.Zero(t, found)
}
