// Package ratelimit limits how often an address may do something, with bounded memory.
package ratelimit

import (
	"container/list"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// maxAddresses bounds the memory of a limiter to a few megabytes. Whoever has more addresses than this is not stopped by
// limits per address anyway.
const maxAddresses = 16384

// subscriberBits is the part of an IPv6 address that a provider hands out: one customer has all the addresses below it.
const subscriberBits = 64

// Limiter counts what the addresses did lately. The counts are those of this process: n replicas allow n times as much.
type Limiter struct {
	what      string
	perMinute int
	now       func() time.Time

	mu      sync.Mutex
	buckets map[netip.Addr]*list.Element
	recent  *list.List // of *bucket, most recently used first
}

type bucket struct {
	address netip.Addr
	tokens  *rate.Limiter
}

// New returns a limiter that allows an address so many of what per minute, and as many at once.
func New(what string, perMinute int, now func() time.Time) *Limiter {
	return &Limiter{what: what, perMinute: perMinute, now: now, buckets: map[netip.Addr]*list.Element{}, recent: list.New()}
}

// Allow counts one try of an address. Errors: RATE_LIMITED. Callers whose address is not known share one count.
func (l *Limiter) Allow(address netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, tokens := l.now(), l.tokens(subscriber(address))
	if tokens.AllowN(now, 1) {
		return nil
	}
	return l.refusal(tokens, now)
}

// Check is Allow for a try that will be counted only if it fails, by Allow.
func (l *Limiter) Check(address netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, tokens := l.now(), l.tokens(subscriber(address))
	if tokens.TokensAt(now) >= 1 {
		return nil
	}
	return l.refusal(tokens, now)
}

func (l *Limiter) refusal(tokens *rate.Limiter, now time.Time) error {
	missing := (1 - tokens.TokensAt(now)) / float64(tokens.Limit())
	return fault.Exhausted("RATE_LIMITED", "too many %s from your address: try again in %d s", l.what, int(math.Ceil(missing)))
}

// tokens forgets the address that was quiet for longest when there are too many.
func (l *Limiter) tokens(address netip.Addr) *rate.Limiter {
	if known, ok := l.buckets[address]; ok {
		l.recent.MoveToFront(known)
		return known.Value.(*bucket).tokens
	}
	if l.recent.Len() >= maxAddresses {
		oldest := l.recent.Back()
		l.recent.Remove(oldest)
		delete(l.buckets, oldest.Value.(*bucket).address)
	}
	b := &bucket{address: address, tokens: rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), l.perMinute)}
	l.buckets[address] = l.recent.PushFront(b)
	return b.tokens
}

func subscriber(address netip.Addr) netip.Addr {
	if !address.Is6() {
		return address
	}
	network, err := address.WithZone("").Prefix(subscriberBits)
	if err != nil {
		return address
	}
	return network.Addr()
}
