package engine_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// gate stands before a server. While it is shut it breaks all connections, and takes no others.
type gate struct {
	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
}

func newGate(t *testing.T, server mysql.Config) (*gate, mysql.Config) {
	t.Helper()
	g, address := &gate{conns: map[net.Conn]bool{}}, server.Addr()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	carry := func(from, to net.Conn) {
		defer g.close(from, to)
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", address)
			if err != nil || !g.let(client, onward) {
				_ = client.Close()
				continue
			}
			running.Go(func() { carry(client, onward) })
			running.Go(func() { carry(onward, client) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		g.set(true)
		running.Wait()
	})
	server.Port = uint16(listener.Addr().(*net.TCPAddr).Port)
	return g, server
}

// let lets a connection through, unless the gate is shut.
func (g *gate) let(client, onward net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		_ = onward.Close()
		return false
	}
	g.conns[client], g.conns[onward] = true, true
	return true
}

func (g *gate) close(conns ...net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // the other way may have closed it
		delete(g.conns, c)
	}
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for c := range g.conns {
			_ = c.Close()
		}
	}
}

// again runs a job over and over, as a worker does, until it is stopped.
func again(t *testing.T, job engine.Job) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{listener: &listener{}, cancel: cancel, done: make(chan error, 1)}
	go func() {
		for {
			err := engine.Run(ctx, job, r.listener, zap.NewNop())
			r.Event("failed", err.Error())
			select {
			case <-ctx.Done():
				r.done <- context.Cause(ctx)
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return r
}
