// Package oidc signs people in by the OpenID Connect providers of their tenants.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/jackc/pgx/v5"
	"golang.org/x/oauth2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
	"github.com/opsdeck/opsdeck/services/auth/internal/session"
)

const (
	loginLife = 10 * time.Minute // that somebody may take at the provider
	callback  = "/v2/login/oidc/callback"

	stateFor   = "auth.oidc_state"
	browserFor = "auth.oidc_browser"
	loginFor   = "auth.oidc_login"
)

// Config is what sign-ins by providers stand on.
type Config struct {
	Changes   change.Changer
	Sessions  *session.Server
	Passwords *password.Hasher
	Sealer    *secret.Sealer
	PublicURL string // of the gateway, as users reach it; without it nobody signs in
	Private   bool   // providers may be in private networks
}

// Server serves the OidcService.
type Server struct {
	authv1.UnimplementedOidcServiceServer

	cfg    Config
	client *http.Client
}

// NewServer returns the OidcService.
func NewServer(cfg Config) *Server { return &Server{cfg: cfg, client: newClient(cfg.Private)} }

// Close lets go of the connections to providers.
func (s *Server) Close() { s.client.CloseIdleConnections() }

// begun is what a sign-in under way must be finished with.
type begun struct {
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE (RFC 7636)
}

// StartOidcLogin implements the OidcService.
func (s *Server) StartOidcLogin(ctx context.Context, r *authv1.StartOidcLoginRequest) (*authv1.StartOidcLoginResponse, error) {
	if err := s.cfg.Sessions.Admit(ctx); err != nil {
		return nil, err
	}
	p, err := byName(ctx, s.cfg.Changes.Pool, r.GetTenant(), r.GetProvider())
	if err != nil {
		return nil, err
	}
	client, _, err := s.discover(ctx, p)
	if err != nil {
		return nil, err
	}
	state, browser, b := rand.Text(), rand.Text(), begun{Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	text, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	sealed, err := s.cfg.Sealer.Seal(text, loginFor)
	if err != nil {
		return nil, err
	}
	stateHash, browserHash := s.cfg.Sealer.MAC(state, stateFor), s.cfg.Sealer.MAC(browser, browserFor)
	if err := insertLogin(ctx, s.cfg.Changes.Pool, p.ID, stateHash, browserHash, sealed, s.cfg.Changes.Now().Add(loginLife)); err != nil {
		return nil, err
	}
	url := client.AuthCodeURL(state, oidc.Nonce(b.Nonce), oauth2.S256ChallengeOption(b.Verifier))
	return &authv1.StartOidcLoginResponse{Url: url, BrowserSecret: browser}, nil
}

// FinishOidcLogin implements the OidcService.
func (s *Server) FinishOidcLogin(ctx context.Context, r *authv1.FinishOidcLoginRequest) (*authv1.FinishOidcLoginResponse, error) {
	if err := s.cfg.Sessions.Admit(ctx); err != nil {
		return nil, err
	}
	p, b, err := s.take(ctx, r)
	if err != nil {
		return nil, err
	}
	switch {
	case r.GetIssuer() != "" && r.GetIssuer() != p.Issuer:
		return nil, refused("the answer is of another provider than was asked") // RFC 9207
	case r.GetError() != "" || r.GetCode() == "":
		return nil, refused("the provider did not sign you in: %q", r.GetError())
	}
	who, err := s.ask(ctx, p, b, r.GetCode())
	if err != nil {
		return nil, err
	}
	userID, err := s.userOf(ctx, p, who)
	if err != nil {
		return nil, err
	}
	known, err := s.cfg.Sessions.Vouched(ctx, userID)
	if err != nil {
		return nil, err
	}
	token, expires, err := s.cfg.Sessions.Open(ctx, known)
	if err != nil {
		return nil, err
	}
	return &authv1.FinishOidcLoginResponse{Token: token, ExpireTime: timestamppb.New(expires)}, nil
}

// take ends a sign-in that is under way: it can be finished once, and by the browser that began it.
func (s *Server) take(ctx context.Context, r *authv1.FinishOidcLoginRequest) (p provider, b begun, err error) {
	now := s.cfg.Changes.Now()
	sealed, id, err := takeLogin(ctx, s.cfg.Changes.Pool, s.cfg.Sealer.MACs(r.GetState(), stateFor), s.cfg.Sealer.MACs(r.GetBrowserSecret(), browserFor), now)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, b, fault.Unauthenticated("OIDC_LOGIN_UNKNOWN", "this sign-in was finished, is older than %d minutes, or was begun by another browser: begin again", int(loginLife.Minutes()))
	}
	if err != nil {
		return p, b, pg.Fault(err, "OIDC_LOGIN", "take a sign-in")
	}
	text, err := s.cfg.Sealer.Open(sealed, loginFor)
	if err != nil {
		return p, b, err
	}
	if err := json.Unmarshal(text, &b); err != nil {
		return p, b, err
	}
	p, err = byID(ctx, s.cfg.Changes.Pool, id)
	return p, b, err
}

// discover asks a provider for its addresses. It does so at every sign-in: there are few, and what is remembered would have to be
// forgotten again when the provider moves.
func (s *Server) discover(ctx context.Context, p provider) (*oauth2.Config, *oidc.Provider, error) {
	if s.cfg.PublicURL == "" {
		return nil, nil, fault.Precondition("PUBLIC_URL_MISSING", "sign-in by providers needs OPSDECK_AUTH_PUBLIC_URL")
	}
	secret, err := s.cfg.Sealer.Open(p.Secret, p.sealedFor())
	if err != nil {
		return nil, nil, fmt.Errorf("client secret of provider %s: %w", p, err)
	}
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), p.Issuer)
	if err != nil {
		return nil, nil, unreachable(p, err)
	}
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: string(secret), Endpoint: found.Endpoint(), RedirectURL: s.redirectURI(),
		Scopes: append([]string{oidc.ScopeOpenID}, p.Scopes...),
	}, found, nil
}

func (s *Server) redirectURI() string {
	if s.cfg.PublicURL == "" {
		return ""
	}
	return strings.TrimRight(s.cfg.PublicURL, "/") + callback
}

// person is somebody as his provider knows him.
type person struct {
	subject  string
	username string
	email    string // empty unless the provider has verified it
}

// ask exchanges a code for who somebody is.
func (s *Server) ask(ctx context.Context, p provider, b begun, code string) (person, error) {
	client, found, err := s.discover(ctx, p)
	if err != nil {
		return person{}, err
	}
	ctx = oidc.ClientContext(ctx, s.client)
	tokens, err := client.Exchange(ctx, code, oauth2.VerifierOption(b.Verifier))
	var denied *oauth2.RetrieveError
	if errors.As(err, &denied) {
		return person{}, refused("the provider did not take the code: %q", denied.ErrorCode)
	}
	if err != nil {
		return person{}, unreachable(p, err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return person{}, refused("the provider sent no id token")
	}
	id, err := found.VerifierContext(ctx, &oidc.Config{ClientID: p.ClientID, Now: s.cfg.Changes.Now}).Verify(ctx, raw)
	if err != nil {
		return person{}, refused("the id token is not good").Wrap(err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(b.Nonce)) != 1 {
		return person{}, refused("the id token is that of another sign-in")
	}
	return s.personOf(ctx, p, found, tokens, id)
}

// personOf reads the claims of the id token, and asks for more where the provider keeps them apart.
func (s *Server) personOf(ctx context.Context, p provider, found *oidc.Provider, tokens *oauth2.Token, id *oidc.IDToken) (person, error) {
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return person{}, refused("the claims of the id token cannot be read").Wrap(err)
	}
	if _, ok := claims[p.UsernameClaim]; !ok && found.UserInfoEndpoint() != "" {
		info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
		if err != nil {
			return person{}, unreachable(p, err)
		}
		if info.Subject != id.Subject {
			return person{}, refused("the user info is that of somebody else") // OpenID Connect Core 1.0, 5.3.2
		}
		if err := info.Claims(&claims); err != nil {
			return person{}, refused("the user info cannot be read").Wrap(err)
		}
	}
	who := person{subject: id.Subject}
	who.username, _ = claims[p.UsernameClaim].(string)
	if verified, _ := claims["email_verified"].(bool); verified {
		who.email, _ = claims["email"].(string)
	}
	return who, nil
}

func unreachable(p provider, err error) error {
	return fault.Unavailable("PROVIDER_UNREACHABLE", "the provider %s cannot be asked now: try again, and tell your administrator if that does not help", p).Wrap(err)
}

func refused(format string, args ...any) *fault.Fault {
	return &fault.Fault{Code: codes.Unauthenticated, Reason: "OIDC_REFUSED", Message: fmt.Sprintf(format, args...)}
}

// DeleteExpired removes sign-ins that nobody finished.
func (s *Server) DeleteExpired(ctx context.Context) error {
	return deleteExpired(ctx, s.cfg.Changes.Pool, s.cfg.Changes.Now())
}
