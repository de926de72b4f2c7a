// Package bus carries events to NATS JetStream and wakes other processes over plain NATS. Postgres stays the
// truth: an event is a job of the outbox until JetStream has acknowledged it, and a wake-up may be lost.
package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/secret"
)

// Stream is the JetStream stream that keeps every event, and Subjects are those it keeps.
const (
	Stream   = "EVENTS"
	Subjects = typePrefix + ">"
)

// WakeSubjects are the subjects of wake-ups.
const WakeSubjects = wakePrefix + ">"

const (
	// inbox is where services take answers: not where subscribers, who may read _INBOX.>, could read along.
	inbox = "_OPSDECK"
	// wakePrefix is outside the stream's subjects: wake-ups are not kept.
	wakePrefix = "wake."
	// duplicates is how long JetStream remembers event ids; a retry after an unseen acknowledgement is within it.
	duplicates = 10 * time.Minute
	keptFor    = 7 * 24 * time.Hour
	keptBytes  = 1 << 30
)

// Config says how to reach NATS.
type Config struct {
	URL      string        // nats:// or tls://, several separated by commas; ignored for an in-process server
	Name     string        // shown by the server's monitoring
	User     string        // empty when the server wants none
	Password secret.Text   // of User
	Options  []nats.Option // further options, such as server.InProcess
	WakeOnly bool          // for users that only listen to wake-ups and may not touch the stream
}

// Conn is a connection to NATS that reconnects by itself for ever.
type Conn struct {
	nats   *nats.Conn
	stream jetstream.JetStream
	closed chan struct{}
}

// Connect reaches the server and, unless the configuration says WakeOnly, makes sure that the stream of events exists.
func Connect(ctx context.Context, cfg Config, log *zap.Logger) (*Conn, error) {
	closed := make(chan struct{})
	nc, err := nats.Connect(cfg.URL, options(cfg, log.Named("bus"), closed)...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c := &Conn{nats: nc, closed: closed}
	if cfg.WakeOnly {
		return c, nil
	}
	if err := c.ensureStream(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("NATS stream %s: %w", Stream, err)
	}
	return c, nil
}

// NATS is the connection itself, for subjects that are not events.
func (c *Conn) NATS() *nats.Conn { return c.nats }

// JetStream is the connection's JetStream, for consumers and for streams of the caller's own.
func (c *Conn) JetStream() jetstream.JetStream { return c.stream }

// Health is nil when the server answers a round trip now.
func (c *Conn) Health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := c.nats.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	return nil
}

// Close delivers what is buffered, ends the subscriptions and the connection. When ctx ends first, it does so
// at once.
func (c *Conn) Close(ctx context.Context) error {
	if err := c.nats.Drain(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		c.nats.Close()
	}
	select {
	case <-c.closed:
		return nil
	case <-ctx.Done():
		c.nats.Close()
		return fmt.Errorf("drain NATS: %w", ctx.Err())
	}
}

// Wake tells every process that listens on a subject that there is something to look at. It is a hint: nothing
// is kept for those who are away.
func (c *Conn) Wake(subject string) error { return c.Tell(subject, nil) }

// Tell is a wake-up that says something. It is lost on those who are away.
func (c *Conn) Tell(subject string, text []byte) error {
	if err := c.nats.Publish(wakePrefix+subject, text); err != nil {
		return fmt.Errorf("wake %s: %w", subject, err)
	}
	return nil
}

// OnWake calls woken, one call at a time, for wake-ups of a subject, until stop is called.
func (c *Conn) OnWake(subject string, woken func()) (stop func(), err error) {
	return c.OnTold(subject, func([]byte) { woken() })
}

// OnTold is OnWake for wake-ups that say something.
func (c *Conn) OnTold(subject string, told func(text []byte)) (stop func(), err error) {
	sub, err := c.nats.Subscribe(wakePrefix+subject, func(m *nats.Msg) { told(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("listen for wake-ups of %s: %w", subject, err)
	}
	// Unsubscribe fails only when the connection is gone, and the subscription with it.
	return func() { _ = sub.Unsubscribe() }, nil
}

func (c *Conn) ensureStream(ctx context.Context) error {
	js, err := jetstream.New(c.nats)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        Stream,
		Description: "CloudEvents of every opsdeck service",
		Subjects:    []string{Subjects},
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      keptFor,
		MaxBytes:    keptBytes,
		Duplicates:  duplicates,
	})
	c.stream = js
	return err
}

func options(cfg Config, log *zap.Logger, closed chan<- struct{}) []nats.Option {
	all := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.PermissionErrOnSubscribe(true),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.PingInterval(20 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("disconnected from NATS", zap.Error(err))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("reconnected to NATS", zap.String("server", nc.ConnectedUrlRedacted())) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			fields := []zap.Field{zap.Error(err)}
			if sub != nil {
				fields = append(fields, zap.String("subject", sub.Subject))
			}
			log.Error("NATS reported an error", fields...)
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	}
	if !cfg.WakeOnly {
		all = append(all, nats.CustomInboxPrefix(inbox))
	}
	if cfg.User != "" {
		all = append(all, nats.UserInfo(cfg.User, cfg.Password.Reveal()))
	}
	return append(all, cfg.Options...)
}
