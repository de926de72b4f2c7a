package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func testSubscribeFence(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE subfence", "CREATE TABLE subfence.t (id INT PRIMARY KEY)")
	first := start(t, s.job("subfence", 1, "subfence"))
	first.awaitEvent(t, "job_stage_incr")
	second := start(t, s.job("subfence", 2, "subfence"))
	second.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "INSERT INTO subfence.t VALUES (1)")
	require.ErrorIs(t, <-first.done, progress.ErrFenced)
	// The brokers in process let a producer whose transaction is under way take its place back, as real ones do not: it has to be over.
	r := kafkatest.Read(t, s.brokers, `subfence\..*`)
	require.Len(t, r.Next(t, atLeast(1)), 1)
	require.ErrorIs(t, engine.Run(t.Context(), s.job("subfence", 1, "subfence"), &listener{}, zap.NewNop()), progress.ErrFenced)
	// The late one has fenced the right one before it saw that it is late. The right one is started again, as after any error.
	s.source.Exec(t, "INSERT INTO subfence.t VALUES (2)")
	require.ErrorIs(t, <-second.done, progress.ErrFenced)
	second = start(t, s.job("subfence", 2, "subfence"))
	require.Len(t, r.Next(t, atLeast(1)), 1)
	second.stop(t)
}

func testSubscribeForget(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE forget", "CREATE TABLE forget.t (id INT PRIMARY KEY)", "INSERT INTO forget.t VALUES (1)")
	job := s.job("forget", 1, "forget")
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	named := kafka.Job{ID: job.ID, Incarnation: job.Incarnation}
	require.NoError(t, kafka.Forget(t.Context(), job.Subscription.Brokers, named))
	require.NoError(t, kafka.Forget(t.Context(), job.Subscription.Brokers, named), "twice does no harm")
	s.source.Exec(t, "INSERT INTO forget.t VALUES (2)")
	require.Error(t, <-run.done, "a run that was not told writes nothing more")
	require.Len(t, kafkatest.Read(t, s.brokers, `forget\..*`).Next(t, atLeast(1)), 1)
}

func testSubscribeLarge(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE large", "CREATE TABLE large.t (id INT PRIMARY KEY, v LONGTEXT)")
	job := s.job("large", 1, "large")
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "INSERT INTO large.t VALUES (1, 'small')", "INSERT INTO large.t VALUES (2, REPEAT('x', 1500000))")
	err := <-run.done
	require.ErrorContains(t, err, "a row of large.t for topic large.large.t takes 1500")
	require.ErrorContains(t, err, "more than kafka_max_message_bytes allows (1000000)")
	job.Subscription.Brokers.MaxMessage = 4_000_000
	job.Epoch = 2
	run = start(t, job)
	all := kafkatest.Read(t, s.brokers, `large\..*`).Next(t, atLeast(2))
	require.Len(t, all, 2)
	run.stop(t)
}

func testSubscribeErrors(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE wrong", "CREATE TABLE wrong.high (n BIGINT UNSIGNED)", "INSERT INTO wrong.high VALUES (18446744073709551615)",
		"CREATE DATABASE alike", "CREATE TABLE alike.`a b` (n INT)", "CREATE TABLE alike.`a$b` (n INT)", "INSERT INTO alike.`a b` VALUES (1)", "INSERT INTO alike.`a$b` VALUES (1)")
	plain := mysqltest.Start(t, 3)
	for name, tc := range map[string]struct {
		schema string
		change func(*engine.Job)
		want   string
	}{
		"no broker":    {"wrong", func(j *engine.Job) { j.Subscription.Brokers.Brokers = []string{"127.0.0.1:1"} }, "kafka 127.0.0.1:1: nothing listens there"},
		"no metadata":  {"wrong", func(j *engine.Job) { j.Source = plain.Config() }, "run SET GLOBAL binlog_row_metadata=FULL"},
		"no schema":    {"nowhere", func(*engine.Job) {}, "does not have nowhere"},
		"bad CA":       {"wrong", func(j *engine.Job) { j.Subscription.Brokers.TLS, j.Subscription.Brokers.CA = true, "x" }, "kafka_tls_ca holds no certificate"},
		"unsigned":     {"wrong", func(*engine.Job) {}, "table wrong.high: column n holds a value above 9223372036854775807, which int64 does not hold: set kafka_bigint_unsigned to precise"},
		"shared topic": {"alike", func(*engine.Job) {}, "would share the topic errors_shared_topic.alike.a_b"},
		"long topic":   {"alike", func(j *engine.Job) { j.Subscription.Topic = strings.Repeat("t", 245) }, "is longer than 249 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := s.job("errors_"+strings.ReplaceAll(name, " ", "_"), 1, tc.schema)
			tc.change(&job)
			require.ErrorContains(t, engine.Run(t.Context(), job, &listener{}, zap.NewNop()), tc.want)
		})
	}
}
