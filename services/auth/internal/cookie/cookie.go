// Package cookie keeps the sessions of browsers, which show a cookie that no script can read.
package cookie

import (
	"cmp"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
	"github.com/opsdeck/opsdeck/services/auth/internal/session"
)

// life of a session (contract 001, extras.login).
const life = 8 * time.Hour

// neverExpires is what the pages read as days until the password expires.
const neverExpires = 9999

const done = "ok"

// Config is what these sessions stand on.
type Config struct {
	Pool     *pgxpool.Pool
	Sealer   *secret.Sealer
	Sessions *session.Server
	Tenant   string // of names that do not say theirs
}

// Server serves the CookieService.
type Server struct {
	authv1.UnimplementedCookieServiceServer

	cfg Config
}

// NewServer returns the CookieService.
func NewServer(cfg Config) *Server { return &Server{cfg: cfg} }

// OpenSession implements the CookieService.
func (s *Server) OpenSession(ctx context.Context, r *authv1.OpenSessionRequest) (*authv1.OpenSessionResponse, error) {
	tenant, username := session.SplitName(r.GetUser(), cmp.Or(r.GetDomain(), s.cfg.Tenant))
	known, err := s.cfg.Sessions.Authenticate(ctx, session.Credentials{Tenant: tenant, Username: username, Password: r.GetPass(), Code: r.GetTotp()})
	if err != nil {
		return nil, err
	}
	value := bearer.New(bearer.Cookie)
	opened := s.cfg.Sessions.NewSession(ctx, life)
	opened.Kind, opened.Secret = bearer.Cookie, s.cfg.Sealer.MAC(value, bearer.Cookie.Place())
	err = pg.InTx(ctx, s.cfg.Pool, func(ctx context.Context, tx pgx.Tx) error { return s.cfg.Sessions.Begin(ctx, tx, known, opened) })
	if err != nil {
		return nil, err
	}
	return &authv1.OpenSessionResponse{Info: done, Pwperiod: neverExpires, Cookie: value, MaxAge: int32(life.Seconds())}, nil
}

// CloseSession implements the CookieService.
func (s *Server) CloseSession(ctx context.Context, _ *authv1.CloseSessionRequest) (*authv1.CloseSessionResponse, error) {
	if _, err := s.cfg.Sessions.Logout(ctx, &authv1.LogoutRequest{}); err != nil {
		return nil, err
	}
	return &authv1.CloseSessionResponse{Info: done}, nil
}
