package access

import (
	"context"
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
	answer *authv1.CheckResponse
	err    error
	wait   chan struct{} // closed when answers may go out; nil for at once
}

func (j *judge) Check(context.Context, *authv1.CheckRequest, ...grpc.CallOption) (*authv1.CheckResponse, error) {
	j.mu.Lock()
	j.asked++
	wait := j.wait
	j.mu.Unlock()
	if wait != nil {
		<-wait
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.answer, j.err
}

func (j *judge) set(answer *authv1.CheckResponse, err error) {
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

func TestAnswersAreFreshForHalfASecond(t *testing.T) {
	t.Parallel()
	j := &judge{answer: &authv1.CheckResponse{Allowed: true, Scope: &authv1.Scope{Kind: ScopeUsers, Users: []string{"acme:eve"}}}}
	r, clock := NewRemote(j), time.Now()
	r.now = func() time.Time { return clock }
	allowed := func(who authn.Principal, action string) bool {
		d, err := r.Decide(t.Context(), who, action)
		require.NoError(t, err)
		return d.Allowed
	}
	for range 3 {
		require.True(t, allowed(somebody, "/a"))
	}
	require.Equal(t, 1, j.count(), "a warm decision costs no call")
	d, err := r.Decide(t.Context(), somebody, "/a")
	require.NoError(t, err)
	require.Equal(t, Scope{Users: []string{"acme:eve"}}, d.Scope)

	j.set(&authv1.CheckResponse{Scope: &authv1.Scope{Kind: ScopeAll, EveryTenant: true}}, nil)
	require.False(t, allowed(somebody, "/b"), "another action is another question")
	other := somebody
	other.Session = "s2"
	require.False(t, allowed(other, "/a"), "another session is another question")
	require.True(t, allowed(somebody, "/a"))
	clock = clock.Add(freshFor)
	require.False(t, allowed(somebody, "/a"), "a revoked right is gone")
	require.Less(t, freshFor, time.Second)
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
		r := NewRemote(j)
		_, err := r.Decide(t.Context(), somebody, "/a")
		require.True(t, fault.Is(err, test.reason), "%v", err)
		j.set(&authv1.CheckResponse{Allowed: true}, nil)
		d, err := r.Decide(t.Context(), somebody, "/a")
		require.NoError(t, err, "a failure is not remembered")
		require.True(t, d.Allowed)
	}
}

func TestManyCallersAskOnce(t *testing.T) {
	t.Parallel()
	j := &judge{answer: &authv1.CheckResponse{Allowed: true}, wait: make(chan struct{})}
	r := NewRemote(j)
	ctx, hangUp := context.WithCancel(t.Context())
	var all sync.WaitGroup
	failures := make([]error, 20)
	all.Go(func() { _, failures[0] = r.Decide(ctx, somebody, "/a") })
	require.Eventually(t, func() bool { return j.count() == 1 }, 5*time.Second, time.Millisecond)
	for i := range failures[1:] {
		all.Go(func() { _, failures[i+1] = r.Decide(t.Context(), somebody, "/a") })
	}
	hangUp()
	close(j.wait)
	all.Wait()
	require.NoError(t, errors.Join(failures...), "the first caller's end is not the others'")
	require.Equal(t, 1, j.count())
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	r := NewRemote(&judge{answer: &authv1.CheckResponse{}})
	for i := range maxRemembered + 10 {
		_, err := r.Decide(t.Context(), somebody, fmt.Sprint("/", i))
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(r.answers), maxRemembered)
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
