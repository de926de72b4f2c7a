package engine_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
)

func testSubscribeMapped(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE region_7",
		"CREATE TABLE region_7.orders (secret INT, id INT PRIMARY KEY, city VARCHAR(20) COLLATE utf8mb4_bin, state ENUM('new', 'it''s paid', 'sent') COLLATE utf8mb4_bin, n INT)",
		"INSERT INTO region_7.orders VALUES (9, 1, 'Bern', 'it''s paid', 1), (9, 2, 'Bern', 'new', 1), (9, 3, 'bern', 'sent', 1), (9, 4, 'Bern', NULL, 1)")
	job := s.job("mapped", 1, "")
	job.Do = []filter.SchemaRule{{Regex: `^region_(\d+)$`, Rename: "shop_${1}", Tables: []filter.TableRule{
		{Name: "orders", Rename: "sales", Columns: []string{"n", "id", "city", "state"}, Where: "city = 'Bern' AND state <> 'new'"},
	}}}
	run := start(t, job)
	r := kafkatest.Read(t, s.brokers, `mapped\.shop_7\.sales`)
	for _, m := range r.Next(t, atLeast(1)) {
		require.Equal(t, `r {"city":"Bern","id":1,"n":1,"state":"it's paid"}`, afterwards(t, m))
	}
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "UPDATE region_7.orders SET state = 'sent' WHERE id = 2", "UPDATE region_7.orders SET secret = 8, n = 2 WHERE id IN (1, 3)",
		"UPDATE region_7.orders SET city = 'Basel' WHERE id = 1", "ALTER TABLE region_7.orders DROP COLUMN secret, ADD COLUMN late INT FIRST",
		"INSERT INTO region_7.orders VALUES (0, 5, 'Bern', 'sent', 5), (0, 6, 'Zug', 'sent', 5)", "UPDATE region_7.orders SET id = 7 WHERE id = 5",
		"DELETE FROM region_7.orders WHERE id IN (3, 7)")
	byKey := map[string][]string{}
	for _, m := range r.Next(t, atLeast(10)) {
		byKey[string(m.Key)] = append(byKey[string(m.Key)], afterwards(t, m))
	}
	require.Equal(t, map[string][]string{
		`{"id":1}`: {`u {"city":"Bern","id":1,"n":2,"state":"it's paid"}`, `d null`, `tombstone`},
		`{"id":2}`: {`c {"city":"Bern","id":2,"n":1,"state":"sent"}`},
		`{"id":5}`: {`c {"city":"Bern","id":5,"n":5,"state":"sent"}`, `d null`, `tombstone`},
		`{"id":7}`: {`c {"city":"Bern","id":7,"n":5,"state":"sent"}`, `d null`, `tombstone`},
	}, byKey)
	run.stop(t)
}

// afterwards is a message in short: its operation, and the row after the change.
func afterwards(t testing.TB, m *kgo.Record) string {
	t.Helper()
	if m.Value == nil {
		return "tombstone"
	}
	e := parse(t, m)
	require.Equal(t, "region_7.orders", e.Source.DB+"."+e.Source.Table, "the source block tells the names at the source")
	after, err := json.Marshal(e.After)
	require.NoError(t, err)
	return e.Op + " " + string(after)
}
