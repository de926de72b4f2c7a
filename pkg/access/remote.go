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
	// freshFor is how long an answer of auth is believed when nothing is heard of the revision. With the time of a call it stays
	// below the second within which revoked rights and ended sessions must stop working everywhere.
	freshFor = 500 * time.Millisecond
	// freshWithNews is how long an answer is believed whose revision is known to be the newest. Nothing but the end of a session,
	// after which tokens are refused anyway, changes a decision without moving the revision.
	freshWithNews = time.Minute
	// askTimeout bounds one question, which goes on for others when the caller who began it hangs up.
	askTimeout = 2 * time.Second
	// maxCallers and maxRights bound the memory for answers.
	maxCallers = 10000
	maxRights  = 1000
)

// Kinds of scopes as auth names them.
const (
	ScopeAll   = "all"
	ScopeSelf  = "self"
	ScopeUsers = "users"
)

// asker is whom answers are remembered for.
type asker struct{ caller, session string }

// answers is what is known of one asker, all of it at one revision.
type answers struct {
	revision int64
	asked    time.Time
	scope    Scope
	held     map[string]bool
}

// Remote is a Decider that asks the auth service with the caller's own token, and remembers the answer until it hears that the
// revision of everybody's rights has moved.
type Remote struct {
	client authv1.AccessServiceClient
	news   *News
	now    func() time.Time
	asking singleflight.Group

	mu    sync.Mutex
	known map[asker]*answers
}

// NewRemote returns a Decider that asks client. Without news it remembers answers for half a second.
func NewRemote(client authv1.AccessServiceClient, news *News) *Remote {
	return &Remote{client: client, news: news, now: time.Now, known: map[asker]*answers{}}
}

// Decide implements Decider. It refuses when auth cannot be asked: ACCESS_UNREACHABLE.
func (r *Remote) Decide(ctx context.Context, caller authn.Principal, rights []string) (Decision, error) {
	who := asker{caller.Name(), caller.Session}
	if d, ok := r.recall(who, rights); ok {
		return d, nil
	}
	if err := ctx.Err(); err != nil {
		return Decision{}, err
	}
	key := strings.Join(append([]string{who.caller, who.session}, rights...), "\x00")
	d, err, _ := r.asking.Do(key, func() (any, error) {
		if d, ok := r.recall(who, rights); ok {
			return d, nil // another caller asked in between
		}
		return r.ask(ctx, who, rights)
	})
	if err != nil {
		return Decision{}, err
	}
	return d.(Decision), nil
}

func (r *Remote) ask(ctx context.Context, who asker, rights []string) (Decision, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	asked := r.now() // before the call: the answer may be older than its arrival
	answer, err := r.client.BatchCheck(ctx, &authv1.BatchCheckRequest{Rights: rights})
	if f := fault.From(err); f != nil && (f.Reason == "SESSION_ENDED" || f.Reason == "TOKEN_EXPIRED" || f.Reason == "TOKEN_INVALID") {
		return Decision{}, fault.Unauthenticated(f.Reason, "%s", f.Message)
	}
	if err != nil || len(answer.GetAllowed()) != len(rights) {
		return Decision{}, fault.Unavailable("ACCESS_UNREACHABLE", "whether you may do this cannot be checked now: try again").Wrap(err)
	}
	a := &answers{revision: answer.GetRevision(), asked: asked, scope: scopeOf(answer.GetScope()), held: make(map[string]bool, len(rights))}
	for i, right := range rights {
		a.held[right] = answer.GetAllowed()[i]
	}
	d, _ := a.decision(rights)
	r.remember(who, a)
	return d, nil
}

func scopeOf(s *authv1.Scope) Scope {
	return Scope{All: s.GetKind() == ScopeAll, EveryTenant: s.GetEveryTenant(), Users: s.GetUsers()}
}

// decision is false when one of the rights was not asked for before.
func (a *answers) decision(rights []string) (Decision, bool) {
	d := Decision{Scope: a.scope}
	for _, right := range rights {
		held, asked := a.held[right]
		if !asked {
			return d, false
		}
		if held {
			d.Held = append(d.Held, right)
		}
	}
	return d, true
}

func (r *Remote) fresh(a *answers, now time.Time) bool {
	if newest, known := r.news.at(now); known {
		return a.revision >= newest && now.Sub(a.asked) < freshWithNews
	}
	return now.Sub(a.asked) < freshFor
}

func (r *Remote) recall(who asker, rights []string) (Decision, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.known[who]
	if a == nil || !r.fresh(a, r.now()) {
		return Decision{}, false
	}
	return a.decision(rights)
}

// remember adds answers to those of the same revision. The sum is as old as its oldest part.
func (r *Remote) remember(who asker, a *answers) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	before := r.known[who]
	if before != nil && before.revision > a.revision {
		return // asked before a change that another question saw
	}
	if before != nil && before.revision == a.revision && r.fresh(before, now) && len(before.held)+len(a.held) <= maxRights {
		for right, held := range a.held {
			before.held[right] = held
		}
		return
	}
	if before == nil && len(r.known) >= maxCallers {
		r.forget(now)
	}
	r.known[who] = a
}

// forget makes room.
func (r *Remote) forget(now time.Time) {
	for who, a := range r.known {
		if !r.fresh(a, now) {
			delete(r.known, who)
		}
	}
	if len(r.known) >= maxCallers {
		clear(r.known) // all of them fresh: forgetting costs a call each, memory is bounded
	}
}
