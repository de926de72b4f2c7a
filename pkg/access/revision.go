package access

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/bus"
)

// Together these keep the promise that a right that was taken is refused within a second, also when NATS fails in the moment of
// the change: the last announcement without the change is heard maxDelay after it, and believed for newsLast.
const (
	announceEvery = 100 * time.Millisecond
	maxDelay      = 250 * time.Millisecond
	newsLast      = 500 * time.Millisecond
)

// revisionSubject is where auth announces the revision of everybody's rights.
const revisionSubject = "auth.revision"

// announcement says which revision of everybody's rights was the newest, and when. It is sent again and again: silence means
// that nobody knows.
type announcement struct {
	Revision int64     `json:"revision"`
	At       time.Time `json:"at"`
}

// Announce tells every service the newest revision ten times a second until ctx ends. While it cannot be read nothing is told, and
// services ask more often.
func Announce(ctx context.Context, conn *bus.Conn, log *zap.Logger, newest func(context.Context) (int64, error)) error {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	failing := false
	for {
		err := announce(ctx, conn, newest)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !failing {
			log.Warn("the revision of rights is not announced", zap.Error(err))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func announce(ctx context.Context, conn *bus.Conn, newest func(context.Context) (int64, error)) error {
	at := time.Now() // before the question: the answer may be older than its arrival
	revision, err := newest(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(announcement{Revision: revision, At: at})
	if err != nil {
		return err
	}
	return conn.Tell(revisionSubject, text)
}

// News is what a process heard of the revision.
type News struct {
	now func() time.Time

	mu     sync.Mutex
	newest int64
	heard  time.Time
}

// Listen hears announcements for as long as the connection lives.
func Listen(conn *bus.Conn) (*News, error) {
	n := &News{now: time.Now}
	if _, err := conn.OnTold(revisionSubject, n.hear); err != nil {
		return nil, fmt.Errorf("listen for revisions of rights: %w", err)
	}
	return n, nil
}

// hear takes an announcement. One that was long under way says nothing about now, and neither does one from a machine whose clock
// is wrong.
func (n *News) hear(text []byte) {
	var a announcement
	if err := json.Unmarshal(text, &a); err != nil {
		return
	}
	now := n.now()
	if delay := now.Sub(a.At); delay > maxDelay || delay < -maxDelay {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.newest, n.heard = max(n.newest, a.Revision), now
}

// at returns the newest revision, if it was heard of lately.
func (n *News) at(now time.Time) (revision int64, known bool) {
	if n == nil {
		return 0, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.newest, now.Sub(n.heard) < newsLast
}
