package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// State is what was committed of a job.
type State struct {
	// Epoch is the highest of earlier runs.
	Epoch    int64
	Stage    progress.Stage
	Position mysql.Position
	// Transactions and Rows count what was written from the binary log so far.
	Transactions, Rows int64
	// Copy is how far the copy has come; empty for a job that copies nothing.
	Copy *progress.Copy
}

// Record is a part of the progress; a later one of the same key takes its place.
type Record struct{ key, value []byte }

// The kinds of record; they are the first element of a record's key, a JSON array.
const (
	kindRun      = "run"
	kindJob      = "job"
	kindSnapshot = "snapshot"
	kindTable    = "table"
)

var runKey = []any{kindRun}

// runRecord is written by each run before it reads. Mark tells it from those of others.
type runRecord struct {
	Job   string `json:"job"`
	Epoch int64  `json:"epoch"`
	Mark  string `json:"mark"`
}

type jobRecord struct {
	Epoch        int64          `json:"epoch"`
	Stage        progress.Stage `json:"stage"`
	Position     mysql.Position `json:"position"`
	SourceTime   time.Time      `json:"source_time"`
	Transactions int64          `json:"transactions"`
	Rows         int64          `json:"rows"`
}

func newRecord(key []any, value any) (Record, error) {
	k, err := json.Marshal(key)
	if err != nil {
		return Record{}, err
	}
	if value == nil {
		return Record{key: k}, nil
	}
	v, err := json.Marshal(value)
	return Record{key: k, value: v}, err
}

// StageRecord says which stage the job is in, and from where it follows the binary log.
func (p *Producer) StageRecord(stage progress.Stage, applied progress.Applied) (Record, error) {
	return newRecord([]any{kindJob}, jobRecord{
		Epoch: p.job.Epoch, Stage: stage, Position: applied.Position, SourceTime: applied.SourceTime,
		Transactions: applied.Transactions, Rows: applied.Rows,
	})
}

// SnapshotRecord says where a snapshot was taken.
func SnapshotRecord(number int, at mysql.Position) (Record, error) {
	return newRecord([]any{kindSnapshot, number}, at)
}

// TableRecord says how far the copy of a table has come.
func TableRecord(t *progress.Table) (Record, error) {
	return newRecord([]any{kindTable, t.Schema, t.Name}, t)
}

// NoTableRecord forgets a table.
func NoTableRecord(t *progress.Table) (Record, error) {
	return newRecord([]any{kindTable, t.Schema, t.Name}, nil)
}

// load reads the progress up to the record with the mark. Later runs write behind it only after they have fenced this one.
func (p *Producer) load(ctx context.Context, mark string) (*State, error) {
	options, err := p.cfg.options()
	if err != nil {
		return nil, err
	}
	topic := p.job.ProgressTopic()
	consumer, err := kgo.NewClient(append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	r := reader{mark: mark, state: &State{Stage: progress.StageNew}, tables: map[string]*progress.Table{}}
	for !r.done {
		fetched := consumer.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return nil, fmt.Errorf("read the progress in topic %s: %w", topic, err)
		}
		for _, record := range fetched.Records() {
			if err := r.take(record); err != nil {
				return nil, fmt.Errorf("read the progress in topic %s at offset %d: %w", topic, record.Offset, err)
			}
		}
	}
	return r.finish(), nil
}

// reader puts records together.
type reader struct {
	mark      string
	done      bool
	state     *State
	snapshots []mysql.Position
	tables    map[string]*progress.Table
	order     []string
}

func (r *reader) take(record *kgo.Record) error {
	var key []any
	if err := json.Unmarshal(record.Key, &key); err != nil || len(key) == 0 || r.done {
		return err
	}
	switch key[0] {
	case kindRun:
		var run runRecord
		if err := json.Unmarshal(record.Value, &run); err != nil {
			return err
		}
		if r.done = run.Mark == r.mark; !r.done {
			r.state.Epoch = max(r.state.Epoch, run.Epoch)
		}
	case kindJob:
		var job jobRecord
		if err := json.Unmarshal(record.Value, &job); err != nil {
			return err
		}
		r.state.Epoch = max(r.state.Epoch, job.Epoch)
		r.state.Stage, r.state.Position, r.state.Transactions, r.state.Rows = job.Stage, job.Position, job.Transactions, job.Rows
	case kindSnapshot:
		var at mysql.Position
		if err := json.Unmarshal(record.Value, &at); err != nil {
			return err
		}
		r.snapshots = append(r.snapshots, at) // they are recorded in order, and never again
	case kindTable:
		return r.takeTable(record)
	}
	return nil
}

func (r *reader) takeTable(record *kgo.Record) error {
	key := string(record.Key)
	if record.Value == nil {
		delete(r.tables, key)
		return nil
	}
	table := &progress.Table{}
	if err := json.Unmarshal(record.Value, table); err != nil {
		return err
	}
	if r.tables[key] == nil {
		r.order = append(r.order, key)
	}
	r.tables[key] = table
	return nil
}

func (r *reader) finish() *State {
	r.state.Copy = &progress.Copy{Snapshots: r.snapshots}
	for _, key := range r.order {
		if t := r.tables[key]; t != nil {
			r.state.Copy.Tables = append(r.state.Copy.Tables, t)
			delete(r.tables, key) // a table that was forgotten and begun again is in the order twice
		}
	}
	return r.state
}

// Forget removes the progress of a deleted job, after it has fenced off a run that may still be at work.
func Forget(ctx context.Context, cfg Config, job Job) error {
	options, err := cfg.options()
	if err != nil {
		return fmt.Errorf("kafka %s: %w", cfg.Addr(), err)
	}
	client, err := kgo.NewClient(append(options, kgo.TransactionalID(job.transactionalID()))...)
	if err != nil {
		return fmt.Errorf("kafka %s: %w", cfg.Addr(), err)
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return cfg.explain(ctx, err)
	}
	if _, _, err := client.ProducerID(ctx); err != nil {
		return cfg.explain(ctx, fmt.Errorf("fence off its last run: %w", err))
	}
	deleted, err := kadm.NewClient(client).DeleteTopic(ctx, job.ProgressTopic())
	if err = errors.Join(err, deleted.Err); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return cfg.explain(ctx, fmt.Errorf("delete topic %s: %w", job.ProgressTopic(), err))
	}
	return nil
}
