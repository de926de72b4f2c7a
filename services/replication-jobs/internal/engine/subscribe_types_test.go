package engine_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/matrix"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// rawRow is a message whose values stay as they were written.
type rawRow struct {
	Schema  json.RawMessage
	Payload struct {
		Before, After map[string]json.RawMessage
		Op            string
	}
}

// fieldSchema is the schema of column v, as the message has it.
func fieldSchema(kind matrix.Type, mysql bool) string {
	if mysql && kind.Column == "JSON" { // a type of its own there
		kind.Schema += `,"name":"io.debezium.data.Json","version":1`
	}
	optional := "true"
	if strings.Contains(kind.Column, "NOT NULL") {
		optional = "false"
	}
	return "{" + kind.Schema + `,"optional":` + optional + `,"field":"v"}`
}

// Every type goes through the snapshot, and through an insert, an update and a delete in the log.
func TestSubscribeTypes(t *testing.T) {
	t.Parallel()
	s := newSubscribed(t)
	setUp := []string{"SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'", "SET NAMES utf8mb4", "CREATE DATABASE types", "USE types"}
	statements := append([]string{}, setUp...)
	changes := []string{setUp[0], setUp[1], setUp[3]}
	messages := 0
	kinds := mysqltest.Types()
	for i := range kinds {
		kind := &kinds[i]
		kind.Values = slices.DeleteFunc(slices.Clone(kind.Values), func(v matrix.Value) bool { return v.JSON == matrix.Refused })
		statements = append(statements, fmt.Sprintf("CREATE TABLE t%d (id INT PRIMARY KEY, v %s, other INT NOT NULL)", i, kind.Column))
		for n, v := range kind.Values {
			statements = append(statements, fmt.Sprintf("INSERT INTO t%d VALUES (%d, %s, 0)", i, 2*n, v.SQL))
			changes = append(changes, fmt.Sprintf("INSERT INTO t%d VALUES (%d, %s, 1)", i, 2*n+1, v.SQL))
			messages += 2
		}
		changes = append(changes, fmt.Sprintf("UPDATE t%d SET other = 2 WHERE id = 0", i), fmt.Sprintf("DELETE FROM t%d WHERE id = 0", i))
		messages += 3 // with a tombstone
	}
	s.source.Exec(t, statements...)
	job := s.job("types", 1, "types")
	job.Subscription.Schemas = true
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, changes...)
	all := kafkatest.Read(t, s.brokers, `types\.types\..*`).Next(t, func(all []*kgo.Record) bool { return len(all) >= messages })
	run.stop(t)
	byTopic := map[string][]*kgo.Record{}
	for _, m := range all {
		byTopic[m.Topic] = append(byTopic[m.Topic], m)
	}
	for i, kind := range kinds {
		t.Run(kind.Column, func(t *testing.T) {
			checkMessages(t, kind, s.source.IsMySQL(), byTopic[fmt.Sprintf("types.types.t%d", i)])
		})
	}
}

// checkMessages compares the messages of a type with what is known of its values, and those of the log with those of the snapshot.
func checkMessages(t *testing.T, kind matrix.Type, mysql bool, messages []*kgo.Record) {
	var schema string
	values := slices.Clone(kind.Values)
	got := map[string]int{}
	for _, m := range messages {
		if m.Value == nil {
			got["tombstone"]++
			continue
		}
		var row rawRow
		require.NoError(t, json.Unmarshal(m.Value, &row), "%s", m.Value)
		if schema == "" {
			schema = string(row.Schema)
		}
		require.Equal(t, schema, string(row.Schema), "snapshot and log")
		got[row.Payload.Op]++
		for _, image := range []map[string]json.RawMessage{row.Payload.Before, row.Payload.After} {
			if image == nil {
				continue
			}
			var id int
			require.NoError(t, json.Unmarshal(image["id"], &id))
			v := &values[id/2]
			v.JSON = cmp.Or(v.JSON, string(image["v"]))
			require.Equal(t, v.JSON, string(image["v"]), "%s of %s", row.Payload.Op, v.SQL)
		}
	}
	n := len(values)
	require.Equal(t, map[string]int{"r": n, "c": n, "u": 1, "d": 1, "tombstone": 1}, got)
	var envelope struct {
		Fields []struct{ Fields []json.RawMessage }
	}
	require.NoError(t, json.Unmarshal([]byte(schema), &envelope))
	require.JSONEq(t, fieldSchema(kind, mysql), string(envelope.Fields[0].Fields[1]))
}
