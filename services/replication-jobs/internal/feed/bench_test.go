package feed_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/debezium"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/feed"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafkatest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	benchRounds = 50
	benchEvents = 3 * 1000 * benchRounds
)

// BenchmarkFollow reads the same binary log with the bare parser, which decodes every row, and with followers that write it, with and
// without schemas, to a broker in this process. Each reports row changes per second.
func BenchmarkFollow(b *testing.B) {
	source := mysqltest.Start(b, 1, "--binlog-row-metadata=FULL")
	brokers := kafkatest.Start(b).ListenAddrs()
	source.Exec(b, "CREATE DATABASE bench",
		"CREATE TABLE bench.t (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL, at DATETIME(3), n DECIMAL(12,2)) CHARACTER SET utf8mb4")
	c := source.Connect(b)
	from, err := c.Flavor.CurrentPosition(c)
	require.NoError(b, err)
	for range benchRounds {
		source.Exec(b, "INSERT INTO bench.t SELECT seq, seq, REPEAT('c', 119), REPEAT('p', 59), NOW(3), seq / 7 FROM mysql.seq_1_to_1000",
			"UPDATE bench.t SET k = k + 1", "DELETE FROM bench.t")
	}
	for b.Loop() {
		for name, measure := range map[string]func() time.Duration{
			"parser":  func() time.Duration { return parse(b, source.Config(), from) },
			"plain":   func() time.Duration { return follow(b, source.Config(), c.Flavor, from, brokers, false) },
			"schemas": func() time.Duration { return follow(b, source.Config(), c.Flavor, from, brokers, true) },
		} {
			b.ReportMetric(benchEvents/measure().Seconds(), name+"-events/s")
		}
	}
}

// parse decodes the log from a position on.
func parse(b *testing.B, cfg mysql.Config, from mysql.Position) time.Duration {
	b.Helper()
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4242, Flavor: "mariadb", Host: cfg.Host, Port: cfg.Port, User: cfg.User, Password: cfg.Password, Logger: slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	began := time.Now()
	streamer, err := syncer.StartSync(gomysql.Position{Name: from.File, Pos: from.Offset})
	require.NoError(b, err)
	for rows := 0; rows < benchEvents; {
		e, err := streamer.GetEvent(b.Context())
		require.NoError(b, err)
		if r, ok := e.Event.(*replication.RowsEvent); ok {
			n := len(r.Rows)
			if r.Type() == replication.EnumRowsEventTypeUpdate {
				n /= 2
			}
			rows += n
		}
	}
	return time.Since(began)
}

// follow writes the log from a position on until all of it is committed.
func follow(b *testing.B, cfg mysql.Config, flavor mysql.Flavor, from mysql.Position, brokers []string, schemas bool) time.Duration {
	b.Helper()
	name := "plain"
	if schemas {
		name = "schemas"
	}
	producer, _, err := kafka.Open(b.Context(), kafka.Config{Brokers: brokers, MaxMessage: 1_000_000}, kafka.Job{ID: name, Incarnation: name, Epoch: time.Now().Unix()})
	require.NoError(b, err)
	defer producer.Close()
	chosen, err := mapping.New([]filter.SchemaRule{{Schema: "bench"}}, nil)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	began := time.Now()
	stream, err := binlog.Open(ctx, binlog.Config{Source: cfg, Flavor: flavor, Start: from, Selection: chosen, Metadata: true, Logger: zap.NewNop()})
	require.NoError(b, err)
	defer stream.Close()
	follower, err := feed.NewFollower(feed.Config{
		Source: cfg, Flavor: flavor, Mapping: chosen, Producer: producer, Collations: debezium.Collations{45: {Charset: "utf8mb4"}, 46: {Charset: "utf8mb4"}},
		Format: debezium.Options{Version: "1", Connector: "mariadb", Name: name, Schemas: schemas}, Topics: &feed.Topics{Prefix: name, Changes: name + "-ddl"},
		GroupBytes: 1, GroupTimeout: 100 * time.Millisecond, Event: func(string, string) {}, Log: zap.NewNop(),
	}, from, nil, progress.Applied{})
	require.NoError(b, err)
	ended := make(chan error, 1)
	go func() { ended <- follower.Run(ctx, stream.Transactions()) }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for follower.Stats().Rows < benchEvents {
		select {
		case err := <-ended:
			require.FailNow(b, "the follower has ended", "%v", err)
		case <-tick.C:
		}
	}
	took := time.Since(began)
	cancel()
	require.Error(b, <-ended, "it was told to stop")
	return took
}
