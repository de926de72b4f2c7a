// Package push tells name servers what changed: the changes of a domain one after the other, each once.
package push

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

const (
	// leaveAlone is how long a server that did not answer is not asked again: the changes of its other domains need not find out too.
	leaveAlone = time.Second
	// bookkeeping bounds what is written down after a push, also when the caller went away during it.
	bookkeeping = 10 * time.Second
)

// errEarlier says that a change came along with another one, which the server must take first.
var errEarlier = errors.New("it waits for the change that it came along with")

// Drivers finds the driver of a server.
type Drivers interface {
	Driver(ctx context.Context, server int64) (nameserver.Driver, error)
}

// Pusher pushes. Replicas take turns per domain by a lock in the database, which goes with its session when a replica dies.
type Pusher struct {
	pool    *pgxpool.Pool
	drivers Drivers
	settler zone.Settler
	log     *zap.Logger
	turns   turns

	mu   sync.Mutex
	down map[int64]time.Time // servers that did not answer, and when
}

// New returns a Pusher that holds at most the given number of connections to the database.
func New(pool *pgxpool.Pool, drivers Drivers, settler zone.Settler, log *zap.Logger, atOnce int) *Pusher {
	return &Pusher{
		pool: pool, drivers: drivers, settler: settler, log: log.Named("push"), turns: newTurns(atOnce), down: map[int64]time.Time{},
	}
}

// Push implements zone.Pusher.
func (p *Pusher) Push(ctx context.Context, change zone.Change) error {
	return p.push(ctx, change.Domain, change.ID, change)
}

// push pushes the pending changes of a domain up to one. own is one that need not be read.
func (p *Pusher) push(ctx context.Context, domain, upTo int64, own zone.Change) error {
	return p.Alone(ctx, domain, func(ctx context.Context, conn *pgxpool.Conn) error {
		for {
			c, ok, err := zone.NextPending(ctx, conn, domain, own)
			if err != nil || !ok || c.ID > upTo {
				return err
			}
			if err := catchUp(ctx, conn, c, own); err != nil {
				return err
			}
			if err := p.one(ctx, conn, c); err != nil {
				return err
			}
		}
	})
}

// catchUp writes the rows of a change whose process died; those of the caller's own are being written.
func catchUp(ctx context.Context, conn *pgxpool.Conn, c, own zone.Change) error {
	if c.Written || c.ID == own.ID {
		return nil
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := zone.CatchUp(ctx, tx, c.Domain)
		return err
	})
}

// Alone runs do while nobody else, in any replica, talks to a domain's server about it.
func (p *Pusher) Alone(ctx context.Context, domain int64, do func(ctx context.Context, conn *pgxpool.Conn) error) error {
	leave, err := p.turns.take(ctx, domain)
	if err != nil {
		return err
	}
	defer leave()
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	const key = `hashtextextended('opsdeck.dns.push.' || $1::bigint, 0)`
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(`+key+`)`, domain); err != nil {
		return fmt.Errorf("wait for the turn of domain %d: %w", domain, err)
	}
	err = do(ctx, conn)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookkeeping)
	defer cancel()
	if _, unlock := conn.Exec(after, `SELECT pg_advisory_unlock(`+key+`)`, domain); unlock != nil {
		_ = conn.Conn().Close(after) // the lock goes with the session
	}
	return err
}

// one pushes one change and writes down what became of it. An error says that the change is still pending.
func (p *Pusher) one(ctx context.Context, conn *pgxpool.Conn, c zone.Change) error {
	if c.Parent != nil {
		if state, _, err := zone.StateOf(ctx, conn, *c.Parent); err == nil && state == zone.Pending {
			return errEarlier
		}
	}
	if p.isDown(c.Server) {
		return &nameserver.Unreachable{Server: fmt.Sprintf("server %d", c.Server), Doing: "push a change", Cause: errors.New("it did not answer a moment ago")}
	}
	driver, err := p.drivers.Driver(ctx, c.Server)
	if err != nil {
		return err
	}
	ok, err := zone.Claim(ctx, conn, c.ID)
	if err != nil || !ok {
		return err
	}
	c.Serial, err = tell(ctx, driver, c)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookkeeping)
	defer cancel()
	if err == nil {
		return p.applied(ctx, conn, driver, c)
	}
	return p.failed(ctx, conn, c, err)
}

// failed sorts an error: it undoes what the server will not take, and notes why the rest must wait.
func (p *Pusher) failed(ctx context.Context, conn *pgxpool.Conn, c zone.Change, err error) error {
	var conflict *nameserver.Conflict
	var refused *nameserver.Refused
	var unreachable *nameserver.Unreachable
	switch {
	case errors.As(err, &conflict):
		return p.undo(ctx, conn, c, zone.Conflict, err.Error(), []zone.Drifted{drifted(c, conflict)})
	case errors.Is(err, nameserver.ErrZoneExists), errors.Is(err, nameserver.ErrZoneUnknown):
		return p.undo(ctx, conn, c, zone.Conflict, err.Error(), nil)
	case errors.As(err, &refused):
		return p.undo(ctx, conn, c, zone.Failed, err.Error(), nil)
	case errors.As(err, &unreachable):
		p.setDown(c.Server)
	}
	return errors.Join(err, zone.Wait(ctx, conn, c.ID, err.Error()))
}

func (p *Pusher) undo(ctx context.Context, conn *pgxpool.Conn, c zone.Change, state, why string, drift []zone.Drifted) error {
	c.Serial = 0
	p.log.Warn("a change was undone", zap.Int64("change", c.ID), zap.String("zone", c.Zone), zap.String("state", state), zap.String("reason", why))
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := p.settler.Undone(ctx, tx, c, state, why); err != nil {
			return err
		}
		return zone.NoteDrift(ctx, tx, c.Domain, p.settler.Now(), drift)
	})
}

// drifted is what a conflict tells about the server.
func drifted(c zone.Change, conflict *nameserver.Conflict) zone.Drifted {
	d := zone.Drifted{Key: conflict.Key, Found: conflict.Found}
	for _, set := range c.Sets {
		if set.Key() == conflict.Key {
			d.Wanted = set.Before
			if c.Kind == zone.Correct {
				d.Wanted = set.After
			}
		}
	}
	return d
}

// applied notes that the server took a change, after asking it what it serves now. What is not served as it should be is drift: somebody
// was there in between.
func (p *Pusher) applied(ctx context.Context, conn *pgxpool.Conn, driver nameserver.Driver, c zone.Change) error {
	drift, err := verify(ctx, driver, c)
	if err != nil {
		p.log.Warn("a change was made, but could not be verified", zap.Int64("change", c.ID), zap.String("zone", c.Zone), zap.Error(err))
	}
	if len(drift) > 0 {
		c.Serial = 0
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := p.settler.Applied(ctx, tx, c); err != nil {
			return err
		}
		return zone.NoteDrift(ctx, tx, c.Domain, p.settler.Now(), drift)
	})
}

func (p *Pusher) isDown(server int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.down[server]) < leaveAlone
}

func (p *Pusher) setDown(server int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[server] = time.Now()
}
