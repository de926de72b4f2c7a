package tunnel

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/bus"
	natsserver "github.com/opsdeck/opsdeck/pkg/bus/server"
	"github.com/opsdeck/opsdeck/pkg/bustest"
)

func TestATunnelHasRoomForSoManyConnections(t *testing.T) {
	t.Parallel()
	nats := bustest.Server(t)
	near := bustest.Connect(t, nats).NATS()
	route := newRoute()
	serve(t, bustest.Connect(t, nats).NATS(), route, server(t, echo))
	open := make([]net.Conn, maxConnections)
	for i := range open {
		var err error
		open[i], err = Dial(t.Context(), near, route, 0)
		require.NoError(t, err)
		defer func() { _ = open[i].Close() }()
	}
	_, err := Dial(t.Context(), near, route, 0)
	require.ErrorContains(t, err, "no room for more than 64 connections")
	require.NoError(t, open[0].Close())
	require.Eventually(t, func() bool {
		c, err := Dial(t.Context(), near, route, 0)
		return err == nil && c.Close() == nil
	}, time.Minute, time.Millisecond, "what ends makes room")
}

func TestTheSourceNodeMayComeLate(t *testing.T) {
	t.Parallel()
	nats := bustest.Server(t)
	near, far := bustest.Connect(t, nats).NATS(), bustest.Connect(t, nats).NATS()
	route := newRoute()
	greeted, err := far.SubscribeSync(route.subject("open"))
	require.NoError(t, err)
	require.NoError(t, far.Flush())
	dialed := make(chan error, 1)
	go func() {
		c, err := Dial(t.Context(), near, route, 0)
		if err == nil {
			err = c.Close()
		}
		dialed <- err
	}()
	_, err = greeted.NextMsg(handshakeWait)
	require.NoError(t, err, "nobody answers the first greeting")
	require.NoError(t, greeted.Unsubscribe())
	serve(t, far, route, server(t, echo))
	require.NoError(t, <-dialed)
}

func TestANodeWithoutNATSSaysSo(t *testing.T) {
	t.Parallel()
	user := natsserver.User{Name: "worker", Password: "s3cret", Subscribe: []string{bus.WakeSubjects}}
	s, err := natsserver.Start(t.Context(), natsserver.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Users: []natsserver.User{user}}, zap.NewNop())
	require.NoError(t, err)
	conn, err := bus.Connect(t.Context(), bus.Config{URL: s.URL(), User: user.Name, Password: user.Password, WakeOnly: true}, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(func() { conn.NATS().Close() })
	route := newRoute()
	require.ErrorIs(t, Serve(t.Context(), conn.NATS(), route, nil, &Traffic{}, zap.NewNop()), nats.ErrPermissionViolation)
	_, err = Dial(t.Context(), conn.NATS(), route, 0)
	require.ErrorIs(t, err, nats.ErrPermissionViolation)
	require.NoError(t, s.Stop(context.Background()))
	require.Eventually(t, func() bool { return !conn.NATS().IsConnected() }, time.Minute, time.Millisecond)
	_, err = Dial(t.Context(), conn.NATS(), route, 0)
	require.ErrorContains(t, err, "not connected to NATS")
}

// BenchmarkCarry compares a connection through the tunnel with a direct one: bytes that the server sends, like rows of text.
func BenchmarkCarry(b *testing.B) {
	row := bytes.Repeat([]byte("4711,customer 4711,customer4711@example.org,2026-01-01\n"), maxChunk/54)
	dial := server(b, func(c net.Conn) {
		for {
			if _, err := c.Write(row); err != nil {
				return
			}
		}
	})
	nats := bustest.Server(b)
	route := newRoute()
	serve(b, bustest.Connect(b, nats).NATS(), route, dial)
	near := bustest.Connect(b, nats).NATS()
	for name, connect := range map[string]func(context.Context) (net.Conn, error){
		"direct": dial,
		"tunnel": func(ctx context.Context) (net.Conn, error) { return Dial(ctx, near, route, 0) },
	} {
		b.Run(name, func(b *testing.B) {
			c, err := connect(b.Context())
			require.NoError(b, err)
			defer func() { _ = c.Close() }()
			buffer := make([]byte, len(row))
			b.SetBytes(int64(len(row)))
			for b.Loop() {
				_, err := io.ReadFull(c, buffer)
				require.NoError(b, err)
			}
		})
	}
}
