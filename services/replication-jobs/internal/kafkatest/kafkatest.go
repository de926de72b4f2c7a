// Package kafkatest gives tests Kafka clusters that speak the real protocol in the test's own process, and reads topics.
package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds the wait for a message: long, since a machine may be busy with other tests.
const patience = 3 * time.Minute

// Cluster is a cluster of one broker that ends with the test, and can be stopped before.
type Cluster struct {
	*kfake.Cluster

	options []kfake.Opt
}

// Start starts a cluster, which keeps its data in a directory of the test.
func Start(t testing.TB, options ...kfake.Opt) *Cluster {
	t.Helper()
	c := &Cluster{options: append([]kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(4), kfake.DataDir(t.TempDir())}, options...)}
	c.open(t)
	_, text, err := net.SplitHostPort(c.ListenAddrs()[0])
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	c.options = append(c.options, kfake.Ports(port))
	t.Cleanup(func() { c.Close() })
	return c
}

// brokersVariable names brokers of a real cluster: an empty one, whose topics have four partitions.
const brokersVariable = "OPSDECK_TEST_KAFKA"

// Brokers returns the brokers of a new cluster, or those that the environment names.
func Brokers(t testing.TB) []string {
	t.Helper()
	if named := os.Getenv(brokersVariable); named != "" {
		return strings.Split(named, ",")
	}
	return Start(t).ListenAddrs()
}

func (c *Cluster) open(t testing.TB) {
	t.Helper()
	var err error
	c.Cluster, err = kfake.NewCluster(c.options...)
	require.NoError(t, err)
}

// Restart starts a cluster again that was closed, at the same address and with the same data.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	c.open(t)
}

func client(t testing.TB, brokers []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// Reader reads the committed messages of topics.
type Reader struct {
	client *kgo.Client
	passed func(*kgo.Record) // sees all records, those of transactions included
}

// Read returns a reader of the topics whose names match an expression, from their beginning.
func Read(t testing.TB, brokers []string, topics string) *Reader {
	t.Helper()
	return &Reader{passed: func(*kgo.Record) {}, client: client(t, brokers, kgo.ConsumeRegex(), kgo.ConsumeTopics(whole(topics)), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(20*time.Millisecond), kgo.MetadataMaxAge(200*time.Millisecond),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.KeepControlRecords())}
}

// whole is an expression for whole names.
func whole(topics string) string { return "^(?:" + topics + ")$" }

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
		for _, m := range fetched.Records() {
			r.passed(m)
			if !m.Attrs.IsControl() {
				all = append(all, m)
			}
		}
	}
	return all
}

// All returns the committed messages that the topics hold, which nobody must write to meanwhile; those of one partition in order.
func All(t testing.TB, brokers []string, topics string) []*kgo.Record {
	t.Helper()
	r := Read(t, brokers, topics)
	ends, err := kadm.NewClient(r.client).ListEndOffsets(t.Context())
	require.NoError(t, err)
	match := regexp.MustCompile(whole(topics))
	missing := map[string]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if match.MatchString(o.Topic) && o.Offset > 0 {
			missing[fmt.Sprint(o.Topic, "/", o.Partition)] = o.Offset
		}
	})
	r.passed = func(m *kgo.Record) {
		place := fmt.Sprint(m.Topic, "/", m.Partition)
		if end, ok := missing[place]; ok && m.Offset+1 >= end {
			delete(missing, place)
		}
	}
	return r.Next(t, func([]*kgo.Record) bool { return len(missing) == 0 })
}
