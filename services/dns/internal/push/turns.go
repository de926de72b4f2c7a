package push

import (
	"context"
	"sync"
)

// turns lets one at a time in per domain, and a bounded number of domains at once, before anybody holds a connection to the database.
type turns struct {
	places chan struct{}

	mu      sync.Mutex
	waiting map[int64]*turn
}

type turn struct {
	free  chan struct{} // holds a token when nobody is in
	users int           // in or waiting
}

func newTurns(atOnce int) turns {
	return turns{places: make(chan struct{}, atOnce), waiting: map[int64]*turn{}}
}

// take waits for the turn of a domain and returns what ends it.
func (t *turns) take(ctx context.Context, domain int64) (leave func(), err error) {
	own := t.join(domain)
	select {
	case <-own.free:
	case <-ctx.Done():
		t.part(domain, own)
		return nil, ctx.Err()
	}
	select {
	case t.places <- struct{}{}:
	case <-ctx.Done():
		own.free <- struct{}{}
		t.part(domain, own)
		return nil, ctx.Err()
	}
	return func() {
		<-t.places
		own.free <- struct{}{}
		t.part(domain, own)
	}, nil
}

func (t *turns) join(domain int64) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.waiting[domain]
	if own == nil {
		own = &turn{free: make(chan struct{}, 1)}
		own.free <- struct{}{}
		t.waiting[domain] = own
	}
	own.users++
	return own
}

func (t *turns) part(domain int64, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(t.waiting, domain)
	}
}
