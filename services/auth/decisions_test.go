package auth

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

// testDecisions asks like another service: over gRPC, from two processes, one of which hears when rights change.
func (a *accounts) testDecisions(t *testing.T) {
	const right = "menu:/v2/user/list"
	a.role(t, "decided", "reader", "self", "[]")
	a.user(t, "decided", "bob", "reader")
	a.user(t, "decided", "root", "admin")
	token, err := a.tryLogin(t, "decided", "bob", goodPassword)
	require.NoError(t, err)
	caller, err := authn.NewVerifier(authn.NewRemoteKeys(authv1.NewKeyServiceClient(a.conn))).Verify(t.Context(), token)
	require.NoError(t, err)
	bob := rpc.WithCall(t.Context(), rpc.Call{}.WithToken(token))
	events, err := bus.Connect(t.Context(), bus.Config{URL: a.cfg.NATSURL, Name: "another", User: a.cfg.NATSUser, Password: a.cfg.NATSPassword}, zap.NewNop())
	require.NoError(t, err)
	defer func() { require.NoError(t, events.Close(t.Context())) }()
	news, err := access.Listen(events)
	require.NoError(t, err)
	first, second := access.NewRemote(authv1.NewAccessServiceClient(a.conn), news), access.NewRemote(authv1.NewAccessServiceClient(a.conn), nil)
	within := func(what string, ok func(d access.Decision, err error) bool) {
		t.Helper()
		for _, process := range []*access.Remote{first, second} {
			require.Eventually(t, func() bool { return ok(process.Decide(bob, caller, []string{right})) }, time.Minute, 20*time.Millisecond, what)
		}
	}
	within("nothing is granted", func(d access.Decision, err error) bool { return err == nil && !d.Holds(right) && !d.Scope.All })
	require.NoError(t, a.updateRole("decided", "reader", "all", reads)(a.admin))
	within("granted", func(d access.Decision, err error) bool {
		return err == nil && d.Holds(right) && d.Scope.All && !d.Scope.EveryTenant
	})
	require.NoError(t, a.updateRole("decided", "reader", "self", "[]")(a.admin))
	within("revoked", func(d access.Decision, err error) bool { return err == nil && !d.Holds(right) && !d.Scope.All })
	require.NoError(t, a.updateUser("decided", "bob", "admin")(a.admin))
	within("made an admin", func(d access.Decision, err error) bool { return err == nil && d.Holds(right) && d.Scope.All })
	batch, err := authv1.NewAccessServiceClient(a.conn).BatchCheck(bob, &authv1.BatchCheckRequest{Rights: []string{right, "", "menu:/v2/nothing"}})
	require.NoError(t, err)
	require.Equal(t, []bool{true, true, true}, batch.GetAllowed())
	require.NoError(t, a.updateUser("decided", "bob", "reader")(a.admin))
	within("no admin any more", func(d access.Decision, err error) bool { return err == nil && !d.Holds(right) })
	batch, err = authv1.NewAccessServiceClient(a.conn).BatchCheck(bob, &authv1.BatchCheckRequest{Rights: []string{right, "", "menu:/v2/nothing"}})
	require.NoError(t, err)
	require.Equal(t, []bool{false, true, false}, batch.GetAllowed())
	require.NoError(t, a.deleteUser("decided", "bob")(a.admin))
	within("gone", func(_ access.Decision, err error) bool { return fault.Is(err, "SESSION_ENDED") })
}

func (a *accounts) testLastAdmin(t *testing.T) {
	a.role(t, "platform", "nothing", "self", "[]")
	requireReason(t, a.updateUser("platform", "admin", "nothing")(a.admin), "LAST_ADMIN")
	a.user(t, "platform", "second", "admin")
	second := a.as(t, "platform", "second", goodPassword)
	a.execute(t, `UPDATE auth.users SET status = 'disabled' WHERE username = 'second'`)
	requireReason(t, a.updateUser("platform", "admin", "nothing")(a.admin), "LAST_ADMIN")
	a.execute(t, `UPDATE auth.users SET status = 'enabled' WHERE username = 'second'`)

	outcomes := atOnce(
		func() error { return a.updateUser("platform", "second", "nothing")(second) },
		func() error { return a.updateUser("platform", "admin", "nothing")(a.admin) },
	)
	require.Len(t, outcomes[""], 1, "one of them stays: %v", outcomes)
	require.Equal(t, []string{"1"}, a.texts(t, `SELECT count(*)::text FROM auth.users u JOIN auth.roles r ON r.id = u.role_id
		JOIN auth.tenants t ON t.id = u.tenant_id WHERE t.name = 'platform' AND r.name = 'admin'`))
	a.execute(t, `UPDATE auth.users u SET role_id = r.id FROM auth.roles r
		WHERE r.tenant_id = u.tenant_id AND r.name = 'admin' AND u.username = 'admin'`)
}

func (a *accounts) testMutualDeletion(t *testing.T) {
	for round := range 5 {
		a.user(t, "duel", "ann", "admin")
		a.user(t, "duel", "bob", "admin")
		ann, bob := a.as(t, "duel", "ann", goodPassword), a.as(t, "duel", "bob", goodPassword)
		outcomes := atOnce(
			func() error { return a.deleteUser("duel", "bob")(ann) },
			func() error { return a.deleteUser("duel", "ann")(bob) },
		)
		require.Len(t, outcomes[""], 1, "round %d: %v", round, outcomes)
		require.Len(t, outcomes["SESSION_ENDED"], 1, "round %d: %v", round, outcomes)
		left := a.listed(t, a.admin, "duel", "")
		require.Len(t, left, 1)
		require.NoError(t, a.deleteUser("duel", left[0][len("duel:"):])(a.admin))
	}
}

func (a *accounts) testConcurrentCreation(t *testing.T) {
	var calls []func() error
	for range 8 {
		calls = append(calls, func() error { return a.createUser("crowd", "admin")(a.admin) })
	}
	outcomes := atOnce(calls...)
	require.Len(t, outcomes[""], 1, "%v", outcomes)
	require.Len(t, outcomes["USER_EXISTS"], 7, "%v", outcomes)
	require.Equal(t, []string{"role.created", "user.created"}, a.texts(t, `SELECT action FROM auth.audit WHERE tenant = 'crowd' ORDER BY id`))
}

// atOnce makes calls at the same time and returns their errors by reason, "" for success.
func atOnce(calls ...func() error) map[string][]error {
	var all sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string][]error{}
	start := make(chan struct{})
	for _, call := range calls {
		all.Go(func() {
			<-start
			err := call()
			reason := ""
			if f := fault.From(err); f != nil {
				reason = f.Reason
			} else if err != nil {
				reason = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[reason] = append(outcomes[reason], err)
		})
	}
	close(start)
	all.Wait()
	return outcomes
}
