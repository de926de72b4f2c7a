package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// byBroker leaves the number of partitions or replicas to the brokers' defaults.
const byBroker = -1

// progressConfig keeps the newest record of each key, in small files: what is not compacted yet is read at every start.
var progressConfig = map[string]*string{
	"cleanup.policy": kadm.StringPtr("compact"), "segment.bytes": kadm.StringPtr("4194304"), "min.cleanable.dirty.ratio": kadm.StringPtr("0.1"),
}

// maxTopics bounds how many topics one request creates.
const maxTopics = 50

// Prepare creates those of the topics that are missing, many at a time: each alone would take its time.
func (p *Producer) Prepare(ctx context.Context, topics []string) error {
	topics = slices.Compact(slices.Sorted(slices.Values(topics)))
	for some := range slices.Chunk(topics, maxTopics) {
		if err := p.ensure(ctx, byBroker, nil, some...); err != nil {
			return err
		}
	}
	return nil
}

// ensure creates topics unless they are there. One that somebody has made beforehand is used as it is.
func (p *Producer) ensure(ctx context.Context, partitions int32, config map[string]*string, topics ...string) error {
	topics = slices.DeleteFunc(slices.Clone(topics), func(topic string) bool { return p.topics[topic] })
	if len(topics) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errUnanswered)
	defer cancel()
	created, err := p.admin.CreateTopics(ctx, partitions, byBroker, config, topics...)
	if err != nil {
		return p.cfg.explain(ctx, fmt.Errorf("create topics: %w", err))
	}
	for _, topic := range topics {
		if err := created[topic].Err; err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			known, lookErr := p.admin.ListTopics(ctx, topic)
			if lookErr != nil || !known.Has(topic) { // it may be there, and only the right to create it missing
				return fmt.Errorf("create topic %s: %w", topic, p.cfg.explain(ctx, err))
			}
		}
		p.topics[topic] = true
	}
	return nil
}

// partitioner sends messages of one key to one partition, chosen as Kafka's own client does. Messages without a key go to the first
// partition, so that those of one table stay in order.
type partitioner struct{ byKey kgo.Partitioner }

// ForTopic implements kgo.Partitioner.
func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.byKey.ForTopic(topic)}
}

type topicPartitioner struct{ kgo.TopicPartitioner }

// RequiresConsistency implements kgo.TopicPartitioner: a message waits for its partition rather than going to another.
func (topicPartitioner) RequiresConsistency(*kgo.Record) bool { return true }

// Partition implements kgo.TopicPartitioner.
func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Key == nil {
		return 0
	}
	return p.TopicPartitioner.Partition(r, n)
}
