package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy carries connections from a port to an address, and does to them what networks do.
type proxy struct {
	port  int
	to    string
	ctx   context.Context //nolint:containedctx // the proxy ends with it
	links sync.WaitGroup

	mu      sync.Mutex
	refuses bool
	held    bool
	changed *sync.Cond
	open    map[*link]struct{}
}

// link is one connection and its continuation. A lost one carries nothing any more, and neither end is told.
type link struct {
	ends [2]net.Conn
	lost bool
}

// startProxy takes connections at a port until the test ends.
func startProxy(t testing.TB, port int, to string) *proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &proxy{port: port, to: to, ctx: ctx, open: map[*link]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.links.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return // closed
			}
			p.links.Go(func() { p.carry(from) })
		}
	})
	t.Cleanup(func() {
		cancel()
		require.NoError(t, listener.Close())
		p.change(func() { p.closeAll() })
		p.links.Wait()
	})
	return p
}

// drop breaks all connections and takes no new ones.
func (p *proxy) drop() {
	p.change(func() {
		p.refuses = true
		p.closeAll()
	})
}

// hold lets nothing through; connections stay open.
func (p *proxy) hold() { p.change(func() { p.held = true }) }

// lose forgets the connections there are, as a firewall does that starts anew: both ends wait. New ones work.
func (p *proxy) lose() {
	p.change(func() {
		for l := range p.open {
			l.lost = true
		}
	})
}

// heal lets everything through that is not lost.
func (p *proxy) heal() { p.change(func() { p.refuses, p.held = false, false }) }

func (p *proxy) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	p.changed.Broadcast()
}

func (p *proxy) closeAll() {
	for l := range p.open {
		l.close()
	}
}

func (l *link) close() { _ = errors.Join(l.ends[0].Close(), l.ends[1].Close()) } // closed already is fine

// carry copies both ways until either end or the proxy ends.
func (p *proxy) carry(from net.Conn) {
	onward, err := (&net.Dialer{}).DialContext(p.ctx, "tcp", p.to)
	if err != nil {
		_ = from.Close() // nothing was said on it
		return
	}
	l := &link{ends: [2]net.Conn{from, onward}}
	p.change(func() {
		if p.refuses || p.ctx.Err() != nil {
			l.close()
		}
		p.open[l] = struct{}{}
	})
	defer p.change(func() { delete(p.open, l) })
	var ways sync.WaitGroup
	ways.Go(func() { p.copy(l, from, onward) })
	ways.Go(func() { p.copy(l, onward, from) })
	ways.Wait()
}

// copy copies one way. The end of a connection is news as well, which a held or lost link does not carry.
func (p *proxy) copy(l *link, from, to net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.pass(l)
		if n > 0 && err == nil {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			l.close()
			return
		}
	}
}

// pass waits until the link may carry something, or the proxy ends.
func (p *proxy) pass(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.held || l.lost) && !p.refuses && p.ctx.Err() == nil {
		p.changed.Wait()
	}
}
