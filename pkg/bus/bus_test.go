package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/bus/server"
	"github.com/opsdeck/opsdeck/pkg/bustest"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	schema = "ops"
	wait   = time.Minute
)

type outbox struct {
	pool *pgxpool.Pool
	jobs *jobs.Client
}

// newOutbox runs a service's queue, with the worker of its events, until the test ends.
func newOutbox(t *testing.T, conn *bus.Conn) outbox {
	t.Helper()
	pool := pgtest.New(t, schema, fstest.MapFS{"0001_none.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}})
	workers := river.NewWorkers()
	bus.AddWorker(workers, conn)
	client, err := jobs.New(pool, schema, workers, zap.NewNop(), jobs.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return outbox{pool, client}
}

func (o outbox) publish(t *testing.T, e bus.Event, fail error) error {
	t.Helper()
	return pg.InTx(t.Context(), o.pool, func(ctx context.Context, tx pgx.Tx) error {
		return errors.Join(bus.Publish(ctx, tx, o.jobs, e), fail)
	})
}

func event(name string) bus.Event {
	data, _ := structpb.NewStruct(map[string]any{"name": name})
	return bus.Event{Type: "opsdeck.auth.user.created", Subject: "users/" + name, Tenant: "platform", Data: data}
}

// next takes the next event off the stream.
func next(t *testing.T, conn *bus.Conn) jetstream.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	consumer, err := conn.JetStream().CreateOrUpdateConsumer(ctx, bus.Stream, jetstream.ConsumerConfig{Durable: "test", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	msg, err := consumer.Next(jetstream.FetchMaxWait(wait))
	require.NoError(t, err)
	require.NoError(t, msg.DoubleAck(ctx))
	return msg
}

func TestPublishFollowsTheTransaction(t *testing.T) {
	t.Parallel()
	conn := bustest.New(t)
	o := newOutbox(t, conn)
	rolledBack := errors.New("rolled back")
	require.ErrorIs(t, o.publish(t, event("never"), rolledBack), rolledBack)
	before := time.Now().Add(-time.Second)
	require.NoError(t, o.publish(t, event("bob"), nil))

	msg := next(t, conn)
	var got map[string]any
	require.NoError(t, json.Unmarshal(msg.Data(), &got))
	require.Equal(t, "opsdeck.auth.user.created", msg.Subject())
	require.NotEmpty(t, got["id"])
	require.Equal(t, got["id"], msg.Headers().Get("Nats-Msg-Id"))
	at, err := time.Parse(time.RFC3339, got["time"].(string))
	require.NoError(t, err)
	require.WithinRange(t, at, before, time.Now())
	delete(got, "id")
	delete(got, "time")
	require.Equal(t, map[string]any{
		"specversion": "1.0", "source": "/opsdeck/auth", "type": "opsdeck.auth.user.created", "subject": "users/bob",
		"datacontenttype": "application/json", "tenant": "platform", "data": map[string]any{"name": "bob"},
	}, got)

	info, err := conn.JetStream().Stream(t.Context(), bus.Stream)
	require.NoError(t, err)
	require.EqualValues(t, 1, info.CachedInfo().State.Msgs, "the rolled back event is not published")
}

func TestPublishOutlivesTheServer(t *testing.T) {
	t.Parallel()
	user := server.User{Name: "opsdeck", Password: "s3cret"}
	cfg := server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Users: []server.User{user}}
	first, err := server.Start(t.Context(), cfg, zap.NewNop())
	require.NoError(t, err)
	cfg.Listen = strings.TrimPrefix(first.URL(), "nats://")
	conn, err := bus.Connect(t.Context(), bus.Config{URL: first.URL(), User: user.Name, Password: user.Password}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	o := newOutbox(t, conn)

	require.NoError(t, first.Stop(t.Context()))
	require.Error(t, conn.Health(t.Context()))
	require.NoError(t, o.publish(t, event("bob"), nil))
	require.Eventually(t, func() bool {
		var failed bool
		err := o.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM ops.river_job WHERE errors IS NOT NULL)`).Scan(&failed)
		return err == nil && failed
	}, wait, 20*time.Millisecond, "a try fails while the server is away")

	second, err := server.Start(t.Context(), cfg, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, second.Stop(context.Background())) })
	require.Eventually(t, func() bool { return conn.Health(t.Context()) == nil }, wait, 20*time.Millisecond)
	require.Contains(t, string(next(t, conn).Data()), "users/bob")
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	o := newOutbox(t, bustest.New(t))
	for _, eventType := range []string{"", "opsdeck.auth.user", "other.auth.user.created", "opsdeck.auth.*.created", "opsdeck.auth..created", "opsdeck.Auth.user.created"} {
		e := event("bob")
		e.Type = eventType
		require.ErrorContains(t, o.publish(t, e, nil), "want opsdeck.<service>.<noun>.<verb>", eventType)
	}
	require.ErrorContains(t, o.publish(t, event(strings.Repeat("x", 1<<20)), nil), "more than 524288")
}

func TestWake(t *testing.T) {
	t.Parallel()
	s := bustest.Server(t)
	listener, waker := bustest.Connect(t, s), bustest.Connect(t, s)
	woken := make(chan struct{}, 8)
	stop, err := listener.OnWake("replication.jobs", func() { woken <- struct{}{} })
	require.NoError(t, err)
	require.NoError(t, listener.Health(t.Context())) // the subscription has reached the server

	require.NoError(t, waker.Wake("replication.jobs"))
	select {
	case <-woken:
	case <-time.After(wait):
		require.FailNow(t, "not woken")
	}
	stop()
	require.NoError(t, listener.Health(t.Context()))
	require.NoError(t, waker.Wake("replication.jobs"))
	require.NoError(t, waker.Health(t.Context()))
	require.NoError(t, listener.Health(t.Context()))
	require.Empty(t, woken)
}

func TestConnectRefuses(t *testing.T) {
	t.Parallel()
	_, err := bus.Connect(t.Context(), bus.Config{URL: "nats://127.0.0.1:1"}, zap.NewNop())
	require.ErrorContains(t, err, "connect to NATS")
}

func TestUsersMayDoWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	service := server.User{Name: "opsdeck", Password: "s3cret"}
	subscriber := server.Subscriber("subscriber", "pa55word", bus.Stream, bus.Subjects)
	worker := server.User{Name: "worker", Password: "w0rk", Subscribe: []string{bus.WakeSubjects}}
	s, err := server.Start(t.Context(), server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Users: []server.User{service, subscriber, worker}}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	as := func(u server.User, wakeOnly bool) *bus.Conn {
		conn, err := bus.Connect(t.Context(), bus.Config{URL: s.URL(), User: u.Name, Password: u.Password, WakeOnly: wakeOnly}, zap.NewNop())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
		return conn
	}
	mine := as(service, false)

	woken := make(chan struct{}, 1)
	stop, err := as(worker, true).OnWake("node.1", func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	require.NoError(t, err)
	t.Cleanup(stop)
	require.Eventually(t, func() bool {
		require.NoError(t, mine.Wake("node.1"))
		return len(woken) > 0
	}, wait, 10*time.Millisecond)

	reader, err := nats.Connect(s.URL(), nats.UserInfo(subscriber.Name, subscriber.Password.Reveal()))
	require.NoError(t, err)
	t.Cleanup(reader.Close)
	_, err = mine.JetStream().Publish(t.Context(), "opsdeck.auth.user.created", []byte("genuine"))
	require.NoError(t, err)
	require.NoError(t, reader.Publish("opsdeck.auth.user.created", []byte("forged")))
	require.NoError(t, reader.Publish("wake.node.1", nil))
	require.NoError(t, reader.Flush())
	js, err := jetstream.New(reader)
	require.NoError(t, err)
	consumer, err := js.CreateConsumer(t.Context(), bus.Stream, jetstream.ConsumerConfig{FilterSubject: "opsdeck.auth.>"})
	require.NoError(t, err)
	message, err := consumer.Next(jetstream.FetchMaxWait(wait))
	require.NoError(t, err)
	require.Equal(t, "genuine", string(message.Data()))
	require.NoError(t, message.Ack())
	info, err := mine.JetStream().Stream(t.Context(), bus.Stream)
	require.NoError(t, err)
	require.EqualValues(t, 1, info.CachedInfo().State.Msgs, "a subscriber cannot publish")
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MINE", Subjects: []string{"mine"}})
	require.Error(t, err)
}
