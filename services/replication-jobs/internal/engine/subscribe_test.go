package engine_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// subscribed is a source and a cluster.
type subscribed struct {
	source  *mysqltest.Server
	cluster *kafkatest.Cluster
}

func (s *subscribed) job(id string, epoch int64, schema string) engine.Job {
	return engine.Job{
		ID: id, Incarnation: "of-" + id, Epoch: epoch, Source: s.source.Config(), Do: []filter.SchemaRule{{Schema: schema}}, ChunkSize: 200,
		Subscription: &engine.Subscription{
			Brokers: kafka.Config{Brokers: s.cluster.ListenAddrs(), MaxMessage: 1_000_000}, Topic: id, ChangeTopic: "schema-changes." + id,
			GroupBytes: 1, GroupTimeout: 100_000_000,
		},
	}
}

// event is what a consumer makes of a message without a schema.
type event struct {
	Before, After map[string]any
	Op            string
	Source        struct {
		Snapshot, DB, Table, GTID, File string
		Pos                             int64
		Row                             int
	}
}

func parse(t *testing.T, r *kgo.Record) event {
	t.Helper()
	var e event
	require.NoError(t, json.Unmarshal(r.Value, &e), "%s", r.Value)
	return e
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	s := &subscribed{source: mysqltest.Start(t, 1, "--binlog-row-metadata=FULL"), cluster: kafkatest.Start(t)}
	s.source.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO shop.t VALUES (1, 'a'), (2, 'b')")
	run := start(t, s.job("demo", 1, "shop"))
	r := kafkatest.Read(t, s.cluster.ListenAddrs(), `demo\..*`)
	all := r.Next(t, func(all []*kgo.Record) bool { return len(all) >= 2 })
	for _, m := range all {
		fmt.Println(m.Topic, string(m.Key), string(m.Value))
	}
	s.source.Exec(t, "INSERT INTO shop.t VALUES (3, 'c')", "UPDATE shop.t SET v = 'x' WHERE id = 1", "UPDATE shop.t SET id = 9 WHERE id = 2", "DELETE FROM shop.t WHERE id = 1")
	all = r.Next(t, func(all []*kgo.Record) bool { return len(all) >= 7 })
	for _, m := range all {
		fmt.Println(m.Topic, m.Partition, string(m.Key), string(m.Value), m.Headers)
	}
	run.stop(t)
	fmt.Println(run.snapshot())
}
