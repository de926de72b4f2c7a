package tunnel

import (
	"context"
	"sync"
)

// allowance counts what is left of a window.
type allowance struct {
	mu   sync.Mutex
	left int
	more chan struct{} // has room for one: somebody gave
}

func newAllowance() *allowance { return &allowance{left: window, more: make(chan struct{}, 1)} }

// await returns once n bytes are left.
func (a *allowance) await(ctx context.Context, n int) error {
	for {
		a.mu.Lock()
		enough := a.left >= n
		a.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.more:
		}
	}
}

// take reports whether n bytes were left, and takes them.
func (a *allowance) take(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left < n {
		return false
	}
	a.left -= n
	return true
}

// give reports whether n bytes had been taken, and puts them back.
func (a *allowance) give(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > window-a.left {
		return false
	}
	a.left += n
	select {
	case a.more <- struct{}{}:
	default:
	}
	return true
}
