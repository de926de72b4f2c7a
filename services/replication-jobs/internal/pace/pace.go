// Package pace holds rows back to a rate.
package pace

import (
	"context"

	"golang.org/x/time/rate"
)

// perSecond is how many times a second what has been saved up may pass: little enough that a target sees a stream and not blows.
const perSecond = 10

// Pace bounds the rows and the bytes per second of all who share it. A nil one bounds nothing.
type Pace struct{ rows, bytes *rate.Limiter }

// New returns a pace of so many rows and bytes per second; 0 leaves one of them unbounded.
func New(rows, bytes int64) *Pace {
	if rows <= 0 && bytes <= 0 {
		return nil
	}
	return &Pace{rows: limiter(rows), bytes: limiter(bytes)}
}

func limiter(n int64) *rate.Limiter {
	if n <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(n), int(max(1, n/perSecond)))
}

// Wait returns when rows and bytes may pass, or with the cause of the context's end.
func (p *Pace) Wait(ctx context.Context, rows, bytes int64) error {
	if p == nil {
		return nil
	}
	if err := wait(ctx, p.rows, rows); err != nil {
		return err
	}
	return wait(ctx, p.bytes, bytes)
}

func wait(ctx context.Context, l *rate.Limiter, n int64) error {
	for l != nil && n > 0 {
		part := min(n, int64(l.Burst()))
		if err := l.WaitN(ctx, int(part)); err != nil {
			return context.Cause(ctx)
		}
		n -= part
	}
	return nil
}

// Fills reports whether rows and bytes take a second or more.
func (p *Pace) Fills(rows, bytes int64) bool {
	return p != nil && (exceeds(rows, p.rows) || exceeds(bytes, p.bytes))
}

func exceeds(n int64, l *rate.Limiter) bool { return l != nil && float64(n) >= float64(l.Limit()) }
