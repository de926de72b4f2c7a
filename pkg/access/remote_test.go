package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// judge is an auth service that counts how often it is asked.
type judge struct {
	authv1.AccessServiceClient

	mu     sync.Mutex
	asked  int
	answer *authv1.BatchCheckResponse
	err    error
	wait   chan struct{} // closed when answers may go out; nil for at once
}

func (j *judge) BatchCheck(_ context.Context, r *authv1.BatchCheckRequest, _ ...grpc.CallOption) (*authv1.BatchCheckResponse, error) {
	j.mu.Lock()
	j.asked++
	wait := j.wait
	j.mu.Unlock()
	if wait != nil {
		<-wait
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil, j.err
	}
	answer := &authv1.BatchCheckResponse{Scope: j.answer.GetScope(), Revision: j.answer.GetRevision()}
	for range r.GetRights() {
		answer.Allowed = append(answer.Allowed, j.answer.GetAllowed()[0])
	}
	return answer, nil
}

func (j *judge) set(answer *authv1.BatchCheckResponse, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.answer, j.err = answer, err
}

func (j *judge) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.asked
}

var somebody = authn.Principal{Tenant: "acme", User: "op", Role: "operator", Session: "s1"}

// yes and no are what a judge says about every right.
func yes(revision int64) *authv1.BatchCheckResponse {
	return &authv1.BatchCheckResponse{Allowed: []bool{true}, Revision: revision, Scope: &authv1.Scope{Kind: ScopeUsers, Users: []string{"acme:eve"}}}
}

func no(revision int64) *authv1.BatchCheckResponse {
	return &authv1.BatchCheckResponse{Allowed: []bool{false}, Revision: revision, Scope: &authv1.Scope{Kind: ScopeAll, EveryTenant: true}}
}

// holds returns who holds what by a Remote.
func holds(t *testing.T, r *Remote) func(who authn.Principal, right string) bool {
	return func(who authn.Principal, right string) bool {
		d, err := r.Decide(t.Context(), who, []string{right})
		require.NoError(t, err)
		return d.Holds(right)
	}
}

func TestWithoutNewsAnswersAreFreshForHalfASecond(t *testing.T) {
	t.Parallel()
	j := &judge{answer: yes(1)}
	r, clock := NewRemote(j, nil), time.Now()
	r.now = func() time.Time { return clock }
	held := holds(t, r)
	for range 3 {
		require.True(t, held(somebody, "menu:/a"))
	}
	require.Equal(t, 1, j.count(), "a warm decision costs no call")
	d, err := r.Decide(t.Context(), somebody, []string{"menu:/a"})
	require.NoError(t, err)
	require.Equal(t, Scope{Users: []string{"acme:eve"}}, d.Scope)

	j.set(no(1), nil)
	require.False(t, held(somebody, "menu:/b"), "another right is another question")
	other := somebody
	other.Session = "s2"
	require.False(t, held(other, "menu:/a"), "another session is another question")
	require.True(t, held(somebody, "menu:/a"))
	clock = clock.Add(freshFor)
	require.False(t, held(somebody, "menu:/a"), "a revoked right is gone")
	require.Less(t, freshFor, time.Second)
	require.Less(t, announceEvery+maxDelay+newsLast, time.Second)
}

func TestWithNewsAnswersLastUntilTheRevisionMoves(t *testing.T) {
	t.Parallel()
	j := &judge{answer: yes(7)}
	clock := time.Now()
	now := func() time.Time { return clock }
	news := &News{now: now}
	r := NewRemote(j, news)
	r.now = now
	held := holds(t, r)
	tell := func(revision int64, at time.Time) {
		text, err := json.Marshal(announcement{Revision: revision, At: at})
		require.NoError(t, err)
		news.hear(text)
	}
	tell(7, clock)
	require.True(t, held(somebody, "module:dns.enable_dns_mgmt"))
	for range 10 {
		clock = clock.Add(newsLast - time.Millisecond)
		tell(7, clock)
		require.True(t, held(somebody, "module:dns.enable_dns_mgmt"))
	}
	require.Equal(t, 1, j.count(), "five seconds and no other call")

	j.set(no(8), nil)
	tell(8, clock)
	require.False(t, held(somebody, "module:dns.enable_dns_mgmt"), "told of a change, it asks")
	require.Equal(t, 2, j.count())

	j.set(yes(9), nil)
	clock = clock.Add(newsLast)
	require.True(t, held(somebody, "module:dns.enable_dns_mgmt"), "silence is no good news")
	require.Equal(t, 3, j.count())

	for name, stale := range map[string]time.Time{"late": clock.Add(-maxDelay - 1), "from another clock": clock.Add(maxDelay + 1)} {
		tell(9, stale)
		_, known := news.at(clock)
		require.False(t, known, "an announcement %s says nothing about now", name)
	}
	news.hear([]byte("{"))
	_, known := news.at(clock)
	require.False(t, known)
}

func TestAnOldAnswerDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	r := NewRemote(&judge{}, nil)
	who, now := asker{somebody.Name(), somebody.Session}, time.Now()
	r.remember(who, &answers{revision: 2, asked: now, held: map[string]bool{"admin": false}})
	r.remember(who, &answers{revision: 1, asked: now, held: map[string]bool{"admin": true}})
	d, ok := r.recall(who, []string{"admin"})
	require.True(t, ok)
	require.False(t, d.Holds("admin"))
}

func TestDoubtIsRefusal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		reason string
	}{
		{fault.Unauthenticated("SESSION_ENDED", "over").GRPCStatus().Err(), "SESSION_ENDED"},
		{fault.Unauthenticated("TOKEN_EXPIRED", "late").GRPCStatus().Err(), "TOKEN_EXPIRED"},
		{fault.Unavailable("DATABASE_UNAVAILABLE", "gone").GRPCStatus().Err(), "ACCESS_UNREACHABLE"},
		{errors.New("no connection"), "ACCESS_UNREACHABLE"},
	} {
		j := &judge{err: test.err}
		r := NewRemote(j, nil)
		_, err := r.Decide(t.Context(), somebody, []string{"admin"})
		require.True(t, fault.Is(err, test.reason), "%v", err)
		j.set(yes(1), nil)
		d, err := r.Decide(t.Context(), somebody, []string{"admin"})
		require.NoError(t, err, "a failure is not remembered")
		require.True(t, d.Holds("admin"))
	}
}

func TestManyCallersAskOnce(t *testing.T) {
	t.Parallel()
	j := &judge{answer: yes(1), wait: make(chan struct{})}
	r := NewRemote(j, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	var all sync.WaitGroup
	failures := make([]error, 20)
	all.Go(func() { _, failures[0] = r.Decide(ctx, somebody, []string{"admin"}) })
	require.Eventually(t, func() bool { return j.count() == 1 }, time.Minute, time.Millisecond)
	for i := range failures[1:] {
		all.Go(func() { _, failures[i+1] = r.Decide(t.Context(), somebody, []string{"admin"}) })
	}
	hangUp()
	close(j.wait)
	all.Wait()
	require.NoError(t, errors.Join(failures...), "the first caller's end is not the others'")
	require.Equal(t, 1, j.count())
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	r := NewRemote(&judge{answer: no(1)}, nil)
	held := holds(t, r)
	for i := range maxRights + 10 {
		held(somebody, fmt.Sprintf("host:%d.login_host", i))
	}
	require.LessOrEqual(t, len(r.known[asker{somebody.Name(), somebody.Session}].held), maxRights)
	for i := range maxCallers + 10 {
		held(authn.Principal{Tenant: "acme", User: fmt.Sprint("user-", i), Session: "s"}, "admin")
	}
	require.LessOrEqual(t, len(r.known), maxCallers)
}

func TestScopeReaches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scope            Scope
		tenant, username string
		want             bool
	}{
		{Scope{}, "acme", "op", true},
		{Scope{}, "acme", "eve", false},
		{Scope{}, "other", "op", false},
		{Scope{All: true}, "acme", "eve", true},
		{Scope{All: true}, "other", "eve", false},
		{Scope{All: true, EveryTenant: true}, "other", "eve", true},
		{Scope{Users: []string{"acme:eve"}}, "acme", "eve", true},
		{Scope{Users: []string{"acme:eve"}}, "acme", "bob", false},
		{Scope{Users: []string{"other:eve"}}, "other", "eve", false},
		{Scope{Users: []string{"other:eve"}, EveryTenant: true}, "other", "eve", true},
	} {
		require.Equal(t, test.want, test.scope.Reaches(somebody, test.tenant, test.username), "%+v", test)
	}
}
