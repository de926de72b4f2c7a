package oidc

import (
	"context"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/migrations"
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
	"github.com/opsdeck/opsdeck/services/auth/internal/session"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
	"github.com/opsdeck/opsdeck/services/auth/oidctest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const publicURL = "https://ops.example.org"

// bundle is an OidcService for the tenant dev, whose administrator is signed in, beside a real provider.
type bundle struct {
	*Server
	pool     *pgxpool.Pool
	keys     *signing.Keys
	provider oidctest.Provider
	admin    context.Context

	mu    sync.Mutex
	clock time.Time
}

func (b *bundle) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock
}

func (b *bundle) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock = b.clock.Add(d)
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, secret.Generate(path))
	sealer, err := secret.Load(path)
	require.NoError(t, err)
	b := &bundle{pool: pgtest.New(t, "auth", migrations.FS), provider: oidctest.Start(t, publicURL+callback), clock: time.Now()}
	queue, err := jobs.New(b.pool, "auth", nil, zap.NewNop(), jobs.Options{})
	require.NoError(t, err)
	hasher, err := password.New(password.Params{Memory: 64, Passes: 1, Threads: 1}, 2, 10*time.Second)
	require.NoError(t, err)
	b.keys, err = signing.New(b.pool, sealer, 30*24*time.Hour, b.now)
	require.NoError(t, err)
	require.NoError(t, b.keys.Rotate(t.Context()))
	b.Server = NewServer(Config{
		Changes: change.Changer{Pool: b.pool, Queue: queue, Now: b.now}, Passwords: hasher, Sealer: sealer, PublicURL: publicURL, Private: true,
		Sessions: session.NewServer(session.Config{Pool: b.pool, Queue: queue, Keys: b.keys, LoginsPerMinute: 1000, CaptchasPerMinute: 1, Now: b.now}),
	})
	t.Cleanup(b.Close)
	b.execute(t, `
		WITH t AS (INSERT INTO auth.tenants (name, created_at) VALUES ('dev', now()) RETURNING id),
		     a AS (INSERT INTO auth.roles (tenant_id, name, object_type, created_at) SELECT id, 'admin', 'all', now() FROM t RETURNING id, tenant_id),
		     r AS (INSERT INTO auth.roles (tenant_id, name, created_at) SELECT id, 'reader', now() FROM t),
		     u AS (INSERT INTO auth.users (tenant_id, role_id, username, password_hash, password_set_at, created_at)
		           SELECT tenant_id, id, 'ann', '', now(), now() FROM a RETURNING id)
		INSERT INTO auth.sessions (id, user_id, address, created_at, expires_at) SELECT 's', id, '', now(), now() + interval '1 day' FROM u`)
	b.admin = authn.WithPrincipal(t.Context(), authn.Principal{Tenant: "dev", User: "ann", Role: "admin", Session: "s"})
	return b
}

func (b *bundle) execute(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (b *bundle) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// create adds the provider to the tenant; users who sign in get a role, if there is one.
func (b *bundle) create(t *testing.T, role string) {
	t.Helper()
	_, err := b.CreateOidcProvider(b.admin, &authv1.CreateOidcProviderRequest{
		Tenant: "dev", Name: "corp", Issuer: b.provider.Issuer, ClientId: oidctest.ClientID, ClientSecret: oidctest.ClientSecret,
		CreateUsers: role != "", Role: role,
	})
	require.NoError(t, err)
}

// signIn goes to the provider and comes back with what the gateway would send.
func (b *bundle) signIn(t *testing.T) *authv1.FinishOidcLoginRequest {
	t.Helper()
	begun, err := b.StartOidcLogin(t.Context(), &authv1.StartOidcLoginRequest{Tenant: "dev", Provider: "corp"})
	require.NoError(t, err)
	back := b.provider.SignIn(t, begun.GetUrl())
	require.Equal(t, publicURL+callback, (&url.URL{Scheme: back.Scheme, Host: back.Host, Path: back.Path}).String())
	return &authv1.FinishOidcLoginRequest{
		State: back.Query().Get("state"), Code: back.Query().Get("code"), Issuer: back.Query().Get("iss"), BrowserSecret: begun.GetBrowserSecret(),
	}
}

func (b *bundle) finish(t *testing.T, r *authv1.FinishOidcLoginRequest) (authn.Principal, error) {
	t.Helper()
	answer, err := b.FinishOidcLogin(t.Context(), r)
	if err != nil {
		return authn.Principal{}, err
	}
	caller, err := authn.NewVerifier(b.keys).Verify(t.Context(), answer.GetToken())
	require.NoError(t, err)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.sessions WHERE id = $1`, caller.Session))
	return caller, nil
}

func requireReason(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	f := fault.From(err)
	require.NotNil(t, f, "want %s, got %v", reason, err)
	require.Equal(t, reason, f.Reason, "%v", err)
	require.Equal(t, code, f.Code)
	require.NotContains(t, err.Error(), oidctest.ClientSecret)
}

func TestSignInMakesAUser(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.create(t, "reader")
	caller, err := b.finish(t, b.signIn(t))
	require.NoError(t, err)
	require.Equal(t, authn.Principal{Tenant: "dev", User: oidctest.Username, Role: "reader", Session: caller.Session}, caller)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.users WHERE username = $1 AND email = $2`, oidctest.Username, oidctest.Email))
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM auth.audit WHERE action = 'user.created' AND actor = 'dev:provider corp'`))
	again, err := b.finish(t, b.signIn(t))
	require.NoError(t, err)
	require.NotEqual(t, caller.Session, again.Session)
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM auth.users`))
	list, err := b.ListOidcIdentities(b.admin, &authv1.ListOidcIdentitiesRequest{Tenant: "dev", Provider: "corp"})
	require.NoError(t, err)
	require.Len(t, list.GetIdentities(), 1)
	require.Equal(t, oidctest.Subject, list.GetIdentities()[0].GetSubject())
	require.True(t, list.GetIdentities()[0].GetMadeUser())

	b.execute(t, `UPDATE auth.users SET status = 'disabled' WHERE username = $1`, oidctest.Username)
	_, err = b.finish(t, b.signIn(t))
	requireReason(t, err, codes.Unauthenticated, "LOGIN_FAILED")
}

func TestSignInAsALinkedUser(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.create(t, "")
	_, err := b.finish(t, b.signIn(t))
	requireReason(t, err, codes.Unauthenticated, "OIDC_USER_UNKNOWN")
	link := &authv1.LinkOidcIdentityRequest{Tenant: "dev", Provider: "corp", Subject: oidctest.Subject, Username: "ANN"}
	_, err = b.LinkOidcIdentity(b.admin, link)
	require.NoError(t, err)
	_, err = b.LinkOidcIdentity(b.admin, link)
	requireReason(t, err, codes.AlreadyExists, "IDENTITY_EXISTS")
	b.execute(t, `INSERT INTO auth.login_attempts (tenant, username, failures, locked_until, expires_at)
		VALUES ('dev', 'ann', '{}', now() + interval '1 hour', now() + interval '1 hour')`)
	caller, err := b.finish(t, b.signIn(t))
	require.NoError(t, err, "somebody who guesses passwords does not lock out who needs none")
	require.Equal(t, "ann", caller.User)
	_, err = b.UnlinkOidcIdentity(b.admin, &authv1.UnlinkOidcIdentityRequest{Tenant: "dev", Provider: "corp", Subject: oidctest.Subject})
	require.NoError(t, err)
	_, err = b.finish(t, b.signIn(t))
	requireReason(t, err, codes.Unauthenticated, "OIDC_USER_UNKNOWN")
}

func TestANameLinksNobody(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.create(t, "reader")
	b.execute(t, `UPDATE auth.users SET username = $1`, "TEST-user2")
	b.admin = authn.WithPrincipal(t.Context(), authn.Principal{Tenant: "dev", User: "TEST-user2", Role: "admin", Session: "s"})
	_, err := b.finish(t, b.signIn(t))
	requireReason(t, err, codes.AlreadyExists, "OIDC_USER_EXISTS")
	_, err = b.UpdateOidcProvider(b.admin, &authv1.UpdateOidcProviderRequest{
		Tenant: "dev", Name: "corp", ClientId: oidctest.ClientID, UsernameClaim: "name", CreateUsers: true, Role: "reader", Enabled: true,
	})
	require.NoError(t, err)
	_, err = b.finish(t, b.signIn(t)) // "Test User2": no user name has a space
	requireReason(t, err, codes.Unauthenticated, "OIDC_CLAIM_MISSING")
}

func TestASignInIsFinishedOnceByTheBrowserThatBeganIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.create(t, "reader")
	r := b.signIn(t)
	other := b.signIn(t)
	stolen := &authv1.FinishOidcLoginRequest{State: r.GetState(), Code: r.GetCode(), BrowserSecret: other.GetBrowserSecret()}
	_, err := b.finish(t, stolen)
	requireReason(t, err, codes.Unauthenticated, "OIDC_LOGIN_UNKNOWN")
	swapped := &authv1.FinishOidcLoginRequest{State: other.GetState(), Code: r.GetCode(), BrowserSecret: other.GetBrowserSecret()}
	_, err = b.finish(t, swapped)
	requireReason(t, err, codes.Unauthenticated, "OIDC_REFUSED") // PKCE: the code is that of another sign-in
	r = b.signIn(t)
	_, err = b.finish(t, r)
	require.NoError(t, err)
	_, err = b.finish(t, r)
	requireReason(t, err, codes.Unauthenticated, "OIDC_LOGIN_UNKNOWN")
	late := b.signIn(t)
	b.pass(loginLife)
	_, err = b.finish(t, late)
	requireReason(t, err, codes.Unauthenticated, "OIDC_LOGIN_UNKNOWN")
	require.NoError(t, b.DeleteExpired(t.Context()))
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.oidc_logins`))
}

func TestRefusedSignIns(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.create(t, "reader")
	for name, change := range map[string]func(*authv1.FinishOidcLoginRequest){
		"refused by the provider": func(r *authv1.FinishOidcLoginRequest) { r.Code, r.Error = "", "access_denied" },
		"no code":                 func(r *authv1.FinishOidcLoginRequest) { r.Code = "" },
		"a made-up code":          func(r *authv1.FinishOidcLoginRequest) { r.Code = "x" },
		"another issuer":          func(r *authv1.FinishOidcLoginRequest) { r.Issuer = "https://evil.example.org" },
	} {
		r := b.signIn(t)
		change(r)
		_, err := b.finish(t, r)
		requireReason(t, err, codes.Unauthenticated, "OIDC_REFUSED")
		r = b.signIn(t)
		_, err = b.finish(t, r)
		require.NoError(t, err, name)
	}
}

func TestTwoWindowsMakeOneUser(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.create(t, "reader")
	requests := []*authv1.FinishOidcLoginRequest{b.signIn(t), b.signIn(t), b.signIn(t)}
	failures := make([]error, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() { _, failures[i] = b.FinishOidcLogin(t.Context(), r) })
	}
	all.Wait()
	for _, err := range failures {
		require.NoError(t, err)
	}
	require.Equal(t, 2, b.count(t, `SELECT count(*) FROM auth.users`))
}

func TestProviders(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	good := func() *authv1.CreateOidcProviderRequest {
		return &authv1.CreateOidcProviderRequest{Tenant: "dev", Name: "corp", Issuer: b.provider.Issuer, ClientId: "c", ClientSecret: oidctest.ClientSecret}
	}
	for reason, change := range map[string]func(*authv1.CreateOidcProviderRequest){
		"INVALID_REQUEST": func(r *authv1.CreateOidcProviderRequest) { r.Issuer = "http://idp.example.org" },
		"ROLE_NOT_FOUND":  func(r *authv1.CreateOidcProviderRequest) { r.CreateUsers, r.Role = true, "none" },
		"OUT_OF_SCOPE":    func(r *authv1.CreateOidcProviderRequest) { r.Tenant = "platform" },
	} {
		r := good()
		change(r)
		_, err := b.CreateOidcProvider(b.admin, r)
		require.True(t, fault.Is(err, reason), "%v", err)
	}
	_, err := b.CreateOidcProvider(b.admin, good())
	require.NoError(t, err)
	_, err = b.CreateOidcProvider(b.admin, good())
	requireReason(t, err, codes.AlreadyExists, "PROVIDER_EXISTS")
	list, err := b.ListOidcProviders(b.admin, &authv1.ListOidcProvidersRequest{})
	require.NoError(t, err)
	require.Len(t, list.GetProviders(), 1)
	require.Equal(t, publicURL+callback, list.GetProviders()[0].GetRedirectUri())
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.audit WHERE after::text LIKE '%`+oidctest.ClientSecret+`%'`))

	_, err = b.UpdateOidcProvider(b.admin, &authv1.UpdateOidcProviderRequest{Tenant: "dev", Name: "corp", ClientId: "c"})
	require.NoError(t, err)
	_, err = b.StartOidcLogin(t.Context(), &authv1.StartOidcLoginRequest{Tenant: "dev", Provider: "corp"})
	requireReason(t, err, codes.NotFound, "PROVIDER_NOT_FOUND") // not enabled
	_, err = b.DeleteOidcProvider(b.admin, &authv1.DeleteOidcProviderRequest{Tenant: "dev", Name: "corp"})
	require.NoError(t, err)
	_, err = b.DeleteOidcProvider(b.admin, &authv1.DeleteOidcProviderRequest{Tenant: "dev", Name: "corp"})
	requireReason(t, err, codes.NotFound, "PROVIDER_NOT_FOUND")
	require.Equal(t, 3, b.count(t, `SELECT count(*) FROM auth.audit WHERE action LIKE 'oidc_provider.%'`))
}

func TestProvidersInPrivateNetworksAreNotAsked(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.create(t, "reader")
	b.cfg.Private = false
	b.Server = NewServer(b.cfg)
	_, err := b.StartOidcLogin(t.Context(), &authv1.StartOidcLoginRequest{Tenant: "dev", Provider: "corp"})
	requireReason(t, err, codes.Unavailable, "PROVIDER_UNREACHABLE")
	require.ErrorIs(t, err, errPrivate)
	b.cfg.PublicURL = ""
	b.Server = NewServer(b.cfg)
	_, err = b.StartOidcLogin(t.Context(), &authv1.StartOidcLoginRequest{Tenant: "dev", Provider: "corp"})
	requireReason(t, err, codes.FailedPrecondition, "PUBLIC_URL_MISSING")
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, inside := range []string{
		"127.0.0.1:80", "10.1.2.3:443", "172.16.0.1:443", "192.168.1.1:443", "169.254.169.254:80", "100.64.0.1:443", "0.0.0.0:80", "224.0.0.1:80",
		"255.255.255.255:80", "[::1]:80", "[fe80::1]:80", "[fd00::1]:80", "[::ffff:10.0.0.1]:80", "[64:ff9b::a00:1]:80", "[2002:a00:1::]:80", "[::]:80",
	} {
		require.ErrorIs(t, checkAddress(inside), errPrivate, inside)
	}
	for _, outside := range []string{"93.184.216.34:443", "[2606:2800:220:1::1]:443"} {
		require.NoError(t, checkAddress(outside), outside)
	}
	for _, issuer := range []string{"https://idp.example.org", "https://idp.example.org/realms/x", "http://127.0.0.1:8080/", "http://localhost"} {
		require.NoError(t, checkIssuer(issuer), issuer)
	}
	for _, issuer := range []string{"", "idp.example.org", "http://idp.example.org", "ftp://idp.example.org", "https://u:p@idp.example.org", "https://idp.example.org?x=1", "https://idp.example.org#x", "file:///etc/passwd", "http://127.0.0.1.example.org"} {
		require.Error(t, checkIssuer(issuer), issuer)
	}
}
