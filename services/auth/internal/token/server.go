// Package token keeps API tokens and app keys: credentials of programs, which act for a user and can be limited to less than he may.
package token

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/page"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// pages are those of contract 002, conventions.paging.
var pages = page.Limits{Default: 10, Max: 100}

// Config is what tokens stand on.
type Config struct {
	Changes  change.Changer
	Sealer   *secret.Sealer
	PerUser  int  // tokens, and as many app keys, that act for one user
	ReadBack bool // values can be read again
}

// Server serves the TokenService and the AppKeyService.
type Server struct {
	authv1.UnimplementedTokenServiceServer
	authv1.UnimplementedAppKeyServiceServer

	cfg   Config
	store store
}

// NewServer returns both services.
func NewServer(cfg Config) *Server { return &Server{cfg: cfg, store: store{cfg.Changes.Pool}} }

func (s *Server) caller(ctx context.Context) (rights.Rights, error) {
	return rights.Of(ctx, s.cfg.Changes.Pool, authn.FromContext(ctx), s.cfg.Changes.Now())
}

// ListTokens implements the TokenService.
func (s *Server) ListTokens(ctx context.Context, r *authv1.ListTokensRequest) (*authv1.ListTokensResponse, error) {
	offset, limit, err := pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	by, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	wanted := filter{kind: bearer.APIToken, name: r.GetName(), description: r.GetDescription()}
	if r.GetValue() != "" {
		wanted.hashes = s.cfg.Sealer.MACs(r.GetValue(), bearer.APIToken.Place())
	}
	rows, count, err := s.store.list(ctx, by, wanted, offset, limit)
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListTokensResponse{Count: count}
	for _, row := range rows {
		token, err := s.proto(row)
		if err != nil {
			return nil, err
		}
		answer.Results = append(answer.Results, token)
	}
	return answer, nil
}

// CreateToken implements the TokenService.
func (s *Server) CreateToken(ctx context.Context, r *authv1.CreateTokenRequest) (*authv1.CreateTokenResponse, error) {
	wanted, err := limitsOf(r)
	if err != nil {
		return nil, err
	}
	var answer *authv1.Token
	err = s.cfg.Changes.In(ctx, authn.FromContext(ctx).Tenant, func(ctx context.Context, c *change.Change) error {
		made := row{
			Kind: bearer.APIToken, Name: r.GetName(), Description: r.GetDescription(), UserID: c.By.UserID,
			Tenant: c.By.Tenant, Username: c.By.Username, limits: wanted,
		}
		value, err := s.make(ctx, c, &made)
		if err != nil {
			return err
		}
		answer = made.token(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &authv1.CreateTokenResponse{Token: answer}, nil
}

// GetToken implements the TokenService.
func (s *Server) GetToken(ctx context.Context, r *authv1.GetTokenRequest) (*authv1.GetTokenResponse, error) {
	by, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	found, err := find(ctx, s.cfg.Changes.Pool, by, bearer.APIToken, r.GetId())
	if err != nil {
		return nil, err
	}
	token, err := s.proto(found)
	return &authv1.GetTokenResponse{Token: token}, err
}

// UpdateToken implements the TokenService.
func (s *Server) UpdateToken(ctx context.Context, r *authv1.UpdateTokenRequest) (*authv1.UpdateTokenResponse, error) {
	id, err := s.named(ctx, r)
	if err != nil {
		return nil, err
	}
	var token *authv1.Token
	err = s.changeOne(ctx, bearer.APIToken, id, func(ctx context.Context, c *change.Change, before row) error {
		after := before
		if r.Name != nil {
			after.Name = r.GetName()
		}
		if r.Description != nil {
			after.Description = r.GetDescription()
		}
		if err := update(ctx, c, after); err != nil {
			return err
		}
		if token, err = s.proto(after); err != nil {
			return err
		}
		return record(ctx, c, "updated", &before, &after)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.UpdateTokenResponse{Token: token}, nil
}

// named returns the id of the token that a request means. Without one it is the caller's only token with the name.
func (s *Server) named(ctx context.Context, r *authv1.UpdateTokenRequest) (int64, error) {
	if r.GetId() != 0 {
		return r.GetId(), nil
	}
	if r.Name == nil {
		return 0, fault.Invalid("id", "give it, or the name of one of your tokens").Chinese("请提供 id，或自己某个令牌的名称")
	}
	ids, err := s.store.ofCaller(ctx, authn.FromContext(ctx), r.GetName())
	if err != nil {
		return 0, err
	}
	if len(ids) != 1 {
		ambiguous := &fault.Fault{
			Code: codes.InvalidArgument, Reason: "TOKEN_AMBIGUOUS",
			Message: "name: you have not exactly one token of this name: give its id",
		}
		return 0, ambiguous.Chinese("name：您名下该名称的令牌不是恰好一个，请提供 id")
	}
	return ids[0], nil
}

// DeleteToken implements the TokenService.
func (s *Server) DeleteToken(ctx context.Context, r *authv1.DeleteTokenRequest) (*authv1.DeleteTokenResponse, error) {
	if err := s.remove(ctx, bearer.APIToken, r.GetId()); err != nil {
		return nil, err
	}
	return &authv1.DeleteTokenResponse{}, nil
}

func (s *Server) remove(ctx context.Context, kind bearer.Kind, id int64) error {
	return s.changeOne(ctx, kind, id, func(ctx context.Context, c *change.Change, before row) error {
		if err := remove(ctx, c, before); err != nil {
			return err
		}
		return record(ctx, c, "deleted", &before, nil)
	})
}

// changeOne changes something of a token that the caller may see. It looks again inside the transaction: the token may have gone, or
// the caller's rights.
func (s *Server) changeOne(ctx context.Context, kind bearer.Kind, id int64, do func(ctx context.Context, c *change.Change, before row) error) error {
	by, err := s.caller(ctx)
	if err != nil {
		return err
	}
	seen, err := find(ctx, s.cfg.Changes.Pool, by, kind, id)
	if err != nil {
		return err
	}
	return s.cfg.Changes.In(ctx, seen.Tenant, func(ctx context.Context, c *change.Change) error {
		before, err := find(ctx, c.Tx, c.By, kind, id)
		if err != nil {
			return err
		}
		return do(ctx, c, before)
	})
}

// ListTokenOperations implements the TokenService.
func (s *Server) ListTokenOperations(ctx context.Context, r *authv1.ListTokenOperationsRequest) (*authv1.ListTokenOperationsResponse, error) {
	offset, limit, err := pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	by, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	rows, count, err := s.store.operations(ctx, by, r, offset, limit)
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListTokenOperationsResponse{Count: count}
	for _, row := range rows {
		answer.Results = append(answer.Results, row.proto())
	}
	return answer, nil
}

// proto shows a token as it may be read again.
func (s *Server) proto(r row) (*authv1.Token, error) {
	value, err := s.readable(r)
	return r.token(value), err
}

// readable returns the value of a token as far as it may be read again.
func (s *Server) readable(r row) (string, error) {
	if !s.cfg.ReadBack || r.Sealed == nil {
		return r.Hint, nil
	}
	value, err := s.cfg.Sealer.Open(r.Sealed, sealedFor(r.Session))
	return string(value), err
}

func sealedFor(session string) string { return "auth.token/" + session }

// name is that of a token in the audit and in events.
func (r row) subject() string { return strings.Join([]string{r.Tenant, r.Name}, ":") }
