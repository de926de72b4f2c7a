package tunnel

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// Dialer reaches one address of a source.
type Dialer func(context.Context) (net.Conn, error)

// Serve carries the connections that the other node dials, until ctx ends, and counts them in traffic. It reaches what addresses reach and
// nothing else: the other node has the number of one to say, and cannot name another.
func Serve(ctx context.Context, bus *nats.Conn, route Route, addresses []Dialer, traffic *Traffic, log *zap.Logger) error {
	if err := route.validate(); err != nil {
		return err
	}
	sub, err := listen(ctx, bus, route.subject("open"))
	if err != nil {
		return err
	}
	var served sync.WaitGroup
	defer served.Wait()
	defer func() { _ = sub.Unsubscribe() }() // fails when the connection to NATS is closed: then there is nothing to end
	places := make(chan struct{}, maxConnections)
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("receive through NATS: %w", err)
		}
		salt, err := greeted(route, m.Data)
		if err != nil {
			log.Warn("a stranger asked for a connection through a tunnel", zap.String("run", route.Run), zap.Error(err))
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			log.Warn("a connection through a tunnel was refused", zap.String("run", route.Run), zap.Error(refuse(bus, route, salt)))
			continue
		}
		served.Go(func() {
			defer func() { <-places }()
			if err := accept(ctx, bus, route, salt, addresses, traffic); err != nil {
				log.Info("a connection through a tunnel ended", zap.String("run", route.Run), zap.Error(err))
			}
		})
	}
}

// greeted returns the salt of a greeting that was made with the route's key.
func greeted(route Route, message []byte) ([]byte, error) {
	if len(message) < saltSize {
		return nil, errors.New("the greeting is too short")
	}
	salt := message[:saltSize]
	greeting, err := newOpener(route, "open", salt)
	if err != nil {
		return nil, err
	}
	f, err := greeting.open(message[saltSize:])
	if err == nil && f.kind != kindGreet {
		err = fmt.Errorf("a frame of kind %d came instead of a greeting", f.kind)
	}
	return salt, err
}

// refuse tells the other node that there is no room for its connection, and returns what it has told.
func refuse(bus *nats.Conn, route Route, salt []byte) error {
	s, err := answer(bus, nil, route, salt, &Traffic{})
	if err != nil {
		return err
	}
	full := fmt.Errorf("the tunnel has no room for more than %d connections", maxConnections)
	return errors.Join(full, s.send(closing(full)))
}

// answer greets back, with random bytes of this node.
func answer(bus *nats.Conn, sub *nats.Subscription, route Route, salt []byte, traffic *Traffic) (*stream, error) {
	id, own := hex.EncodeToString(salt), newSalt()
	s, err := newStream(bus, sub, route, id, "down", "up", append(salt[:len(salt):len(salt)], own...), traffic)
	if err != nil {
		return nil, err
	}
	return s, bus.Publish(route.subject(id+".down"), own)
}

// accept is the serving node's half of the handshake, and carries the connection. A replayed greeting gets no further than to the
// answer, which is random: the database is dialed for who shows that they made keys of it.
func accept(ctx context.Context, bus *nats.Conn, route Route, salt []byte, addresses []Dialer, traffic *Traffic) error {
	sub, err := bus.SubscribeSync(route.subject(hex.EncodeToString(salt) + ".up"))
	if err != nil {
		return err
	}
	s, err := answer(bus, sub, route, salt, traffic)
	var wanted frame
	if err == nil {
		wanted, err = s.expect(ctx, kindDial, handshakeWait)
	}
	if err != nil {
		_ = sub.Unsubscribe() // the handshake's error tells more
		return err
	}
	socket, err := reach(ctx, addresses, wanted.body[0])
	if err != nil {
		_ = sub.Unsubscribe() // the dialer's error tells more
		return errors.Join(err, s.send(closing(err)))
	}
	if err := s.send(frame{kind: kindReady}); err != nil {
		_ = sub.Unsubscribe() // the error of sending tells more
		return errors.Join(err, socket.Close())
	}
	s.serves = true
	traffic.connections.Add(1)
	defer traffic.connections.Add(-1)
	return s.carry(ctx, socket)
}

// reach dials the address of a number.
func reach(ctx context.Context, addresses []Dialer, number byte) (net.Conn, error) {
	if int(number) >= len(addresses) {
		return nil, fmt.Errorf("the source has %d addresses, and none of number %d", len(addresses), number)
	}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	return addresses[number](ctx)
}
