package authn

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync"
	"time"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// refetchInterval bounds how often an unknown key id makes us ask auth: a stream of made-up ids must not become load.
const refetchInterval = 5 * time.Second

// keysLifetime is how long fetched keys are trusted before they are asked for again, so that a withdrawn key dies.
const keysLifetime = 5 * time.Minute

// RemoteKeys is a KeySource that asks the auth service and remembers the answer.
type RemoteKeys struct {
	client authv1.KeyServiceClient
	turn   chan struct{} // held while asking: those whose key is known do not wait for it

	mu      sync.Mutex
	keys    map[string]ed25519.PublicKey
	fetched time.Time
}

// NewRemoteKeys returns a source that asks client.
func NewRemoteKeys(client authv1.KeyServiceClient) *RemoteKeys {
	return &RemoteKeys{client: client, turn: make(chan struct{}, 1)}
}

// PublicKey implements KeySource. An unknown id is KEY_UNKNOWN; a failing auth service is passed on as it is.
func (r *RemoteKeys) PublicKey(ctx context.Context, id string) (ed25519.PublicKey, error) {
	key, stale := r.find(id)
	if stale {
		select {
		case r.turn <- struct{}{}:
			defer func() { <-r.turn }()
		case <-ctx.Done():
			return nil, fault.Unavailable("KEYS_UNREACHABLE", "the signing keys cannot be fetched").Wrap(ctx.Err())
		}
		if key, stale = r.find(id); stale { // the one before may have fetched it
			if err := r.fetch(ctx); err != nil {
				return nil, err
			}
			key, _ = r.find(id)
		}
	}
	if key == nil {
		return nil, fault.Unauthenticated("KEY_UNKNOWN", "no signing key %q", id)
	}
	return key, nil
}

// find returns a key, nil when it is not known, and whether auth should be asked again.
func (r *RemoteKeys) find(id string) (key ed25519.PublicKey, stale bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age := time.Since(r.fetched)
	key = r.keys[id]
	return key, age >= keysLifetime || key == nil && age >= refetchInterval
}

func (r *RemoteKeys) fetch(ctx context.Context) error {
	answer, err := r.client.ListSigningKeys(ctx, &authv1.ListSigningKeysRequest{})
	if err != nil {
		return fault.Unavailable("KEYS_UNREACHABLE", "the signing keys cannot be fetched").Wrap(err)
	}
	keys := make(map[string]ed25519.PublicKey, len(answer.GetKeys()))
	for _, k := range answer.GetKeys() {
		if len(k.GetPublicKey()) != ed25519.PublicKeySize {
			return fmt.Errorf("signing key %s has %d bytes, want %d", k.GetId(), len(k.GetPublicKey()), ed25519.PublicKeySize)
		}
		keys[k.GetId()] = k.GetPublicKey()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.fetched = keys, time.Now()
	return nil
}

// ServiceTokens fetches and renews the token with which a service calls others in its own name.
type ServiceTokens struct {
	client  authv1.KeyServiceClient
	service string
	secret  string

	mu      sync.Mutex
	token   string
	renewAt time.Time
}

// NewServiceTokens returns the tokens of the named service, whose secret auth knows.
func NewServiceTokens(client authv1.KeyServiceClient, service, secret string) *ServiceTokens {
	return &ServiceTokens{client: client, service: service, secret: secret}
}

// Token returns a token that is good for at least another quarter of its life.
func (s *ServiceTokens) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Before(s.renewAt) {
		return s.token, nil
	}
	answer, err := s.client.IssueServiceToken(ctx, &authv1.IssueServiceTokenRequest{Service: s.service, Secret: s.secret})
	if err != nil {
		return "", fmt.Errorf("get a token for service %s: %w", s.service, err)
	}
	s.token = answer.GetToken()
	s.renewAt = time.Now().Add(time.Until(answer.GetExpireTime().AsTime()) * 3 / 4)
	return s.token, nil
}
