package server_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/bus/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var users = []server.User{{Name: "opsdeck", Password: "s3cret"}}

func start(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), cfg, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	return s
}

func TestMessagesSurviveARestart(t *testing.T) {
	t.Parallel()
	cfg := server.Config{Dir: t.TempDir()}
	s := start(t, cfg)
	require.Empty(t, s.URL())
	nc, err := nats.Connect("", s.InProcess())
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "s", []byte("kept"))
	require.NoError(t, err)
	nc.Close()
	require.NoError(t, s.Stop(t.Context()))

	s = start(t, cfg)
	nc, err = nats.Connect("", s.InProcess())
	require.NoError(t, err)
	defer nc.Close()
	js, err = jetstream.New(nc)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "S")
	require.NoError(t, err)
	msg, err := stream.GetLastMsgForSubject(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, "kept", string(msg.Data))
}

func TestListenerWantsCredentials(t *testing.T) {
	t.Parallel()
	s := start(t, server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Users: users})
	_, err := nats.Connect(s.URL())
	require.ErrorIs(t, err, nats.ErrAuthorization)
	_, err = nats.Connect(s.URL(), nats.UserInfo("opsdeck", "wrong"))
	require.ErrorIs(t, err, nats.ErrAuthorization)
	nc, err := nats.Connect(s.URL(), nats.UserInfo("opsdeck", "s3cret"))
	require.NoError(t, err)
	nc.Close()
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		cfg  server.Config
		want string
	}{
		"listener without users": {server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"}, "needs users"},
		"address without port":   {server.Config{Dir: t.TempDir(), Listen: "127.0.0.1", Users: users}, "listen address"},
		"port not a number":      {server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:x", Users: users}, "port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := server.Start(t.Context(), try.cfg, zap.NewNop())
			require.ErrorContains(t, err, try.want)
		})
	}
}
