package engine

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/pkg/app"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/debezium"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/feed"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/kafka"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// subscription is one run of a job that writes to Kafka.
type subscription struct {
	*run

	producer *kafka.Producer
	feed     feed.Config
	before   progress.Applied // the counters of earlier runs
}

// subscribe runs a job that writes to Kafka.
func (r *run) subscribe(ctx context.Context) error {
	if err := r.prepare(); err != nil {
		return err
	}
	producer, state, err := kafka.Open(ctx, r.job.Subscription.Brokers, kafka.Job{ID: r.job.ID, Incarnation: r.job.Incarnation, Epoch: r.job.Epoch})
	if err != nil {
		return err
	}
	defer producer.Close()
	defer r.disconnect()
	with := func(ctx context.Context) error { return r.publish(ctx, producer, state) }
	without := func(ctx context.Context) error { return r.feed(producer, state).replicate(ctx, state) }
	return r.withSource(ctx, knownOf(state), with, without)
}

// publish brings the source's rows and changes to the cluster.
func (r *run) publish(ctx context.Context, producer *kafka.Producer, state *kafka.State) error {
	if err := checkMetadata(r.source); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := progress.EvictReaders(r.source, r.job.ID); err != nil {
		return err
	}
	collations, err := loadCollations(r.source)
	if err != nil {
		return fmt.Errorf("source: %w", mysql.Explain(err))
	}
	if err := r.learn(facts{Version: r.source.Version, Collations: collations}); err != nil {
		return err
	}
	stop := r.report.start(ctx)
	defer stop()
	return r.feed(producer, state).replicate(ctx, state)
}

// feed is the run of a subscription whose source is known.
func (r *run) feed(producer *kafka.Producer, state *kafka.State) *subscription {
	s := &subscription{run: r, producer: producer, before: progress.Applied{Transactions: state.Transactions, Rows: state.Rows}}
	s.feed = s.config()
	return s
}

// knownOf is what the cluster remembers of a job.
func knownOf(state *kafka.State) known {
	k := known{State: progress.State{Stage: state.Stage, Position: state.Position}}
	if state.Copy != nil {
		k.snapshots = state.Copy.Snapshots
	}
	k.start = startOf(k.State, state.Copy)
	return k
}

func (s *subscription) config() feed.Config {
	sub := s.job.Subscription
	return feed.Config{
		Source: s.job.Source, JobID: s.job.ID, Flavor: s.facts.flavor(), Mapping: s.mapping, Collations: s.facts.Collations, Producer: s.producer,
		Format: debezium.Options{
			Version: "opsdeck " + app.Version, Connector: s.facts.flavor().Name(), Name: sub.Topic,
			Schemas: sub.Schemas, DecimalString: sub.DecimalString, PreciseUnsigned: sub.PreciseUnsigned, SingleTopic: sub.SingleTopic,
		},
		Topics:    &feed.Topics{Prefix: sub.Topic, Single: sub.SingleTopic, Changes: sub.ChangeTopic},
		ChunkSize: cmp.Or(s.job.ChunkSize, defaultChunkSize), Readers: copyReaders,
		GroupBytes: sub.GroupBytes, GroupTimeout: sub.GroupTimeout, Event: s.report.event, Log: s.log,
	}
}

// replicate goes through the stages that are left, while it looks after the brokers.
func (s *subscription) replicate(ctx context.Context, state *kafka.State) error {
	group, ctx := errgroup.WithContext(ctx)
	work, done := context.WithCancel(ctx)
	group.Go(func() error {
		if err := s.producer.Watch(work); work.Err() == nil {
			return err
		}
		return nil
	})
	group.Go(func() error {
		defer done()
		return s.stages(ctx, state)
	})
	return group.Wait()
}

func (s *subscription) stages(ctx context.Context, state *kafka.State) error {
	copied, start := state.Copy, state.Position
	if state.Stage != progress.StageStream {
		var err error
		if copied, start, err = s.reachStream(ctx, state); err != nil {
			return err
		}
	}
	if Step(s.job.Step) == StepFull {
		return s.settle(ctx, start, copied, s.stream)
	}
	return s.stream(ctx, start, copied)
}

// reachStream does what comes before streaming, and commits where that starts.
func (s *subscription) reachStream(ctx context.Context, state *kafka.State) (*progress.Copy, mysql.Position, error) {
	copied, start := state.Copy, mysql.Position{}
	var err error
	if state.Stage == progress.StageCopy || s.wantsCopy() {
		err = s.relayed(ctx, knownOf(state).start, func(ctx context.Context) (err error) {
			if copied, err = s.copy(ctx, copied); err == nil {
				start = copied.Start()
			}
			return err
		})
	} else {
		start, _, _, err = s.chooseStart()
	}
	if err != nil {
		return nil, start, err
	}
	record, err := s.producer.StageRecord(progress.StageStream, progress.Applied{Position: start})
	if err != nil {
		return nil, start, err
	}
	return copied, start, s.producer.Commit(ctx, record)
}

func (s *subscription) copy(ctx context.Context, before *progress.Copy) (*progress.Copy, error) {
	copier := feed.NewCopier(s.feed, before)
	s.report.copying(copier)
	return copier.Run(ctx)
}

func (s *subscription) stream(ctx context.Context, start mysql.Position, copied *progress.Copy) error {
	handover, err := copied.Handover(s.facts.flavor())
	if err != nil {
		return err
	}
	follower, err := feed.NewFollower(s.feed, start, handover, s.before)
	if err != nil {
		return err
	}
	stream, err := s.open(ctx, start)
	if err != nil {
		return err
	}
	defer stream.Close()
	s.report.streaming(stream, following{follower}, s.queue(), copied.Rows())
	if err := follower.Run(ctx, stream.Transactions()); err != nil {
		return err
	}
	return cmp.Or(stream.Err(), context.Cause(ctx), errStreamEnded)
}

// following shows the counters of a follower as those of an applier.
type following struct{ follower *feed.Follower }

// Stats implements applier.
func (f following) Stats() apply.Stats {
	s := f.follower.Stats()
	return apply.Stats{Transactions: s.Transactions, Rows: s.Rows, Commits: s.Commits, Position: s.Position, SourceTime: s.SourceTime}
}

// checkMetadata fails unless the source's log tells the definitions of tables along with their rows.
func checkMetadata(c *mysql.Conn) error {
	r, err := c.Execute("SHOW GLOBAL VARIABLES LIKE 'binlog_row_metadata'")
	if err != nil {
		return fmt.Errorf("read the settings of the binary log: %w", mysql.Explain(err))
	}
	if r.RowNumber() == 0 {
		return &mysql.Error{Permanent: true, Sentence: "the server, " + c.Version + ", does not log the definitions of tables, from which messages are made: " +
			"a subscription needs MySQL 8.0.1 or MariaDB 10.5 at least"}
	}
	value, err := r.GetString(0, 1)
	if err != nil {
		return err
	}
	if !strings.EqualFold(value, "FULL") {
		return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf("the server has binlog_row_metadata=%s, so that its log does not name columns: "+
			"run SET GLOBAL binlog_row_metadata=FULL, and set it in the server's configuration", value)}
	}
	return nil
}

// loadCollations reads the collations of the source. MariaDB lists some once for several character sets, and the ids of each pair elsewhere.
func loadCollations(c *mysql.Conn) (debezium.Collations, error) {
	out := debezium.Collations{}
	queries := []string{"SELECT id, collation_name, character_set_name FROM information_schema.collations WHERE id IS NOT NULL"}
	known, err := c.Execute(`SELECT 1 FROM information_schema.columns
		WHERE table_schema = 'information_schema' AND table_name = 'COLLATION_CHARACTER_SET_APPLICABILITY' AND column_name = 'ID'`)
	if err != nil {
		return nil, err
	}
	if known.RowNumber() > 0 {
		queries = append(queries, "SELECT id, full_collation_name, character_set_name FROM information_schema.collation_character_set_applicability WHERE id IS NOT NULL")
	}
	for _, query := range queries {
		r, err := c.Execute(query)
		if err != nil {
			return nil, err
		}
		for i := range r.RowNumber() {
			id, err := r.GetString(i, 0)
			if err != nil {
				return nil, err
			}
			n, err := strconv.ParseUint(id, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("the id of a collation: %w", err)
			}
			var known debezium.Collation
			if known.Name, err = r.GetString(i, 1); err != nil {
				return nil, err
			}
			if known.Charset, err = r.GetString(i, 2); err != nil {
				return nil, err
			}
			out[n] = known
		}
	}
	return out, nil
}
