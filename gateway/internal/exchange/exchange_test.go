package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/gateway/internal/dialect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// auth knows the API token "good", and numbers the JWTs it gives.
type auth struct {
	asked atomic.Int64
	last  atomic.Pointer[authv1.ExchangeRequest]
	hold  chan struct{} // nil: answers at once
	now   func() time.Time
}

func (a *auth) Exchange(ctx context.Context, r *authv1.ExchangeRequest, _ ...grpc.CallOption) (*authv1.ExchangeResponse, error) {
	n := a.asked.Add(1)
	a.last.Store(r)
	if a.hold != nil {
		<-a.hold
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if r.GetApiToken() == "bad" {
		return nil, fault.Unauthenticated("TOKEN_INVALID", "no")
	}
	return &authv1.ExchangeResponse{Token: fmt.Sprintf("jwt-%d", n), ExpireTime: timestamppb.New(a.now().Add(time.Minute))}, nil
}

func newExchanger() (*Exchanger, *auth, func(time.Duration)) {
	var passed atomic.Int64
	start := time.Now()
	now := func() time.Time { return start.Add(time.Duration(passed.Load())) }
	a := &auth{now: now}
	e := New(a)
	e.now = now
	return e, a, func(d time.Duration) { passed.Add(int64(d)) }
}

func from(t *testing.T, address string) context.Context {
	t.Helper()
	return rpc.WithCall(t.Context(), rpc.Call{Address: netip.MustParseAddr(address)})
}

var good = dialect.Credential{Kind: dialect.APIToken, Value: "good"}

func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	e, a, pass := newExchanger()
	for range 3 {
		jwt, err := e.Exchange(from(t, "192.0.2.1"), good)
		require.NoError(t, err)
		require.Equal(t, "jwt-1", jwt)
	}
	pass(29 * time.Second)
	jwt, err := e.Exchange(from(t, "192.0.2.1"), good)
	require.NoError(t, err)
	require.Equal(t, "jwt-1", jwt)
	pass(time.Second)
	jwt, err = e.Exchange(from(t, "192.0.2.1"), good)
	require.NoError(t, err)
	require.Equal(t, "jwt-2", jwt, "half a minute must be left")
	require.EqualValues(t, 2, a.asked.Load())
}

// A token that may be used from one network must not be usable from others because it was used there.
func TestAnswersAreGoodForOneBearer(t *testing.T) {
	t.Parallel()
	e, _, _ := newExchanger()
	seen := map[string]bool{}
	for _, c := range []dialect.Credential{
		good, {Kind: dialect.Cookie, Value: "good"}, {Kind: dialect.AppKey, Value: "good"}, {Kind: dialect.AppKey, Name: "a", Value: "good"},
	} {
		for _, address := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
			jwt, err := e.Exchange(from(t, address), c)
			require.NoError(t, err)
			require.False(t, seen[jwt], "%+v from %s", c, address)
			seen[jwt] = true
		}
	}
}

func TestRefusalsAreNotRemembered(t *testing.T) {
	t.Parallel()
	e, a, _ := newExchanger()
	for range 2 {
		_, err := e.Exchange(from(t, "192.0.2.1"), dialect.Credential{Kind: dialect.APIToken, Value: "bad"})
		require.True(t, fault.Is(err, "TOKEN_INVALID"))
	}
	require.EqualValues(t, 2, a.asked.Load())
}

func TestRequests(t *testing.T) {
	t.Parallel()
	e, a, _ := newExchanger()
	ask := func(c dialect.Credential) *authv1.ExchangeRequest {
		_, err := e.Exchange(t.Context(), c)
		require.NoError(t, err)
		return a.last.Load()
	}
	require.Equal(t, "good", ask(good).GetApiToken())
	require.Equal(t, "sid", ask(dialect.Credential{Kind: dialect.Cookie, Value: "sid"}).GetCookie())
	app := ask(dialect.Credential{Kind: dialect.AppKey, Name: "jobx", Value: "key"}).GetAppKey()
	require.Equal(t, []string{"jobx", "key"}, []string{app.GetAppname(), app.GetAppkey()})
}

func TestOneQuestionForManyCallers(t *testing.T) {
	t.Parallel()
	e, a, _ := newExchanger()
	a.hold = make(chan struct{})
	var all sync.WaitGroup
	hurried, hangUp := context.WithCancel(from(t, "192.0.2.1"))
	jwts := make([]string, 20)
	failures := make([]error, len(jwts))
	for i := range jwts {
		ctx := from(t, "192.0.2.1")
		if i == 0 {
			ctx = hurried
		}
		all.Go(func() { jwts[i], failures[i] = e.Exchange(ctx, good) })
	}
	require.Eventually(t, func() bool { return a.asked.Load() == 1 }, time.Minute, time.Millisecond)
	hangUp()
	close(a.hold)
	all.Wait()
	for i := range jwts {
		if i == 0 && errors.Is(failures[i], context.Canceled) {
			continue // it hung up before it asked
		}
		require.NoError(t, failures[i])
		require.Equal(t, "jwt-1", jwts[i])
	}
	require.EqualValues(t, 1, a.asked.Load())
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	e, _, pass := newExchanger()
	for i := range maxKnown + 10 {
		_, err := e.Exchange(t.Context(), dialect.Credential{Kind: dialect.APIToken, Value: fmt.Sprint(i)})
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(e.known), maxKnown)
	pass(time.Minute)
	for i := range maxKnown {
		_, err := e.Exchange(t.Context(), dialect.Credential{Kind: dialect.APIToken, Value: fmt.Sprint("again", i)})
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(e.known), maxKnown)
}
