package bind

import (
	"context"
	"time"

	"github.com/miekg/dns"
)

// Connections to named are kept for the next message for less than named does by default (tcp-idle-timeout, 30 s).
const (
	maxIdle  = parallelism
	idleTime = 10 * time.Second
)

// line is a connection to named that nobody uses at the moment.
type line struct {
	conn *dns.Conn
	addr string
	used time.Time
}

// over sends a message and returns what comes back, over a connection that is there or a new one.
func (d *Driver) over(ctx context.Context, addr, doing string, message []byte) ([]byte, error) {
	if conn := d.pick(addr); conn != nil {
		if answer, err := d.converse(ctx, line{conn: conn, addr: addr}, message); err == nil {
			return answer, nil
		}
	}
	conn, err := d.dial(ctx, addr, doing)
	if err != nil {
		return nil, err
	}
	answer, err := d.converse(ctx, line{conn: &dns.Conn{Conn: conn}, addr: addr}, message)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, d.unreachable(addr, doing, err)
	}
	return answer, nil
}

// converse sends a message over a connection and waits for the answer. The connection is kept unless something went wrong.
func (d *Driver) converse(ctx context.Context, l line, message []byte) (answer []byte, err error) {
	if err := l.conn.SetDeadline(time.Now().Add(readTimeout)); err != nil {
		_ = l.conn.Close() // it is of no use
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	if _, err = l.conn.Write(message); err == nil {
		answer, err = l.conn.ReadMsgHeader(nil)
	}
	if !stop() || err != nil {
		_ = l.conn.Close() // what else comes over it is not for us
		return answer, err
	}
	d.keep(l)
	return answer, nil
}

// pick returns a connection to an address that was used a moment ago; nil when there is none.
func (d *Driver) pick(addr string) *dns.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.idle) > 0 {
		last := d.idle[len(d.idle)-1]
		d.idle = d.idle[:len(d.idle)-1]
		if last.addr == addr && time.Since(last.used) < idleTime {
			return last.conn
		}
		_ = last.conn.Close() // named closes it soon, or has moved
	}
	return nil
}

func (d *Driver) keep(l line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle) == maxIdle {
		_ = l.conn.Close() // there are enough
		return
	}
	l.used = time.Now()
	d.idle = append(d.idle, l)
}

// hangUp closes all connections that nobody uses.
func (d *Driver) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.idle {
		_ = l.conn.Close() // the end of it
	}
	d.idle = nil
}
