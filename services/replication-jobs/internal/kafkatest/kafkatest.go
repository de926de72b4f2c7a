// Package kafkatest gives tests Kafka clusters that speak the real protocol in the test's own process, and reads topics.
package kafkatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds the wait for a message.
const patience = time.Minute

// Cluster is a cluster that ends with the test.
type Cluster struct {
	*kfake.Cluster

	client *kgo.Client
}

// Start starts a cluster of one broker.
func Start(t testing.TB, options ...kfake.Opt) *Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(4)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return &Cluster{Cluster: c, client: client(t, c.ListenAddrs())}
}

func client(t testing.TB, brokers []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// Topics are the names of all topics.
func (c *Cluster) Topics(t testing.TB) []string {
	t.Helper()
	all, err := kadm.NewClient(c.client).ListTopics(t.Context())
	require.NoError(t, err)
	return all.Names()
}

// Reader reads the committed messages of topics.
type Reader struct{ client *kgo.Client }

// Read returns a reader of topics that match one of the expressions, from their beginning.
func Read(t testing.TB, brokers []string, topics ...string) *Reader {
	t.Helper()
	return &Reader{client(t, brokers, kgo.ConsumeRegex(), kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(20*time.Millisecond), kgo.MetadataMaxAge(200*time.Millisecond),
		kgo.FetchMaxWait(100*time.Millisecond))}
}

// Next returns messages as they come, until enough of them is reported, which must come about in time.
func (r *Reader) Next(t testing.TB, enough func(all []*kgo.Record) bool) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []*kgo.Record
	for !enough(all) {
		fetched := r.client.PollFetches(ctx)
		if errors.Is(fetched.Err(), context.DeadlineExceeded) {
			require.FailNow(t, "waited in vain for messages", "%d so far", len(all))
		}
		require.NoError(t, fetched.Err())
		all = append(all, fetched.Records()...)
	}
	return all
}
