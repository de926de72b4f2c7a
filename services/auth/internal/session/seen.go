package session

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"
)

const (
	// writeSeenEvery is how often the last uses of sessions are written down, all at once: a write per request would make reading
	// as dear as writing.
	writeSeenEvery = 30 * time.Second
	// maxSeen bounds the memory for uses that are not written down yet.
	maxSeen = 100000
)

// seen are the last uses of sessions that are not written down yet.
type seen struct {
	now func() time.Time

	mu   sync.Mutex
	uses map[string]time.Time
}

func (s *seen) note(session string) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.uses[session]; known || len(s.uses) < maxSeen {
		s.uses[session] = now
	}
}

// take returns the uses and forgets them.
func (s *seen) take() (ids []string, times []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, at := range s.uses {
		ids, times = append(ids, id), append(times, at)
	}
	clear(s.uses)
	return ids, times
}

// last returns the last use of a session that this process knows of.
func (s *seen) last(r row) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.uses[r.ID]; ok {
		return at
	}
	if r.Seen != nil {
		return *r.Seen
	}
	return r.Created
}

// Watch returns a decider that notes the sessions it is asked about. Other services ask about a session at least once a minute
// while it is used: that is how exact the last use is.
func (s *Server) Watch(decider access.Decider) access.Decider { return watched{decider, &s.seen} }

type watched struct {
	decider access.Decider
	seen    *seen
}

// Decide implements access.Decider.
func (w watched) Decide(ctx context.Context, caller authn.Principal, rights []string) (access.Decision, error) {
	d, err := w.decider.Decide(ctx, caller, rights)
	if err == nil {
		w.seen.note(caller.Session)
	}
	return d, err
}

// WriteSeen writes the last uses of sessions down from time to time until ctx ends, and once more then.
func (s *Server) WriteSeen(log *zap.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(writeSeenEvery)
		defer tick.Stop()
		for ended := false; !ended; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				ended = true
			}
			if err := s.writeSeen(ctx); err != nil {
				log.Warn("the last uses of sessions were not written down", zap.Error(err))
			}
		}
		return nil
	}
}

func (s *Server) writeSeen(ctx context.Context) error {
	ids, times := s.seen.take()
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTimeout)
	defer cancel()
	return saveSeen(ctx, s.cfg.Pool, ids, times)
}

// saveSeen passes over sessions that have ended, and uses that another replica has seen a later one of.
func saveSeen(ctx context.Context, pool *pgxpool.Pool, ids []string, times []time.Time) error {
	_, err := pool.Exec(ctx, `
		UPDATE auth.sessions s SET seen_at = used.at
		  FROM unnest($1::text[], $2::timestamptz[]) AS used (id, at)
		 WHERE s.id = used.id AND (s.seen_at IS NULL OR s.seen_at < used.at)`, ids, times)
	return pg.Fault(err, "SESSION", "write down when sessions were last used")
}
