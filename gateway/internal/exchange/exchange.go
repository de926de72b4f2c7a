// Package exchange gets JWTs for the credentials that do not say whose they are, and remembers them for a while.
package exchange

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
)

const (
	// usableFor is what must be left of a JWT's life when a call begins with it: the service behind the call may send it on to another.
	// No call takes longer by default.
	usableFor = 30 * time.Second
	// askTimeout bounds one question, which goes on for others when the caller who began it hangs up.
	askTimeout = 5 * time.Second
	// maxKnown bounds the memory to a few megabytes.
	maxKnown = 10000
)

// Exchanger asks auth whose a credential is. It remembers the answer for half a minute. That is no time for which a removed credential
// works: the services ask whether its session is still open (see pkg/access), and refuse within a second.
type Exchanger struct {
	client authv1.ExchangeServiceClient
	now    func() time.Time
	asking singleflight.Group

	mu    sync.Mutex
	known map[key]grant
}

// key names a credential and where it was shown: from another address it may not be good. It is a hash because a dump of the memory
// should not hold more secrets than it must.
type key [sha256.Size]byte

// grant is a JWT.
type grant struct {
	jwt   string
	until time.Time // when it must not be used for calls that begin
}

// New returns an Exchanger that asks client.
func New(client authv1.ExchangeServiceClient) *Exchanger {
	return &Exchanger{client: client, now: time.Now, known: map[key]grant{}}
}

// Exchange implements relay.Exchanger. Its errors are those of auth.
func (e *Exchanger) Exchange(ctx context.Context, c dialect.Credential) (string, error) {
	k := keyOf(ctx, c)
	if jwt, ok := e.recall(k); ok {
		return jwt, nil
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	jwt, err, _ := e.asking.Do(string(k[:]), func() (any, error) {
		if jwt, ok := e.recall(k); ok {
			return jwt, nil // another caller asked in between
		}
		return e.ask(ctx, c, k)
	})
	if err != nil {
		return "", err
	}
	return jwt.(string), nil
}

func (e *Exchanger) ask(ctx context.Context, c dialect.Credential, k key) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	answer, err := e.client.Exchange(ctx, request(c))
	if err != nil {
		return "", err
	}
	e.remember(k, grant{jwt: answer.GetToken(), until: answer.GetExpireTime().AsTime().Add(-usableFor)})
	return answer.GetToken(), nil
}

func request(c dialect.Credential) *authv1.ExchangeRequest {
	switch c.Kind {
	case dialect.AppKey:
		return &authv1.ExchangeRequest{Credential: &authv1.ExchangeRequest_AppKey{AppKey: &authv1.AppCredential{Appname: c.Name, Appkey: c.Value}}}
	case dialect.Cookie:
		return &authv1.ExchangeRequest{Credential: &authv1.ExchangeRequest_Cookie{Cookie: c.Value}}
	}
	return &authv1.ExchangeRequest{Credential: &authv1.ExchangeRequest_ApiToken{ApiToken: c.Value}}
}

func keyOf(ctx context.Context, c dialect.Credential) key {
	return sha256.Sum256(fmt.Appendf(nil, "%d %s %q %s", c.Kind, rpc.FromContext(ctx).AddressText(), c.Name, c.Value))
}

func (e *Exchanger) recall(k key) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g, ok := e.known[k]
	return g.jwt, ok && e.now().Before(g.until)
}

func (e *Exchanger) remember(k key, g grant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.known) >= maxKnown {
		e.forget()
	}
	e.known[k] = g
}

// forget makes room.
func (e *Exchanger) forget() {
	now := e.now()
	for k, g := range e.known {
		if !now.Before(g.until) {
			delete(e.known, k)
		}
	}
	if len(e.known) >= maxKnown {
		clear(e.known) // all of them usable: forgetting costs a question each, memory is bounded
	}
}
