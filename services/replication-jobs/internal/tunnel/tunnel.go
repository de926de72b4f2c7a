// Package tunnel carries connections to a job's source database over NATS, between a node that reaches the source and a node that
// does not. Bytes are compressed, encrypted from end to end, and bounded in flight; see the file frame.go for what travels.
package tunnel

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Subjects are those of all tunnels.
const Subjects = prefix + ">"

const (
	prefix         = "tunnel.replication."
	maxConnections = 64               // of one tunnel
	handshakeWait  = 5 * time.Second  // for the other node's part of a handshake
	greetingWait   = time.Second      // for an answer to one greeting: the source node may not have heard of the placement yet
	dialWait       = 15 * time.Second // for the source node to reach the database
)

// errNoAnswer is for a greeting that nobody answers.
var errNoAnswer = errors.New("the source node does not answer: does it run, is it connected to NATS, and may its user publish and hear " + Subjects + " there?")

// Route names a tunnel and holds its secret. Both nodes of a placement have the same one, and the next placement has another.
type Route struct {
	// Run is one token of a NATS subject: letters, digits, '-' and '_'.
	Run string
	// Epoch is the placement's.
	Epoch int64
	// Key is random and used for this run and epoch only.
	Key [KeySize]byte
}

func (r Route) subject(last string) string {
	return prefix + r.Run + "." + strconv.FormatInt(r.Epoch, 10) + "." + last
}

// validate refuses a run that would reach other subjects than its own.
func (r Route) validate() error {
	if r.Run == "" {
		return errors.New("a tunnel needs the name of its run")
	}
	if r.Key == [KeySize]byte{} {
		return fmt.Errorf("the tunnel of run %s has no key", r.Run)
	}
	for _, c := range []byte(r.Run) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return fmt.Errorf("the run %q of a tunnel may hold letters, digits, '-' and '_' only", r.Run)
		}
	}
	return nil
}

// Dial opens a connection, through the node that serves route, to the address of a number. ctx bounds the dialing alone; the connection
// lives until it is closed, and deadlines work. When the tunnel breaks, Read and Write fail with the reason.
func Dial(ctx context.Context, bus *nats.Conn, route Route, address byte) (net.Conn, error) {
	if err := route.validate(); err != nil {
		return nil, err
	}
	if !bus.IsConnected() {
		return nil, errors.New("this node is not connected to NATS, which carries the connections to the source")
	}
	for patience := time.Now().Add(handshakeWait); ; {
		c, err := greet(ctx, bus, route, address)
		if !errors.Is(err, errNoAnswer) || time.Now().After(patience) {
			return c, err
		}
	}
}

// greet asks for a connection once.
func greet(ctx context.Context, bus *nats.Conn, route Route, address byte) (net.Conn, error) {
	salt := newSalt()
	sub, err := listen(ctx, bus, route.subject(hex.EncodeToString(salt)+".down"))
	if err != nil {
		return nil, err
	}
	s, err := shake(ctx, bus, route, sub, salt, address)
	if err != nil {
		_ = sub.Unsubscribe() // the handshake's error tells more
		return nil, err
	}
	near, far := net.Pipe()
	ctx, end := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &conn{Conn: near, end: end, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		c.err = s.carry(ctx, far)
		end(io.EOF)
	}()
	return c, nil
}

// listen subscribes, and waits for the server to have heard of it: it then has refused what the user may not do.
func listen(ctx context.Context, bus *nats.Conn, subject string) (*nats.Subscription, error) {
	sub, err := bus.SubscribeSync(subject)
	if err != nil {
		return nil, fmt.Errorf("listen on NATS: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeWait)
	defer cancel()
	if err := bus.FlushWithContext(ctx); err != nil {
		_ = sub.Unsubscribe() // NATS is away, which the error says
		return nil, fmt.Errorf("listen on NATS: %w", err)
	}
	return sub, nil
}

// shake is the dialing node's half of the handshake.
func shake(ctx context.Context, bus *nats.Conn, route Route, sub *nats.Subscription, salt []byte, address byte) (*stream, error) {
	greeting, err := newSealer(route, "open", salt)
	if err != nil {
		return nil, err
	}
	if err := bus.Publish(route.subject("open"), append(salt[:len(salt):len(salt)], greeting.seal(frame{kind: kindGreet})...)); err != nil {
		return nil, err
	}
	answer, err := next(ctx, sub, greetingWait)
	if errors.Is(err, errSilence) {
		return nil, errNoAnswer
	}
	if err != nil {
		return nil, err
	}
	if len(answer) != saltSize {
		return nil, fmt.Errorf("the source node greets with %d bytes instead of %d", len(answer), saltSize)
	}
	s, err := newStream(bus, sub, route, hex.EncodeToString(salt), "up", "down", append(salt[:len(salt):len(salt)], answer...), &Traffic{})
	if err != nil {
		return nil, err
	}
	if err := s.send(frame{kind: kindDial, body: []byte{address}}); err != nil {
		return nil, err
	}
	if _, err := s.expect(ctx, kindReady, dialWait); err != nil {
		return nil, fmt.Errorf("wait for the source node to connect: %w", err)
	}
	return s, nil
}

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails, says its documentation
	return salt
}

// conn is the near end of a connection; it says why the tunnel broke.
type conn struct {
	net.Conn
	end   context.CancelCauseFunc
	ended chan struct{}
	err   error // valid after ended
}

// Close ends the connection, also when it waits for credit that will not come. When it returns, NATS is free to be drained: nothing of the
// connection listens there any more, unless NATS itself hangs.
func (c *conn) Close() error {
	c.end(io.EOF)
	err := c.Conn.Close()
	select {
	case <-c.ended:
	case <-time.After(linger):
	}
	return err
}

// Read fails with the reason of the tunnel when that is why nothing comes.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.cause(err)
}

// Write fails with the reason of the tunnel when that is why nothing goes.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.cause(err)
}

func (c *conn) cause(err error) error {
	if err == nil || isTimeout(err) {
		return err
	}
	<-c.ended // soon: what closed the pipe ends the stream
	if c.err != nil {
		return c.err
	}
	return err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
