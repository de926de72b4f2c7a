package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// subscribed is a source and a cluster.
type subscribed struct {
	source  *mysqltest.Server
	brokers []string
}

func newSubscribed(t testing.TB) *subscribed {
	t.Helper()
	return &subscribed{source: mysqltest.Start(t, 1, "--binlog-row-metadata=FULL"), brokers: kafkatest.Brokers(t)}
}

// job writes a schema to topics that begin with the job's name.
func (s *subscribed) job(id string, epoch int64, schema string) engine.Job {
	return engine.Job{
		ID: id, Incarnation: "of-" + id, Epoch: epoch, Source: s.source.Config(), Do: []filter.SchemaRule{{Schema: schema}}, ChunkSize: 200,
		Subscription: &engine.Subscription{
			Brokers: kafka.Config{Brokers: s.brokers, MaxMessage: 1_000_000}, Topic: id, ChangeTopic: "schema-changes." + id,
			GroupBytes: 1, GroupTimeout: 100 * time.Millisecond,
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
	DDL string
}

func parse(t testing.TB, r *kgo.Record) event {
	t.Helper()
	var e event
	require.NoError(t, json.Unmarshal(r.Value, &e), "%s", r.Value)
	return e
}

// told is a message in short: its operation, or tombstone, and its key.
func told(t testing.TB, r *kgo.Record) string {
	t.Helper()
	if r.Value == nil {
		return "tombstone " + string(r.Key)
	}
	return parse(t, r).Op + " " + string(r.Key)
}

func atLeast(n int) func([]*kgo.Record) bool {
	return func(all []*kgo.Record) bool { return len(all) >= n }
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	s := newSubscribed(t)
	for name, test := range map[string]func(*testing.T, *subscribed){
		"a copy is followed by changes":         testSubscribeAll,
		"a copy alone ends":                     testSubscribeFull,
		"an interrupted copy goes on":           testSubscribeResume,
		"definitions change":                    testSubscribeDDL,
		"names, columns and rows are mapped":    testSubscribeMapped,
		"tables without a key":                  testSubscribeKeyless,
		"all tables in one topic":               testSubscribeSingle,
		"groups fill up to their size":          testSubscribeGroupSize,
		"groups wait no longer than they may":   testSubscribeGroupTimeout,
		"a later run fences an earlier one":     testSubscribeFence,
		"what is forgotten begins anew":         testSubscribeForget,
		"large rows are an error until allowed": testSubscribeLarge,
		"errors are in words":                   testSubscribeErrors,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func testSubscribeAll(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO shop.t VALUES (1, 'a'), (2, 'b')")
	run := start(t, s.job("all", 1, "shop"))
	r := kafkatest.Read(t, s.brokers, `all\..*`)
	for _, m := range r.Next(t, atLeast(2)) {
		e := parse(t, m)
		require.Equal(t, "all.shop.t", m.Topic)
		require.Equal(t, "r", e.Op)
		require.Equal(t, "true", e.Source.Snapshot)
		require.Nil(t, e.Before)
	}
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "INSERT INTO shop.t VALUES (3, 'c')", "UPDATE shop.t SET v = 'x' WHERE id = 3", "UPDATE shop.t SET id = 9 WHERE id = 3", "DELETE FROM shop.t WHERE id = 9")
	all := r.Next(t, atLeast(7))
	byKey := map[string][]string{}
	partitions := map[string]int32{}
	for _, m := range all {
		key := string(m.Key)
		byKey[key] = append(byKey[key], told(t, m))
		if p, ok := partitions[key]; ok {
			require.Equal(t, p, m.Partition, "one key, one partition")
		}
		partitions[key] = m.Partition
		if m.Value != nil {
			e := parse(t, m)
			require.Equal(t, "false", e.Source.Snapshot)
			require.Equal(t, "shop.t", e.Source.DB+"."+e.Source.Table)
			require.Regexp(t, `^(0-1-|[0-9a-f-]{36}:)\d+$`, e.Source.GTID)
			require.Positive(t, e.Source.Pos)
		}
		for _, h := range m.Headers {
			require.Equal(t, map[string]string{"__debezium.newkey": `{"id":9}`, "__debezium.oldkey": `{"id":3}`}[h.Key], string(h.Value))
		}
	}
	require.Equal(t, map[string][]string{
		`{"id":3}`: {`c {"id":3}`, `u {"id":3}`, `d {"id":3}`, `tombstone {"id":3}`},
		`{"id":9}`: {`c {"id":9}`, `d {"id":9}`, `tombstone {"id":9}`},
	}, byKey)
	run.await(t, func() bool {
		_, last, _ := run.snapshot()
		return last.ExecRows == 4 && last.Lag == 0 && last.Executed.GTIDSet != "" && last.CopiedRows == 2 && last.Percent == 100
	})
	run.stop(t)
}

func testSubscribeFull(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE subfull", "CREATE TABLE subfull.t (id INT PRIMARY KEY)", "INSERT INTO subfull.t SELECT seq FROM mysql.seq_1_to_1000")
	job := s.job("full", 1, "subfull")
	job.Step = string(engine.StepFull)
	l := &listener{}
	require.NoError(t, engine.Run(t.Context(), job, l, zap.NewNop()))
	require.Len(t, kafkatest.Read(t, s.brokers, `full\..*`).Next(t, atLeast(1000)), 1000)
	_, last, _ := l.snapshot()
	require.Equal(t, int64(1000), last.CopiedRows)
	job.Epoch = 2
	require.NoError(t, engine.Run(t.Context(), job, &listener{}, zap.NewNop()), "what is done is not done again")
	job.Step = string(engine.StepAll)
	s.source.Exec(t, "INSERT INTO subfull.t VALUES (5000)")
	run := start(t, job)
	all := kafkatest.Read(t, s.brokers, `full\..*`).Next(t, atLeast(1001))
	require.Len(t, all, 1001)
	run.stop(t)
}

// materialize is what a consumer that keeps the last value of each key has.
func materialize(t testing.TB, all []*kgo.Record) map[string]map[string]any {
	t.Helper()
	rows := map[string]map[string]any{}
	for _, m := range all {
		key := m.Topic + string(m.Key)
		if m.Value == nil {
			delete(rows, key)
			continue
		}
		rows[key] = parse(t, m).After
	}
	return rows
}

func testSubscribeResume(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE resume", "CREATE TABLE resume.t (id INT PRIMARY KEY, v INT, pad VARCHAR(500))",
		"INSERT INTO resume.t SELECT seq, 0, REPEAT('p', 500) FROM mysql.seq_1_to_100000") // several commits
	run := start(t, s.job("resume", 1, "resume"))
	kafkatest.Read(t, s.brokers, `resume\..*`).Next(t, atLeast(1)) // of the first commit
	run.stop(t)
	_, last, _ := run.snapshot()
	require.Less(t, last.CopiedRows, int64(100000), "the copy is not done yet")
	s.source.Exec(t, "UPDATE resume.t SET v = 1 WHERE id % 1000 = 0", "DELETE FROM resume.t WHERE id % 1000 = 1", "INSERT INTO resume.t VALUES (200000, 2, NULL)")
	run = start(t, s.job("resume", 2, "resume"))
	run.awaitEvent(t, "continuing the copy")
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "INSERT INTO resume.t VALUES (300000, 3, NULL)")
	reads := map[string]int{}
	kafkatest.Read(t, s.brokers, `resume\..*`).Next(t, until(`{"id":300000}`))
	all := kafkatest.All(t, s.brokers, `resume\..*`)
	run.stop(t)
	for _, m := range all {
		if m.Value != nil && parse(t, m).Op == "r" {
			reads[string(m.Key)]++
			require.Equal(t, 1, reads[string(m.Key)], "no row is read twice")
		}
	}
	rows := materialize(t, all)
	require.Len(t, rows, 99902)
	require.InDelta(t, 1, rows[`resume.resume.t{"id":1000}`]["v"], 0)
	require.InDelta(t, 1, rows[`resume.resume.t{"id":100000}`]["v"], 0)
	require.NotContains(t, rows, `resume.resume.t{"id":1}`)
	require.NotContains(t, rows, `resume.resume.t{"id":99001}`)
}

// until reports that a message with a key has come.
func until(key string) func([]*kgo.Record) bool {
	seen := 0
	return func(all []*kgo.Record) bool {
		for ; seen < len(all); seen++ {
			if string(all[seen].Key) == key {
				return true
			}
		}
		return false
	}
}

func testSubscribeDDL(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE ddl", "CREATE TABLE ddl.t (id INT PRIMARY KEY, a INT, b INT)", "INSERT INTO ddl.t VALUES (1, 10, 20)")
	run := start(t, s.job("ddl", 1, "ddl"))
	run.awaitEvent(t, "job_stage_incr")
	// All of it is in the log before the reader sees the first of it: names of columns must be those of the moment.
	s.source.Exec(t, "UPDATE ddl.t SET a = 11", "ALTER TABLE ddl.t RENAME COLUMN a TO x, RENAME COLUMN b TO a", "UPDATE ddl.t SET x = 12",
		"ALTER TABLE ddl.t DROP COLUMN x, ADD COLUMN note VARCHAR(10) FIRST", "UPDATE ddl.t SET note = 'n'", "RENAME TABLE ddl.t TO ddl.u", "UPDATE ddl.u SET a = 21",
		"CREATE TABLE ddl.later (k INT PRIMARY KEY)", "INSERT INTO ddl.later VALUES (5)")
	all := kafkatest.Read(t, s.brokers, `ddl\..*`).Next(t, atLeast(6))
	got := map[string][]map[string]any{}
	for _, m := range all {
		got[m.Topic] = append(got[m.Topic], parse(t, m).After)
	}
	require.Equal(t, map[string][]map[string]any{
		"ddl.ddl.t": {
			{"id": 1., "a": 10., "b": 20.}, {"id": 1., "a": 11., "b": 20.}, {"id": 1., "x": 12., "a": 20.}, {"note": "n", "id": 1., "a": 20.},
		},
		"ddl.ddl.u":     {{"note": "n", "id": 1., "a": 21.}},
		"ddl.ddl.later": {{"k": 5.}},
	}, got)
	var statements []string
	for _, m := range kafkatest.Read(t, s.brokers, `schema-changes\.ddl`).Next(t, atLeast(5)) {
		require.JSONEq(t, `{"databaseName":"ddl"}`, string(m.Key))
		statements = append(statements, strings.Fields(parse(t, m).DDL)[0])
	}
	require.Equal(t, []string{"CREATE", "ALTER", "ALTER", "RENAME", "CREATE"}, statements)
	run.stop(t)
}

func testSubscribeKeyless(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE keyless", "CREATE TABLE keyless.log (n INT)", "CREATE TABLE keyless.uq (z INT, b INT NOT NULL, a INT NOT NULL, UNIQUE zz (b), UNIQUE aa (a))",
		"CREATE TABLE keyless.pre (t VARCHAR(50) NOT NULL, PRIMARY KEY (t(3)))",
		"INSERT INTO keyless.log SELECT seq FROM mysql.seq_1_to_50", "INSERT INTO keyless.uq VALUES (1, 2, 3)", "INSERT INTO keyless.pre VALUES ('abcdef')")
	run := start(t, s.job("keyless", 1, "keyless"))
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "UPDATE keyless.log SET n = -n WHERE n < 3", "DELETE FROM keyless.log WHERE n = 50", "UPDATE keyless.uq SET z = 9", "UPDATE keyless.pre SET t = 'abcxyz'")
	all := kafkatest.Read(t, s.brokers, `keyless\..*`).Next(t, atLeast(59))
	var log, others []string
	for _, m := range all {
		if m.Topic != "keyless.keyless.log" {
			others = append(others, told(t, m))
			continue
		}
		require.Nil(t, m.Key)
		require.Zero(t, m.Partition, "one partition, so that the order is kept")
		log = append(log, parse(t, m).Op)
	}
	require.Equal(t, strings.Repeat("r", 50)+"uud", strings.Join(log, ""), "no tombstone")
	require.ElementsMatch(t, []string{
		`r {"b":2}`, `u {"b":2}`, `r {"t":"abcdef"}`, `d {"t":"abcdef"}`, `tombstone {"t":"abcdef"}`, `c {"t":"abcxyz"}`,
	}, others)
	run.stop(t)
}

func testSubscribeSingle(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE single", "CREATE TABLE single.a (id INT PRIMARY KEY)", "CREATE TABLE single.b (id INT PRIMARY KEY)", "INSERT INTO single.a VALUES (1)", "INSERT INTO single.b VALUES (1)")
	job := s.job("single", 1, "single")
	job.Subscription.SingleTopic = true
	run := start(t, job)
	var keys []string
	for _, m := range kafkatest.Read(t, s.brokers, `single`).Next(t, atLeast(2)) {
		keys = append(keys, string(m.Key))
	}
	require.ElementsMatch(t, []string{
		`{"id":1,"__dbz__physicalTableIdentifier":"single.single.a"}`, `{"id":1,"__dbz__physicalTableIdentifier":"single.single.b"}`,
	}, keys)
	run.stop(t)
}

func testSubscribeGroupSize(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE sized", "CREATE TABLE sized.t (id INT PRIMARY KEY, v CHAR(100))")
	job := s.job("sized", 1, "sized")
	job.Subscription.GroupBytes, job.Subscription.GroupTimeout = 20000, time.Hour
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	insert := func(id int) { s.source.Exec(t, fmt.Sprintf("INSERT INTO sized.t VALUES (%d, REPEAT('v', 100))", id)) }
	const few = 10 // of about 500 bytes
	for id := range few {
		insert(id)
	}
	c := s.source.Connect(t)
	end, err := c.Flavor.CurrentPosition(c)
	require.NoError(t, err)
	run.await(t, func() bool {
		_, last, _ := run.snapshot()
		require.Zero(t, last.ExecRows)
		return last.Source.Offset >= end.Offset
	})
	for id := few; id < 60; id++ {
		insert(id)
	}
	all := kafkatest.Read(t, s.brokers, `sized\..*`).Next(t, atLeast(few))
	require.Greater(t, len(all), few, "a group becomes visible at once")
	run.stop(t)
}

func testSubscribeGroupTimeout(t *testing.T, s *subscribed) {
	s.source.Exec(t, "CREATE DATABASE timed", "CREATE TABLE timed.t (id INT PRIMARY KEY)")
	job := s.job("timed", 1, "timed")
	job.Subscription.GroupBytes, job.Subscription.GroupTimeout = 1<<30, 50*time.Millisecond
	run := start(t, job)
	run.awaitEvent(t, "job_stage_incr")
	s.source.Exec(t, "INSERT INTO timed.t VALUES (1)")
	kafkatest.Read(t, s.brokers, `timed\..*`).Next(t, atLeast(1))
	run.stop(t)
}
