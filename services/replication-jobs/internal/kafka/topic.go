package kafka

import (
	"context"
	"errors"
	"fmt"

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

// ensure creates a topic unless it is there. One that somebody has made beforehand is used as it is.
func (p *Producer) ensure(ctx context.Context, topic string, partitions int32, config map[string]*string) error {
	if p.topics[topic] {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errUnanswered)
	defer cancel()
	created, err := p.admin.CreateTopic(ctx, partitions, byBroker, config, topic)
	if err = errors.Join(err, created.Err); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		known, lookErr := p.admin.ListTopics(ctx, topic)
		if lookErr != nil || !known.Has(topic) { // it may be there, and only the right to create it missing
			return fmt.Errorf("create topic %s: %w", topic, p.cfg.explain(ctx, err))
		}
	}
	p.topics[topic] = true
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
