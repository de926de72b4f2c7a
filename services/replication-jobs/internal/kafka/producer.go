package kafka

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

const (
	// transactionTimeout is how long a transaction may be open. It bounds the time in which one transaction of the source must be
	// written, and is the most that brokers allow by default.
	transactionTimeout = 15 * time.Minute
	// patience bounds a question to the brokers, and the time for which they may acknowledge nothing.
	patience = 30 * time.Second
	// closing bounds the polite end of a producer.
	closing = 2 * time.Second
	// bufferBytes bounds what is sent and not acknowledged; a message that is larger waits until nothing else is.
	bufferBytes   = 32 << 20
	bufferRecords = 1 << 20
	linger        = 5 * time.Millisecond
	watchEvery    = 3 * time.Second
	// overhead is what a message takes beside its key and value.
	overhead = 128
	// maxKept is the largest buffer that is kept for another message.
	maxKept = 64 << 10
)

// Message is what is written to a topic.
type Message struct {
	Topic string
	// Key may be nil; a nil Value is a tombstone.
	Key, Value []byte
	Headers    []Header
	Time       time.Time
	// About names what the message speaks of, for errors.
	About string
}

// Header goes with a message.
type Header struct {
	Name  string
	Value []byte
}

// Producer writes messages and progress of one job. It is used by one goroutine, except for Watch, Unacknowledged and Buffer.
type Producer struct {
	cfg    Config
	job    Job
	client *kgo.Client
	admin  *kadm.Client
	topics map[string]bool
	open   bool // a transaction is
	// buffers are values of messages that the brokers have.
	buffers sync.Pool

	failed atomic.Pointer[error]
	heard  atomic.Int64 // when the brokers last acknowledged, or there was nothing to acknowledge
}

// Open takes the job over: it fences off every producer that was opened before, whose transaction under way is rolled back, and returns
// what was committed. It fails with progress.ErrFenced if a run of a later epoch has the job.
func Open(ctx context.Context, cfg Config, job Job) (*Producer, *State, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, nil, fmt.Errorf("kafka %s: %w", cfg.Addr(), err)
	}
	client, err := kgo.NewClient(append(options,
		kgo.TransactionalID(job.transactionalID()), kgo.TransactionTimeout(transactionTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(partitioner{kgo.StickyKeyPartitioner(nil)}),
		kgo.ProducerBatchMaxBytes(int32(cfg.MaxMessage)), kgo.MaxBufferedBytes(max(bufferBytes, 2*cfg.MaxMessage)),
		kgo.MaxBufferedRecords(bufferRecords), kgo.ProducerLinger(linger),
		kgo.UnknownTopicRetries(-1), // a topic was made just before, and not all brokers know it yet
	)...)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka %s: %w", cfg.Addr(), err)
	}
	p := &Producer{cfg: cfg, job: job, client: client, admin: kadm.NewClient(client), topics: map[string]bool{}}
	state, err := p.claim(ctx)
	if err != nil {
		p.Close()
		return nil, nil, err
	}
	return p, state, nil
}

// claim commits a record of this run, and reads the progress up to that record: what was committed before is complete then.
func (p *Producer) claim(ctx context.Context) (*State, error) {
	asking, cancel := context.WithTimeoutCause(ctx, patience, errUnanswered)
	defer cancel()
	if err := p.client.Ping(asking); err != nil {
		return nil, p.cfg.explain(ctx, err)
	}
	if err := p.ensure(ctx, 1, progressConfig, p.job.ProgressTopic()); err != nil {
		return nil, err
	}
	mark := rand.Text()
	record, err := newRecord(runKey, runRecord{Job: p.job.ID, Epoch: p.job.Epoch, Mark: mark})
	if err != nil {
		return nil, err
	}
	if err := p.Commit(asking, record); err != nil {
		return nil, err
	}
	state, err := p.load(asking, mark)
	if err != nil {
		return nil, p.cfg.explain(asking, err)
	}
	if state.Epoch > p.job.Epoch {
		return nil, progress.ErrFenced
	}
	return state, nil
}

// Buffer returns an empty buffer to append the value of a message to.
func (p *Producer) Buffer() []byte {
	if buffer, ok := p.buffers.Get().(*[]byte); ok {
		return (*buffer)[:0]
	}
	return nil
}

// Send hands over a message of the transaction under way, or of a new one. It waits while too much is not acknowledged. The value is the
// producer's from then on, which writes over it once the brokers have it; key and headers must stay as they are.
func (p *Producer) Send(ctx context.Context, m Message) error {
	if size := len(m.Key) + len(m.Value) + overhead; size > p.cfg.MaxMessage {
		return fmt.Errorf("a message about %s for topic %s takes %d bytes, more than kafka_max_message_bytes allows (%d): raise it, and the topic's max.message.bytes",
			m.About, m.Topic, size, p.cfg.MaxMessage)
	}
	if !p.topics[m.Topic] {
		if err := p.ensure(ctx, byBroker, nil, m.Topic); err != nil {
			return err
		}
	}
	r := &kgo.Record{Topic: m.Topic, Key: m.Key, Value: m.Value, Timestamp: m.Time}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
	}
	return p.send(ctx, r, p.sent)
}

func (p *Producer) send(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error)) error {
	if err := p.failure(ctx); err != nil {
		return err
	}
	if !p.open {
		if err := p.client.BeginTransaction(); err != nil {
			return p.cfg.explain(ctx, err)
		}
		p.open = true
	}
	if p.client.BufferedProduceRecords() == 0 {
		p.heard.Store(time.Now().UnixNano())
	}
	p.client.Produce(ctx, r, promise)
	return nil
}

// sent is told of every message what became of it, and keeps the buffer of one that has arrived.
func (p *Producer) sent(r *kgo.Record, err error) {
	p.acknowledged(r, err)
	if err == nil && cap(r.Value) > 0 && cap(r.Value) <= maxKept {
		value := r.Value
		p.buffers.Put(&value)
	}
}

// acknowledged is told of every record what became of it.
func (p *Producer) acknowledged(r *kgo.Record, err error) {
	if err == nil {
		p.heard.Store(time.Now().UnixNano())
		return
	}
	err = fmt.Errorf("write to topic %s: %w", r.Topic, err)
	p.failed.CompareAndSwap(nil, &err)
}

// failure is the first error of a message.
func (p *Producer) failure(ctx context.Context) error {
	if err := p.failed.Load(); err != nil {
		return p.cfg.explain(ctx, *err)
	}
	return nil
}

// Commit waits until the brokers have all messages of the transaction, and commits it together with the records. Without messages
// the records are committed alone. After an error the producer is of no use any more.
func (p *Producer) Commit(ctx context.Context, records ...Record) error {
	for _, r := range records {
		if err := p.send(ctx, &kgo.Record{Topic: p.job.ProgressTopic(), Key: r.key, Value: r.value}, p.acknowledged); err != nil {
			return err
		}
	}
	if err := p.client.Flush(ctx); err != nil {
		return p.cfg.explain(ctx, err)
	}
	if err := p.failure(ctx); err != nil {
		return err
	}
	if err := p.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return p.cfg.explain(ctx, fmt.Errorf("commit: %w", err))
	}
	p.open = false
	return nil
}

// Unacknowledged returns the bytes that are sent and not acknowledged.
func (p *Producer) Unacknowledged() int64 { return p.client.BufferedProduceBytes() }

// Watch fails when the brokers are away: while there is nothing to write nobody else notices, and the client itself tries for ever.
func (p *Producer) Watch(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		asking, cancel := context.WithTimeoutCause(ctx, patience, errUnanswered)
		err := p.client.Ping(asking)
		err = p.cfg.explain(asking, err)
		cancel()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case p.client.BufferedProduceRecords() > 0 && time.Since(time.Unix(0, p.heard.Load())) > patience:
			return p.cfg.explain(ctx, errStalled)
		}
	}
}

// Close rolls back what is not committed, as far as the brokers can be reached, and ends the connections.
func (p *Producer) Close() {
	if p.open {
		ctx, cancel := context.WithTimeout(context.Background(), closing)
		defer cancel()
		// A transaction that cannot be rolled back now is when the job is opened next.
		_ = errors.Join(p.client.AbortBufferedRecords(ctx), p.client.EndTransaction(ctx, kgo.TryAbort))
	}
	p.client.Close()
}
