package e2e

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// startKafka starts a cluster in this process and returns the address of its broker.
func startKafka(t testing.TB) string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()[0]
}

func (s *stage) playSubscription(t *testing.T) {
	const prefix = "replication.subscription."
	s.source.exec(t, "SET GLOBAL binlog_row_metadata = FULL")
	for _, call := range []string{"create", "update"} {
		documented, got := s.play(t, prefix+call, nil)
		wanted := s.here(t, documented).(object)
		wanted["eval_create_index"], wanted["job_modify_index"] = "$number", "$number"
		require.Empty(t, apitest.SameValue(wanted, got), "%s, field for field", call)
	}
	s.play(t, prefix+"delete", nil)

	// The other examples are about a job with another topic, which goes on.
	dest := readExample(t, prefix+"create").Request.(object)["dest_task"].(object)
	dest["kafka_topic"] = "subTopick"
	members := object{"task_step_name": "job_stage_incr", "dest_task": s.here(t, dest)}
	answer := s.send(t, readExample(t, prefix+"create"), members)
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Body)
	s.playDetail(t, prefix, s.awaitPlaced(t, prefix))
	_, listed := s.play(t, prefix+"list", nil)
	job := listed["jobs"].([]any)[0].(object)
	require.Equal(t, "subTopick", job["topic"])
	require.Equal(t, []any{s.broker}, job["dst_addr_list"])
	require.Equal(t, "platform:admin", job["user"])

	s.source.exec(t, "INSERT INTO demo.demo_tbl VALUES (3)")
	s.requireMessage(t, "subTopick.demo.demo_tbl", `"payload":{"before":null,"after":{"id":3}`)
	for _, order := range []string{"pause", "resume"} {
		s.play(t, prefix+order, nil)
	}
	s.source.exec(t, "DELETE FROM demo.demo_tbl WHERE id = 3")
	s.requireMessage(t, "subTopick.demo.demo_tbl", `"payload":{"before":{"id":3},"after":null`)
	s.play(t, prefix+"delete", nil)
}

// requireMessage waits for a committed message that contains a text.
func (s *stage) requireMessage(t *testing.T, topic, part string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.broker), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	defer client.Close()
	await(t, patience, "a message on "+topic, func(ctx context.Context) error {
		for _, r := range client.PollFetches(ctx).Records() {
			if strings.Contains(string(r.Value), part) {
				return nil
			}
		}
		return errors.New("none with " + part)
	})
}
