package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

const (
	window   = 4 << 20 // credit of each direction of a connection, in bytes
	minCost  = 1 << 10 // credit that the smallest frame takes: it bounds how many frames wait
	minChunk = 1 << 10
	pingTime = 2 * time.Second
	linger   = 2 * time.Second // for a database to take what came before the other node closed
	silence  = 8 * time.Second // after so long without a frame the other node is taken for dead
)

// errSilence is for an other node of which nothing is heard.
var errSilence = errors.New("nothing came through NATS")

// errClosed is an orderly end by the other node.
var errClosed = errors.New("closed by the other node")

// stream is one node's end of a connection.
type stream struct {
	bus   *nats.Conn
	sub   *nats.Subscription
	to    string
	chunk int
	// serves is set at the source. What the other node sent before it closed has few readers there, while at the other node
	// the engine may take its time to read the last rows.
	serves bool

	sending sync.Mutex
	sealer  *sealer
	opener  *opener

	allowed *allowance  // what may be sent
	inbox   chan []byte // what came and is not written yet; it holds a window of the smallest frames and so never blocks
	owed    int         // credit not given back yet; of deliver
	waiting *allowance  // what the other node may send
	traffic *Traffic
}

func newStream(bus *nats.Conn, sub *nats.Subscription, route Route, id, out, in string, salt []byte, traffic *Traffic) (*stream, error) {
	chunk := min(maxChunk, int(bus.MaxPayload())-overhead)
	if chunk < minChunk {
		return nil, fmt.Errorf("NATS takes messages of %d bytes; a tunnel needs a max_payload of %d at least", bus.MaxPayload(), minChunk+overhead)
	}
	seal, err := newSealer(route, out, salt)
	if err != nil {
		return nil, err
	}
	open, err := newOpener(route, in, salt)
	if err != nil {
		return nil, err
	}
	return &stream{
		bus: bus, sub: sub, to: route.subject(id + "." + out), chunk: chunk, sealer: seal, opener: open,
		allowed: newAllowance(), waiting: newAllowance(), inbox: make(chan []byte, window/minCost), traffic: traffic,
	}, nil
}

func (s *stream) send(f frame) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	message := s.sealer.seal(f)
	if err := s.bus.Publish(s.to, message); err != nil {
		return fmt.Errorf("send through NATS: %w", err)
	}
	s.traffic.sent.Add(int64(len(message)))
	return nil
}

func (s *stream) next(ctx context.Context, wait time.Duration) (frame, error) {
	message, err := next(ctx, s.sub, wait)
	if err != nil {
		return frame{}, err
	}
	s.traffic.received.Add(int64(len(message)))
	return s.opener.open(message)
}

// expect takes a frame of a kind.
func (s *stream) expect(ctx context.Context, kind byte, wait time.Duration) (frame, error) {
	f, err := s.next(ctx, wait)
	switch {
	case err != nil:
		return frame{}, err
	case f.kind == kindClose:
		return frame{}, fmt.Errorf("the other node ended the connection: %s", f.body)
	case f.kind != kind:
		return frame{}, fmt.Errorf("a frame of kind %d came out of turn", f.kind)
	}
	return f, nil
}

func next(ctx context.Context, sub *nats.Subscription, wait time.Duration) ([]byte, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m, err := sub.NextMsgWithContext(waiting)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w for %s", errSilence, wait)
	case err != nil:
		return nil, fmt.Errorf("receive through NATS: %w", err)
	}
	return m.Data, nil
}

// carry moves bytes between socket and the other node until either ends; then it closes socket and says why, or nil after an
// orderly end.
func (s *stream) carry(ctx context.Context, socket net.Conn) error {
	defer func() { _ = s.sub.Unsubscribe() }() // fails when the connection to NATS is closed: then there is nothing to end
	group, both := errgroup.WithContext(ctx)
	stop := context.AfterFunc(both, func() { _ = socket.Close() })
	defer stop()
	group.Go(func() error { return s.collect(both, socket) })
	group.Go(func() error { return s.receive(both, socket) })
	group.Go(func() error { return s.deliver(both, socket) })
	group.Go(func() error { return s.ping(both) })
	err := group.Wait()
	switch {
	case errors.Is(err, errClosed):
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe):
		return s.send(frame{kind: kindClose})
	}
	return errors.Join(err, s.send(closing(err)))
}

// collect sends what socket gives, as far as there is credit: a socket that is not read pushes back by itself.
func (s *stream) collect(ctx context.Context, socket net.Conn) error {
	buffer := make([]byte, s.chunk)
	for {
		if err := s.allowed.await(ctx, s.chunk); err != nil {
			return err
		}
		n, err := socket.Read(buffer)
		if n > 0 {
			s.traffic.read.Add(int64(n))
			s.allowed.take(cost(n))
			if err := s.send(data(buffer[:n])); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// receive never waits for the socket, so that credit and signs of life come through while data waits.
func (s *stream) receive(ctx context.Context, socket net.Conn) error {
	for {
		f, err := s.next(ctx, silence)
		if err != nil {
			return err
		}
		switch f.kind {
		case kindData:
			if !s.waiting.take(cost(len(f.body))) {
				return errors.New("the other node sent more than it may")
			}
			s.inbox <- f.body
		case kindCredit:
			if !s.allowed.give(int(binary.BigEndian.Uint32(f.body))) {
				return errors.New("the other node gave credit for more than was sent")
			}
		case kindPing:
		case kindClose:
			if len(f.body) > 0 {
				return fmt.Errorf("the other node ended the connection: %s", f.body)
			}
			close(s.inbox) // only now: after an error deliver must not take the end for an orderly one
			if s.serves {
				return socket.SetWriteDeadline(time.Now().Add(linger))
			}
			return nil // deliver ends the stream once it has written what came before
		default:
			return fmt.Errorf("a frame of kind %d came out of turn", f.kind)
		}
	}
}

// deliver writes what came to socket, and gives its credit back in portions.
func (s *stream) deliver(ctx context.Context, socket net.Conn) error {
	for {
		var body []byte
		var more bool
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case body, more = <-s.inbox:
		}
		if !more {
			return errClosed
		}
		if _, err := socket.Write(body); err != nil {
			return err
		}
		s.traffic.written.Add(int64(len(body)))
		n := cost(len(body))
		s.owed += n
		s.waiting.give(n)
		if s.owed < window/4 {
			continue
		}
		if err := s.send(credit(s.owed)); err != nil {
			return err
		}
		s.owed = 0
	}
}

func (s *stream) ping(ctx context.Context) error {
	tick := time.NewTicker(pingTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if err := s.send(frame{kind: kindPing}); err != nil {
				return err
			}
		}
	}
}

func cost(n int) int { return max(n, minCost) }
