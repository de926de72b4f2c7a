// Package refresh keeps sessions that a client refreshes by itself: short access tokens, and a refresh token that is good once.
package refresh

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/ratelimit"
	"github.com/opsdeck/opsdeck/services/auth/internal/session"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
)

const (
	// accessLife of a token that can be refreshed.
	accessLife = 15 * time.Minute
	// sessionLife is how long a session can be refreshed. It does not grow: a client that was stolen is not good for ever.
	sessionLife = 14 * 24 * time.Hour
)

// Config is what these sessions stand on.
type Config struct {
	Changes          change.Changer
	Sealer           *secret.Sealer
	Keys             *signing.Keys
	Sessions         *session.Server
	Tenant           string // of names that do not say theirs, and of users who sign up
	Registration     bool   // everybody may sign up
	Rotate           bool   // a refresh token is good once
	SignUpsPerMinute int    // from one address
	WrongPerMinute   int    // refresh tokens from one address
}

// Server serves the RefreshService.
type Server struct {
	authv1.UnimplementedRefreshServiceServer

	cfg     Config
	store   store
	signUps *ratelimit.Limiter
	wrong   *ratelimit.Limiter
}

// NewServer returns the RefreshService.
func NewServer(cfg Config) *Server {
	return &Server{
		cfg: cfg, store: store{cfg.Changes.Pool},
		signUps: ratelimit.New("registrations", cfg.SignUpsPerMinute, cfg.Changes.Now),
		wrong:   ratelimit.New("wrong refresh tokens", cfg.WrongPerMinute, cfg.Changes.Now),
	}
}

// SignIn implements the RefreshService.
func (s *Server) SignIn(ctx context.Context, r *authv1.SignInRequest) (*authv1.SignInResponse, error) {
	tenant, username := session.SplitName(r.GetName(), s.cfg.Tenant)
	known, err := s.cfg.Sessions.Authenticate(ctx, session.Credentials{Tenant: tenant, Username: username, Password: r.GetPassword(), Code: r.GetTotp()})
	if err != nil {
		return nil, err
	}
	opened := s.cfg.Sessions.NewSession(ctx, sessionLife)
	family, turn := bearer.New(bearer.Refresh), bearer.NewTurn()
	opened.Kind, opened.Secret, opened.Turn = bearer.Refresh, s.cfg.Sealer.MAC(family, bearer.Refresh.Place()), s.cfg.Sealer.MAC(turn, turnPlace)
	access, err := s.cfg.Keys.Sign(ctx, known.Principal(opened.ID), opened.From, opened.From.Add(accessLife))
	if err != nil {
		return nil, err
	}
	err = pg.InTx(ctx, s.cfg.Changes.Pool, func(ctx context.Context, tx pgx.Tx) error { return s.cfg.Sessions.Begin(ctx, tx, known, opened) })
	if err != nil {
		return nil, err
	}
	return &authv1.SignInResponse{
		AccessToken: access, ExpiresIn: seconds(accessLife), RefreshToken: bearer.Join(family, turn), Time: seconds(sessionLife),
	}, nil
}

// Refresh implements the RefreshService.
func (s *Server) Refresh(ctx context.Context, r *authv1.RefreshRequest) (*authv1.RefreshResponse, error) {
	address := rpc.FromContext(ctx).Address
	if err := s.wrong.Check(address); err != nil {
		return nil, err
	}
	answer, err := s.refresh(ctx, r.GetRefreshToken())
	if fault.Is(err, invalidReason) {
		if limit := s.wrong.Allow(address); limit != nil {
			return nil, limit
		}
	}
	return answer, err
}

// refresh signs the access token before it uses the refresh token up: a client must not lose its session because the keys cannot be
// read.
func (s *Server) refresh(ctx context.Context, shown string) (*authv1.RefreshResponse, error) {
	family, turn, ok := bearer.Split(shown)
	if !ok {
		return nil, invalid()
	}
	now, hashes := s.cfg.Changes.Now(), s.cfg.Sealer.MACs(family, bearer.Refresh.Place())
	f, err := find(ctx, s.store.pool, hashes, now)
	if err != nil {
		return nil, err
	}
	expires := earlier(now.Add(accessLife), f.Expires)
	access, err := s.cfg.Keys.Sign(ctx, f.principal(), now, expires)
	if err != nil {
		return nil, err
	}
	next, err := s.take(ctx, hashes, turn, now)
	if err != nil {
		return nil, err
	}
	return &authv1.RefreshResponse{
		AccessToken: access, ExpiresIn: seconds(expires.Sub(now)), RefreshToken: bearer.Join(family, next), Time: seconds(f.Expires.Sub(now)),
	}, nil
}

// SignOut implements the RefreshService.
func (s *Server) SignOut(ctx context.Context, r *authv1.SignOutRequest) (*authv1.SignOutResponse, error) {
	caller := authn.FromContext(ctx)
	if caller.User == "" && r.GetRefreshToken() == "" {
		return nil, fault.Invalid("refresh_token", "send it, or the access token in the header, or both").Chinese("请提供，或在请求头中提供 access token，或两者都提供")
	}
	if family, _, ok := bearer.Split(r.GetRefreshToken()); ok {
		if err := s.end(ctx, s.cfg.Sealer.MACs(family, bearer.Refresh.Place())); err != nil {
			return nil, err
		}
	}
	if caller.User != "" {
		if _, err := s.cfg.Sessions.Logout(ctx, &authv1.LogoutRequest{}); err != nil {
			return nil, err
		}
	}
	return &authv1.SignOutResponse{}, nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

const invalidReason = "REFRESH_TOKEN_INVALID"

// invalid says the same for a token that is none, was used, or is of a session that has ended.
func invalid() error {
	return fault.Unauthenticated(invalidReason, "the refresh token is not valid: please log in").Chinese("refresh token 无效：请重新登录")
}
