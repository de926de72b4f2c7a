package access

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

const (
	// freshFor is how long an answer of auth is believed. With the time of a call it stays below the second within which
	// revoked rights and ended sessions must stop working everywhere.
	freshFor = 500 * time.Millisecond
	// askTimeout bounds one question, which goes on for others when the caller who began it hangs up.
	askTimeout = 2 * time.Second
	// maxRemembered bounds the memory for answers.
	maxRemembered = 10000
)

// Kinds of scopes as auth names them.
const (
	ScopeAll   = "all"
	ScopeSelf  = "self"
	ScopeUsers = "users"
)

// question is what an answer is remembered by.
type question struct{ caller, session, action string }

type remembered struct {
	decision Decision
	asked    time.Time
}

// Remote is a Decider that asks the auth service with the caller's own token and remembers the answer for half a second.
type Remote struct {
	client authv1.AccessServiceClient
	now    func() time.Time
	asking singleflight.Group

	mu      sync.Mutex
	answers map[question]remembered
}

// NewRemote returns a Decider that asks client.
func NewRemote(client authv1.AccessServiceClient) *Remote {
	return &Remote{client: client, now: time.Now, answers: map[question]remembered{}}
}

// Decide implements Decider. It refuses when auth cannot be asked: ACCESS_UNREACHABLE.
func (r *Remote) Decide(ctx context.Context, caller authn.Principal, action string) (Decision, error) {
	q := question{caller.Name(), caller.Session, action}
	if d, ok := r.recall(q); ok {
		return d, nil
	}
	if err := ctx.Err(); err != nil {
		return Decision{}, err
	}
	d, err, _ := r.asking.Do(strings.Join([]string{q.caller, q.session, q.action}, "\x00"), func() (any, error) {
		if d, ok := r.recall(q); ok {
			return d, nil // another caller asked in between
		}
		return r.ask(ctx, q)
	})
	if err != nil {
		return Decision{}, err
	}
	return d.(Decision), nil
}

func (r *Remote) ask(ctx context.Context, q question) (Decision, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	asked := r.now() // before the call: the answer may be older than its arrival
	answer, err := r.client.Check(ctx, &authv1.CheckRequest{MenuAction: q.action})
	if f := fault.From(err); f != nil && (f.Reason == "SESSION_ENDED" || f.Reason == "TOKEN_EXPIRED" || f.Reason == "TOKEN_INVALID") {
		return Decision{}, fault.Unauthenticated(f.Reason, "%s", f.Message)
	}
	if err != nil {
		return Decision{}, fault.Unavailable("ACCESS_UNREACHABLE", "whether you may do this cannot be checked now: try again").Wrap(err)
	}
	d := Decision{Allowed: answer.GetAllowed(), Scope: scopeOf(answer.GetScope())}
	r.remember(q, remembered{d, asked})
	return d, nil
}

func scopeOf(s *authv1.Scope) Scope {
	return Scope{All: s.GetKind() == ScopeAll, EveryTenant: s.GetEveryTenant(), Users: s.GetUsers()}
}

func (r *Remote) recall(q question) (Decision, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.answers[q]
	return known.decision, ok && r.now().Sub(known.asked) < freshFor
}

func (r *Remote) remember(q question, a remembered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) >= maxRemembered {
		for known, answer := range r.answers {
			if a.asked.Sub(answer.asked) >= freshFor {
				delete(r.answers, known)
			}
		}
	}
	if len(r.answers) >= maxRemembered {
		clear(r.answers) // all of them fresh: forgetting costs a call each, memory is bounded
	}
	r.answers[q] = a
}
