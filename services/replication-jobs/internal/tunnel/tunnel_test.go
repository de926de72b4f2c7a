package tunnel

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newRoute() Route {
	r := Route{Run: "orders-migration", Epoch: 3}
	_, _ = rand.Read(r.Key[:])
	return r
}

// serving is the source node's end of a tunnel.
type serving struct {
	traffic *Traffic
	stop    func()
}

// serve runs the source node's end until the test ends or it is stopped.
func serve(t testing.TB, bus *nats.Conn, route Route, dial Dialer) serving {
	t.Helper()
	traffic := &Traffic{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	before := bus.NumSubscriptions()
	go func() { done <- Serve(ctx, bus, route, []Dialer{dial}, traffic, zap.NewNop()) }()
	var stopped atomic.Bool
	stop := func() {
		cancel()
		if stopped.CompareAndSwap(false, true) {
			require.ErrorIs(t, <-done, context.Canceled)
		}
	}
	t.Cleanup(stop)
	require.Eventually(t, func() bool { return bus.NumSubscriptions() > before }, time.Minute, time.Millisecond)
	require.NoError(t, bus.Flush())
	return serving{traffic, stop}
}

// server hands each connection to do, and returns how to dial it.
func server(t testing.TB, do func(net.Conn)) Dialer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				do(c)
			}()
		}
	}()
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
	}
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func TestBytesComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	nats := bustest.Server(t)
	near, far := bustest.Connect(t, nats).NATS(), bustest.Connect(t, nats).NATS()
	route := newRoute()
	traffic := serve(t, far, route, server(t, echo)).traffic
	c, err := Dial(t.Context(), near, route, 0)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()

	random := make([]byte, 3*window) // does not compress, and needs credit thrice
	_, _ = rand.Read(random)
	want := bytes.Join([][]byte{random, bytes.Repeat([]byte("row;"), window)}, nil)
	failed := make(chan error, 1)
	go func() { _, err := c.Write(want); failed <- err }()
	got := make([]byte, len(want))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.NoError(t, <-failed)
	require.True(t, bytes.Equal(want, got))

	figures, size := traffic.Figures(), int64(len(want))
	require.Equal(t, Figures{Connections: 1, Read: size, Written: size, Sent: figures.Sent, Received: figures.Received}, figures)
	for _, carried := range []int64{figures.Sent, figures.Received} {
		require.Greater(t, carried, int64(len(random)), "what is random cannot be packed")
		require.Less(t, carried, size-int64(window), "what repeats itself can")
	}
}

func TestWhatTheServerSaidLastArrives(t *testing.T) {
	t.Parallel()
	nats := bustest.Server(t)
	route := newRoute()
	last := bytes.Repeat([]byte("last words "), 100_000)
	serve(t, bustest.Connect(t, nats).NATS(), route, server(t, func(c net.Conn) { _, _ = c.Write(last) }))
	c, err := Dial(t.Context(), bustest.Connect(t, nats).NATS(), route, 0)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.True(t, bytes.Equal(last, got))
}

func TestNoMoreThanAWindowIsInFlight(t *testing.T) {
	t.Parallel()
	nats := bustest.Server(t)
	near := bustest.Connect(t, nats).NATS()
	route := newRoute()
	var sent atomic.Int64
	serve(t, bustest.Connect(t, nats).NATS(), route, func(context.Context) (net.Conn, error) {
		socket, db := net.Pipe() // holds nothing itself
		go func() {
			defer func() { _ = db.Close() }()
			for chunk := make([]byte, maxChunk); ; {
				n, err := db.Write(chunk)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
		return socket, nil
	})
	c, err := Dial(t.Context(), near, route, 0)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.Eventually(t, func() bool { return sent.Load() > window-2*maxChunk }, time.Minute, time.Millisecond)
	require.Never(t, func() bool { return sent.Load() > window+maxChunk }, time.Second, 10*time.Millisecond)
	_, err = io.ReadFull(c, make([]byte, 2*window))
	require.NoError(t, err, "what is read makes room")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	nats := bustest.Server(t)
	near, far := bustest.Connect(t, nats).NATS(), bustest.Connect(t, nats).NATS()
	route := newRoute()
	var dialed atomic.Int64
	serve(t, far, route, func(context.Context) (net.Conn, error) {
		dialed.Add(1)
		return nil, errors.New("dial tcp 192.0.2.1:3306: no route to host")
	})
	_, err := Dial(t.Context(), near, route, 0)
	require.ErrorContains(t, err, "no route to host")
	require.EqualValues(t, 1, dialed.Load())

	other := route
	other.Key[0]++
	_, err = Dial(t.Context(), near, other, 0)
	require.ErrorContains(t, err, "does not answer", "another key")
	other = route
	other.Epoch++
	_, err = Dial(t.Context(), near, other, 0)
	require.ErrorContains(t, err, "does not answer", "another epoch")
	_, err = Dial(t.Context(), near, route, 1)
	require.ErrorContains(t, err, "the source has 1 addresses, and none of number 1")
	require.EqualValues(t, 1, dialed.Load(), "a stranger makes nobody dial, and nobody another address")
	for _, run := range []string{"", "a.b", "*", ">", "a b"} {
		_, err = Dial(t.Context(), near, Route{Run: run, Key: route.Key}, 0)
		require.ErrorContains(t, err, "run", "run %q", run)
	}
	_, err = Dial(t.Context(), near, Route{Run: route.Run}, 0)
	require.ErrorContains(t, err, "has no key")
}

func TestAFrameThatComesTwiceEndsTheConnection(t *testing.T) {
	t.Parallel()
	nc := bustest.Server(t)
	near, spy := bustest.Connect(t, nc).NATS(), bustest.Connect(t, nc).NATS()
	route := newRoute()
	serve(t, bustest.Connect(t, nc).NATS(), route, server(t, echo))
	heard, err := spy.SubscribeSync(route.subject("*.up"))
	require.NoError(t, err)
	require.NoError(t, spy.Flush())
	c, err := Dial(t.Context(), near, route, 0)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	m, err := heard.NextMsg(5 * time.Second)
	require.NoError(t, err)
	require.NoError(t, heard.Unsubscribe())
	require.NoError(t, spy.Publish(m.Subject, m.Data))
	_, err = c.Read(make([]byte, 1))
	require.ErrorContains(t, err, "lost, repeated or reordered")
}

func TestTheEndOfTheSourceNodeEndsItsConnections(t *testing.T) {
	t.Parallel()
	nats := bustest.Server(t)
	route := newRoute()
	node := serve(t, bustest.Connect(t, nats).NATS(), route, server(t, echo))
	c, err := Dial(t.Context(), bustest.Connect(t, nats).NATS(), route, 0)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	node.stop()
	_, err = c.Read(make([]byte, 1))
	require.ErrorContains(t, err, "the other node ended the connection")
}

func TestASilentSourceNodeIsTakenForDead(t *testing.T) {
	t.Parallel()
	nats := bustest.Server(t)
	far := bustest.Connect(t, nats).NATS()
	route := newRoute()
	done := make(chan error, 1)
	before := far.NumSubscriptions()
	go func() {
		done <- Serve(t.Context(), far, route, []Dialer{server(t, echo)}, &Traffic{}, zap.NewNop())
	}()
	require.Eventually(t, func() bool { return far.NumSubscriptions() > before }, time.Minute, time.Millisecond)
	require.NoError(t, far.Flush())
	c, err := Dial(t.Context(), bustest.Connect(t, nats).NATS(), route, 0)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	far.Close() // like kill -9: no word of farewell
	_, err = c.Read(make([]byte, 1))
	require.ErrorContains(t, err, "nothing came through NATS")
	require.Error(t, <-done)
}

func TestCloseEndsAWriteThatWaitsForCredit(t *testing.T) {
	t.Parallel()
	nats := bustest.Server(t)
	route := newRoute()
	gone := make(chan struct{})
	serve(t, bustest.Connect(t, nats).NATS(), route, func(context.Context) (net.Conn, error) {
		socket, db := net.Pipe() // nobody reads db
		return closeTold{Conn: socket, told: sync.OnceFunc(func() { close(gone); _ = db.Close() })}, nil
	})
	c, err := Dial(t.Context(), bustest.Connect(t, nats).NATS(), route, 0)
	require.NoError(t, err)
	failed := make(chan error, 1)
	go func() { _, err := c.Write(make([]byte, 2*window)); failed <- err }()
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
	require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded, "the window is full")
	require.NoError(t, c.Close())
	select {
	case <-gone:
	case <-time.After(silence / 2):
		t.Fatal("the connection to the database outlives the one through the tunnel")
	}
}

type closeTold struct {
	net.Conn
	told func()
}

func (c closeTold) Close() error { c.told(); return c.Conn.Close() }
