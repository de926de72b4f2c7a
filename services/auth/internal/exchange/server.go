// Package exchange finds out whose credentials are that do not say so themselves, and gives a JWT for them.
package exchange

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/rpc"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
	"github.com/opsdeck/opsdeck/services/auth/internal/ratelimit"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
)

// tokenLife is how long a JWT is good for that a credential was exchanged for. The session behind it is asked about much more often
// (see pkg/access), so that this does not decide how fast a removed credential stops working; it bounds how long a limit that a
// gateway has checked, the bearer's address, is not checked again.
const tokenLife = time.Minute

// Config is what exchanging stands on.
type Config struct {
	Pool      *pgxpool.Pool
	Sealer    *secret.Sealer
	Keys      *signing.Keys
	PerMinute int // wrong credentials from one address
	Now       func() time.Time
}

// Server serves the ExchangeService.
type Server struct {
	authv1.UnimplementedExchangeServiceServer

	cfg   Config
	store store
	wrong *ratelimit.Limiter
}

// NewServer returns the ExchangeService.
func NewServer(cfg Config) *Server {
	return &Server{cfg: cfg, store: store{cfg.Pool}, wrong: ratelimit.New("wrong tokens", cfg.PerMinute, cfg.Now)}
}

// Exchange implements the ExchangeService.
func (s *Server) Exchange(ctx context.Context, r *authv1.ExchangeRequest) (*authv1.ExchangeResponse, error) {
	address := rpc.FromContext(ctx).Address
	if err := s.wrong.Check(address); err != nil {
		return nil, err
	}
	found, err := s.bearerOf(ctx, shownBy(r), address)
	if isWrong(err) {
		if limit := s.wrong.Allow(address); limit != nil {
			return nil, limit
		}
	}
	if err != nil {
		return nil, err
	}
	token, err := s.cfg.Keys.Sign(ctx, found.principal(), s.cfg.Now(), found.Expires)
	if err != nil {
		return nil, err
	}
	return &authv1.ExchangeResponse{Token: token, ExpireTime: timestamppb.New(found.Expires)}, nil
}

// shown is a credential as its bearer showed it.
type shown struct {
	kind    bearer.Kind
	secret  string
	appname string // of an app key
}

func shownBy(r *authv1.ExchangeRequest) shown {
	switch c := r.GetCredential().(type) {
	case *authv1.ExchangeRequest_ApiToken:
		return shown{kind: bearer.APIToken, secret: c.ApiToken}
	case *authv1.ExchangeRequest_AppKey:
		return shown{kind: bearer.AppKey, secret: c.AppKey.GetAppkey(), appname: c.AppKey.GetAppname()}
	case *authv1.ExchangeRequest_Cookie:
		return shown{kind: bearer.Cookie, secret: c.Cookie}
	}
	return shown{}
}

// bearerOf finds the session of a credential. Its hash is looked up, under a key that nobody outside knows: how long that takes says
// nothing about the secrets there are.
func (s *Server) bearerOf(ctx context.Context, c shown, address netip.Addr) (session, error) {
	if !bearer.Valid(c.kind, c.secret) {
		return session{}, invalid()
	}
	now := s.cfg.Now()
	hashes := s.cfg.Sealer.MACs(c.secret, c.kind.Place())
	found, err := s.store.find(ctx, c.kind, hashes, now, now.Add(tokenLife))
	switch {
	case err != nil:
		return session{}, err
	case found == nil || c.kind == bearer.AppKey && !strings.EqualFold(found.Appname, c.appname):
		return session{}, invalid()
	case found.Expired:
		return session{}, fault.Unauthenticated("TOKEN_EXPIRED", "the token has expired: please log in again")
	case !found.from(address):
		return session{}, fault.Denied("ADDRESS_NOT_ALLOWED", "the token may not be used from %s", rpc.FromContext(ctx).AddressText()).
			Chinese("该令牌不允许从 %s 使用", rpc.FromContext(ctx).AddressText())
	case found.OldKey:
		return *found, s.store.rehash(ctx, found.ID, hashes[0])
	}
	return *found, nil
}

// isWrong reports whether an error is the bearer's doing.
func isWrong(err error) bool {
	return slices.ContainsFunc([]string{"TOKEN_INVALID", "TOKEN_EXPIRED", "ADDRESS_NOT_ALLOWED"}, func(reason string) bool { return fault.Is(err, reason) })
}

// invalid says the same for a secret that nobody has and for that of a user who is disabled.
func invalid() error {
	return fault.Unauthenticated("TOKEN_INVALID", "the token is not valid: please log in")
}
