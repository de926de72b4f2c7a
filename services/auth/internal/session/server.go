// Package session signs people in: captcha, lockout, password, session and token.
package session

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/captcha"
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
	"github.com/opsdeck/opsdeck/services/auth/internal/ratelimit"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
	"github.com/opsdeck/opsdeck/services/auth/internal/totp"
)

// Config is what signing in stands on.
type Config struct {
	Pool              *pgxpool.Pool
	Queue             *jobs.Client
	Captchas          *captcha.Captchas
	Passwords         *password.Hasher
	Policy            password.Policy
	RSA               *secret.RSA // nil: passwords arrive in plain text
	Keys              *signing.Keys
	Factors           *totp.Factors
	LoginsPerMinute   int // from one address
	CaptchasPerMinute int // for one address
	Now               func() time.Time
}

// Server serves the SessionService.
type Server struct {
	authv1.UnimplementedSessionServiceServer

	cfg      Config
	store    store
	logins   *ratelimit.Limiter
	captchas *ratelimit.Limiter
	seen     seen
}

// NewServer returns the SessionService.
func NewServer(cfg Config) *Server {
	return &Server{
		cfg: cfg, store: store{cfg.Pool}, seen: seen{now: cfg.Now, uses: map[string]time.Time{}},
		logins:   ratelimit.New("logins", cfg.LoginsPerMinute, cfg.Now),
		captchas: ratelimit.New("captchas", cfg.CaptchasPerMinute, cfg.Now),
	}
}

// CreateCaptcha implements the SessionService.
func (s *Server) CreateCaptcha(ctx context.Context, r *authv1.CreateCaptchaRequest) (*authv1.CreateCaptchaResponse, error) {
	if err := s.captchas.Allow(rpc.FromContext(ctx).Address); err != nil {
		return nil, err
	}
	id, data, err := s.cfg.Captchas.Create(ctx, r.GetCaptchaType())
	if err != nil {
		return nil, err
	}
	return &authv1.CreateCaptchaResponse{Id: id, DataScheme: data}, nil
}

// DeleteExpired removes sessions and failed logins that no longer matter.
func (s *Server) DeleteExpired(ctx context.Context) error {
	return s.store.deleteExpired(ctx, s.cfg.Now())
}
