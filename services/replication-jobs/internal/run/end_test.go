package run

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/relay"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/tunnel"
)

var key = bytes.Repeat([]byte{7}, tunnel.KeySize)

// carrying is one call of the scripted tunnel: the test sees what is carried and says how it ends.
type carrying struct {
	ctx       context.Context
	route     tunnel.Route
	addresses []string
	end       chan error
}

func scriptedTunnels() (Tunnels, <-chan *carrying) {
	calls := make(chan *carrying, 16)
	return Tunnels{Carry: func(ctx context.Context, route tunnel.Route, addresses []string, _ *tunnel.Traffic) error {
		c := &carrying{ctx, route, addresses, make(chan error, 1)}
		calls <- c
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-c.end:
			return err
		}
	}}, calls
}

func (m *scriptedManager) wantEnds(ends ...*replicationv1.SourceEnd) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends = ends
}

func (m *scriptedManager) end(job string) *replicationv1.SourceEndReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.told[job]
}

// awaitAnother waits for one report more.
func (m *scriptedManager) awaitAnother(t *testing.T, job string) {
	t.Helper()
	m.mu.Lock()
	m.told = nil
	m.mu.Unlock()
	require.Eventually(t, func() bool { return m.end(job) != nil }, patience, moment)
}

func TestSourcesFollowTheManager(t *testing.T) {
	t.Parallel()
	m := newManager()
	tunnels, calls := scriptedTunnels()
	startNodeWith(t, m, relay.Store{Dir: t.TempDir()}, tunnels)
	next := func() *carrying {
		t.Helper()
		select {
		case c := <-calls:
			return c
		case <-time.After(patience):
			require.FailNow(t, "nothing is carried")
			return nil
		}
	}
	m.wantEnds(&replicationv1.SourceEnd{JobId: "a", Epoch: 1, Incarnation: "inc", Key: key, Addresses: []string{"source:3306", "/run/db.sock"}})
	first := next()
	require.Equal(t, tunnel.Route{Run: "inc", Epoch: 1, Key: [tunnel.KeySize]byte(key)}, first.route)
	require.Equal(t, []string{"source:3306", "/run/db.sock"}, first.addresses)
	reports := func(what string) {
		t.Helper()
		require.Eventually(t, func() bool { r := m.end("a"); return r != nil && r.GetFigures().GetTunnel().GetError() == what }, patience, moment, what)
	}
	reports("")
	require.EqualValues(t, 5, m.end("a").GetFigures().GetNatsMessageStatus().GetInMessages())

	first.end <- errors.New("may not listen")
	reports("may not listen")
	again := next()
	reports("")
	m.wantEnds(&replicationv1.SourceEnd{JobId: "a", Epoch: 1, Incarnation: "inc"})
	m.awaitAnother(t, "a")
	m.awaitAnother(t, "a")
	require.NoError(t, again.ctx.Err(), "one that is named goes on")

	m.wantEnds(&replicationv1.SourceEnd{JobId: "a", Epoch: 2, Incarnation: "inc", Key: key, Addresses: []string{"source:3306"}})
	second := next()
	require.Error(t, again.ctx.Err(), "a new placement is a new tunnel")
	require.EqualValues(t, 2, second.route.Epoch)
	m.wantEnds()
	<-second.ctx.Done()
	require.Eventually(t, func() bool { return m.end("a") == nil }, patience, moment)

	m.wantEnds(&replicationv1.SourceEnd{JobId: "a", Epoch: 3, Incarnation: "inc", Key: key})
	third := next()
	m.mu.Lock()
	m.lease = 50 * time.Millisecond
	m.mu.Unlock()
	m.awaitAnother(t, "a")
	require.NoError(t, third.ctx.Err())
	m.leave(true)
	select {
	case <-third.ctx.Done():
	case <-time.After(patience):
		require.FailNow(t, "a node that nobody answers goes on")
	}
}

// A job with a source on another node reaches each of its addresses through that node.
func TestAFarSourceIsDialedByNumber(t *testing.T) {
	t.Parallel()
	a := assignment("a", 4)
	a.Job.SrcTask.MysqlConnectionConfig.MysqlAddresses = []string{"second:3306", "third:3306"}
	unreached := errors.New("nobody there")
	var dialed []byte
	tunnels := Tunnels{Dial: func(_ context.Context, route tunnel.Route, address byte) (net.Conn, error) {
		require.Equal(t, tunnel.Route{Run: "inc", Epoch: 4, Key: [tunnel.KeySize]byte(key)}, route)
		dialed = append(dialed, address)
		return nil, unreached
	}}
	require.Nil(t, tunnels.through(jobOf(a), a).Source.Dial, "one node does both")
	a.Source = &replicationv1.SourceRoute{Key: key, NodeName: "far"}
	job := tunnels.through(jobOf(a), a)
	for _, c := range []func(context.Context) (net.Conn, error){job.Source.Dial, job.Alternates[1].Dial, job.Alternates[0].Dial} {
		_, err := c(t.Context())
		require.ErrorIs(t, err, unreached)
		require.ErrorContains(t, err, "through the node far: ")
	}
	require.Equal(t, []byte{0, 2, 1}, dialed)
	require.Nil(t, job.Target.Dial)
}
