// Package signing keeps the key pairs that tokens are signed with, and gives tokens to services.
package signing

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"
)

// TokenLife is the longest that a token is good for.
const TokenLife = 24 * time.Hour

const (
	// lead is how long a key is listed before it signs. Verifiers remember the list for five minutes.
	lead = 10 * time.Minute
	// grace is how much longer than its last token a key is listed: replicas learn late of a successor, clocks differ.
	grace = 10 * time.Minute
	// refreshEvery bounds how long this process signs with a key after its successor took over.
	refreshEvery = time.Minute
	// refreshUnknown bounds how often an unknown key id makes us ask the database: a stream of made-up ids must not
	// become load.
	refreshUnknown = 5 * time.Second
)

// Keys are the service's signing keys. They are an authn.KeySource.
type Keys struct {
	pool   *pgxpool.Pool
	sealer *secret.Sealer
	maxAge time.Duration
	now    func() time.Time

	mu     sync.Mutex
	known  []keyRow
	read   time.Time // when known was read from the database
	opened openedKey // the private key in use
}

type openedKey struct {
	id  string
	key ed25519.PrivateKey
}

// New returns the keys in the database, to be replaced at maxAge. Call Rotate once before the first use.
func New(pool *pgxpool.Pool, sealer *secret.Sealer, maxAge time.Duration, now func() time.Time) (*Keys, error) {
	if maxAge < TokenLife {
		return nil, fmt.Errorf("signing keys are replaced after %v, want at least %v", maxAge, TokenLife)
	}
	return &Keys{pool: pool, sealer: sealer, maxAge: maxAge, now: now}, nil
}

// Rotate makes a key when there is none or the newest is about to reach its age. Replicas that rotate at once make one key.
func (k *Keys) Rotate(ctx context.Context) error {
	err := pg.InTx(ctx, k.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('opsdeck.auth.signing_keys', 0))`); err != nil {
			return fmt.Errorf("wait for another replica's rotation: %w", err)
		}
		last, err := newest(ctx, tx)
		now := k.now()
		if err != nil || now.Before(last.Add(k.maxAge-lead)) {
			return err
		}
		from := now.Add(lead)
		if last.IsZero() {
			from = now.Add(-grace) // nobody has to learn of the first, and a replica's clock may be behind
		}
		key, err := k.generate(now, from)
		if err != nil {
			return err
		}
		return succeed(ctx, tx, key, from.Add(TokenLife+grace))
	})
	if err != nil {
		return fmt.Errorf("rotate the signing keys: %w", err)
	}
	return k.reload(ctx)
}

// Replace makes a key whatever the age of the newest is: the ordinary way, or at once, when the private keys may be in wrong hands.
// Then the keys before are good for nothing from now on; other processes, which remember them, follow within five minutes.
func (k *Keys) Replace(ctx context.Context, tx pgx.Tx, atOnce bool) (id string, err error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('opsdeck.auth.signing_keys', 0))`); err != nil {
		return "", fmt.Errorf("wait for another replica's rotation: %w", err)
	}
	now := k.now()
	from, retire := now.Add(lead), now.Add(lead+TokenLife+grace)
	if atOnce {
		from, retire = now, now
	}
	key, err := k.generate(now, from)
	if err != nil {
		return "", err
	}
	return key.ID, succeed(ctx, tx, key, retire)
}

// reload also opens the private key in use: better to fail now than at the next login.
func (k *Keys) reload(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(ctx); err != nil {
		return err
	}
	_, err := k.signer(ctx)
	return err
}

// PublicKey implements authn.KeySource. An unknown or retired id is KEY_UNKNOWN.
func (k *Keys) PublicKey(ctx context.Context, id string) (ed25519.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, limit := range []time.Duration{refreshEvery, refreshUnknown} {
		if err := k.refreshAfter(ctx, limit); err != nil {
			return nil, err
		}
		now := k.now()
		for _, key := range k.known {
			if key.ID == id && !key.retired(now) {
				return key.Public, nil
			}
		}
	}
	return nil, fault.Unauthenticated("KEY_UNKNOWN", "no signing key %q", id)
}

// Sign makes a token with the key in use.
func (k *Keys) Sign(ctx context.Context, p authn.Principal, issued, expires time.Time) (string, error) {
	k.mu.Lock()
	signer, err := k.signer(ctx)
	k.mu.Unlock()
	if err != nil {
		return "", err
	}
	return authn.Sign(p, signer.id, signer.key, issued, expires)
}

// signer returns the key in use. The caller holds the lock.
func (k *Keys) signer(ctx context.Context) (openedKey, error) {
	if err := k.refreshAfter(ctx, refreshEvery); err != nil {
		return openedKey{}, err
	}
	now := k.now()
	for _, key := range k.known { // newest first: the first that may sign is the one in use
		if key.SignsFrom.After(now) || key.retired(now) {
			continue
		}
		if k.opened.id != key.ID {
			private, err := k.sealer.Open(key.Sealed, sealedFor(key.ID))
			if err != nil {
				return openedKey{}, fmt.Errorf("private key of signing key %s: %w; has the file of sealing keys been replaced?", key.ID, err)
			}
			k.opened = openedKey{key.ID, private}
		}
		return k.opened, nil
	}
	return openedKey{}, errors.New("there is no signing key that may sign now")
}

// listed returns the keys that verifiers should accept.
func (k *Keys) listed(ctx context.Context) ([]keyRow, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refreshAfter(ctx, refreshEvery); err != nil {
		return nil, err
	}
	now := k.now()
	var keys []keyRow
	for _, key := range k.known {
		if !key.retired(now) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// refreshAfter reads the keys again when they were read longer than limit ago. The caller holds the lock.
func (k *Keys) refreshAfter(ctx context.Context, limit time.Duration) error {
	if k.now().Sub(k.read) < limit {
		return nil
	}
	return k.refresh(ctx)
}

func (k *Keys) refresh(ctx context.Context) error {
	now := k.now()
	keys, err := k.usable(ctx, now)
	if err != nil {
		return fault.Unavailable("KEYS_UNREACHABLE", "the signing keys cannot be read now: try again").Wrap(err)
	}
	k.known, k.read = keys, now
	return nil
}

func (k *Keys) generate(created, from time.Time) (keyRow, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return keyRow{}, fmt.Errorf("make a key pair: %w", err)
	}
	id := rand.Text()
	sealed, err := k.sealer.Seal(private, sealedFor(id))
	if err != nil {
		return keyRow{}, err
	}
	return keyRow{ID: id, Public: public, Sealed: sealed, Created: created, SignsFrom: from}, nil
}

func (r keyRow) retired(now time.Time) bool { return r.Retires != nil && !now.Before(*r.Retires) }

func sealedFor(id string) string { return "auth.signing_key/" + id }
