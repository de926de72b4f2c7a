package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// cloudEvent is an event as subscribers get it.
type cloudEvent struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            object    `json:"data"`
}

// subscriber is the NATS user for whoever wants to read events.
const subscriber = "nats-subscriber"

// subscribe connects to the server's NATS with the credentials of its data directory.
func (o *opsdeck) subscribe(t testing.TB, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect("nats://"+o.nats, append(options, nats.UserInfo(subscriber, o.secret(t, subscriber)))...)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

// eventTypes replays the stream of events from its beginning.
func (o *opsdeck) eventTypes(t testing.TB) []string {
	t.Helper()
	js, err := jetstream.New(o.subscribe(t))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	consumer, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy})
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	batch, err := consumer.Fetch(int(info.State.Msgs), jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	var types []string
	for message := range batch.Messages() {
		types = append(types, parseEvent(t, message.Subject(), message.Data()).Type)
	}
	require.NoError(t, batch.Error())
	return types
}

func parseEvent(t testing.TB, subject string, text []byte) cloudEvent {
	t.Helper()
	var e cloudEvent
	require.NoError(t, json.Unmarshal(text, &e), "%s", text)
	require.Equal(t, "1.0", e.SpecVersion)
	require.NotEmpty(t, e.ID)
	require.NotEmpty(t, e.Source)
	require.Equal(t, subject, e.Type, "the subject is the type")
	require.WithinDuration(t, time.Now(), e.Time, time.Hour)
	require.Equal(t, "application/json", e.DataContentType)
	return e
}

func TestEventsReachSubscribers(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), sharedPair(t), newSchema()
	p.source.load(t, schema, 10)
	subscription, err := o.subscribe(t).SubscribeSync("opsdeck.>")
	require.NoError(t, err)
	job := o.create(t, p.job("told-"+schema, schema))
	o.awaitStatus(t, job, "running")
	o.order(t, "pause", job)
	o.order(t, "resume", job)
	o.order(t, "delete", job)

	wanted := map[string]bool{}
	for _, verb := range []string{"created", "status", "paused", "resumed", "deleted"} {
		wanted["opsdeck.replication.job."+verb] = true
	}
	ids := map[string]bool{}
	for len(wanted) > 0 {
		message, err := subscription.NextMsg(patience)
		require.NoError(t, err, "still missing: %v", wanted)
		e := parseEvent(t, message.Subject, message.Data)
		if e.Data["jobId"] != job && e.Data["job_id"] != job {
			continue // of another test
		}
		require.False(t, ids[e.ID], "an id is an event's own")
		ids[e.ID] = true
		require.NotContains(t, string(message.Data), p.source.Password())
		delete(wanted, e.Type)
	}
	types := o.eventTypes(t)
	require.Contains(t, types, "opsdeck.replication.job.created")
	require.Contains(t, types, "opsdeck.auth.session.opened")
}

func TestStrangersGetNoEvents(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	for _, credentials := range [][]nats.Option{nil, {nats.UserInfo(subscriber, "guessed")}, {nats.UserInfo("root", o.secret(t, subscriber))}} {
		_, err := nats.Connect("nats://"+o.nats, credentials...)
		require.ErrorIs(t, err, nats.ErrAuthorization)
	}
}

func TestSubscribersCannotForgeEvents(t *testing.T) {
	t.Parallel()
	o := sharedOpsdeck(t)
	refused := make(chan error, 10)
	conn := o.subscribe(t, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	for _, subject := range []string{"opsdeck.replication.job.deleted", "wake.replication.nodes"} {
		require.NoError(t, conn.Publish(subject, []byte("{}")))
		require.NoError(t, conn.Flush())
		select {
		case err := <-refused:
			require.ErrorIs(t, err, nats.ErrPermissionViolation)
		case <-time.After(patience):
			require.FailNow(t, "nobody refused a publication", "on %s", subject)
		}
	}
}
