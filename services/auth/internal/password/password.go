// Package password hashes and checks passwords with argon2id, a bounded number at a time.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

const (
	saltSize = 16
	keySize  = 32
)

// Params are the cost of a hash.
type Params struct {
	Memory  uint32 `env:"MEMORY_KIB" envDefault:"19456" help:"Memory of one password hash (argon2id) in KiB. Stored hashes follow at the next login of their user."`
	Passes  uint32 `env:"PASSES" envDefault:"2" help:"Passes over that memory."`
	Threads uint8  `env:"THREADS" envDefault:"1" help:"Threads of one hash."`
}

// Validate refuses costs that argon2id cannot have or that no machine should pay.
func (p Params) Validate() error {
	switch {
	case p.Threads < 1 || p.Threads > maxThreads:
		return fmt.Errorf("argon2id threads are %d, want 1 to %d", p.Threads, maxThreads)
	case p.Passes < 1 || p.Passes > maxPasses:
		return fmt.Errorf("argon2id passes are %d, want 1 to %d", p.Passes, maxPasses)
	case p.Memory < 8*uint32(p.Threads) || p.Memory > maxMemory:
		return fmt.Errorf("argon2id memory is %d KiB, want %d to %d", p.Memory, 8*uint32(p.Threads), maxMemory)
	}
	return nil
}

// Hasher hashes and checks passwords.
type Hasher struct {
	params Params
	budget *semaphore.Weighted
	wait   time.Duration
	decoy  string // hash of a password nobody knows
}

// New returns a hasher that works on at most parallel passwords at once and lets others wait for their turn at most as long
// as wait: each costs the memory of params, and a flood of logins must not take the machine down.
func New(params Params, parallel int, wait time.Duration) (*Hasher, error) {
	if err := params.Validate(); err != nil {
		return nil, err
	}
	if parallel < 1 {
		return nil, fmt.Errorf("passwords hashed at once are %d, want at least 1", parallel)
	}
	h := &Hasher{params: params, budget: semaphore.NewWeighted(int64(parallel)), wait: wait}
	decoy, err := h.Hash(context.Background(), rand.Text())
	h.decoy = decoy
	return h, err
}

// Hash returns what to store for a password.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	e := encoded{params: h.params, salt: make([]byte, saltSize)}
	_, _ = rand.Read(e.salt) // never fails: it ends the process instead
	key, err := h.derive(ctx, password, e, keySize)
	if err != nil {
		return "", err
	}
	e.key = key
	return e.String(), nil
}

// Check reports whether a password belongs to a stored hash, and whether the hash should be replaced because it was made at
// another cost.
func (h *Hasher) Check(ctx context.Context, password, stored string) (ok, stale bool, err error) {
	e, err := parse(stored)
	if err != nil {
		return false, false, err
	}
	key, err := h.derive(ctx, password, e, len(e.key))
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(key, e.key) == 1, e.params != h.params, nil
}

// CheckNobody takes the time of Check, for a user who does not exist: the time of a refusal must not tell who exists.
func (h *Hasher) CheckNobody(ctx context.Context, password string) error {
	_, _, err := h.Check(ctx, password, h.decoy)
	return err
}

// derive waits for a place in the budget. Errors: RATE_LIMITED.
func (h *Hasher) derive(ctx context.Context, password string, e encoded, size int) ([]byte, error) {
	waiting, cancel := context.WithTimeout(ctx, h.wait)
	defer cancel()
	if err := h.budget.Acquire(waiting, 1); err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return nil, fault.Exhausted("RATE_LIMITED", "too many logins at once: try again in a few seconds")
		}
		return nil, fmt.Errorf("wait for a turn to hash a password: %w", err)
	}
	defer h.budget.Release(1)
	return argon2.IDKey([]byte(password), e.salt, e.params.Passes, e.params.Memory, e.params.Threads, uint32(size)), nil
}
