// Package oidctest is an OpenID Connect provider inside a test: zitadel's, with its in-memory storage and its page to sign in at.
package oidctest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// What opsdeck is called at the provider.
const (
	ClientID     = "opsdeck"
	ClientSecret = "client-secret-at-the-provider"
)

// Somebody whom the provider knows.
const (
	Subject  = "id2"
	Username = "test-user2"
	Email    = "test-user2@zitadel.ch"
	password = "verysecure"
)

// Provider is a running provider.
type Provider struct {
	Issuer string
}

// Start runs a provider on this machine until the test ends. It sends browsers back to redirectURI and nowhere else.
func Start(t testing.TB, redirectURI string) Provider {
	t.Helper()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	issuer := server.URL + "/"
	clients := map[string]*storage.Client{ClientID: storage.WebClient(ClientID, ClientSecret, redirectURI)}
	handler = exampleop.SetupServer(issuer, storage.NewStorageWithClients(storage.NewUserStore(issuer), clients), slog.New(slog.DiscardHandler), false)
	return Provider{Issuer: issuer}
}

// SignIn does at the provider what a browser does that was sent there, and returns where it is sent back to.
func (p Provider) SignIn(t testing.TB, address string) *url.URL {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	step := func(response *http.Response, err error) *url.URL {
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusFound, response.StatusCode)
		next, err := response.Location()
		require.NoError(t, err)
		return next
	}
	page := step(client.Get(address)) //nolint:bodyclose,noctx // closed in step; a test
	form := url.Values{"id": {page.Query().Get("authRequestID")}, "username": {Username}, "password": {password}}
	page.RawQuery = ""
	back := step(client.PostForm(page.String(), form)) //nolint:bodyclose,noctx // closed in step; a test
	return step(client.Get(back.String()))             //nolint:bodyclose,noctx // closed in step; a test
}
