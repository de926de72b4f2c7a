package token

import (
	"context"
	"strings"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/auth/internal/bearer"
	"github.com/opsdeck/opsdeck/services/auth/internal/change"
)

// ListAppKeys implements the AppKeyService.
func (s *Server) ListAppKeys(ctx context.Context, r *authv1.ListAppKeysRequest) (*authv1.ListAppKeysResponse, error) {
	offset, limit, err := pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	by, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	rows, count, err := s.store.list(ctx, by, filter{kind: bearer.AppKey, name: r.GetAppname()}, offset, limit)
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListAppKeysResponse{Count: count}
	for _, row := range rows {
		value, err := s.readable(row)
		if err != nil {
			return nil, err
		}
		answer.Results = append(answer.Results, row.appKey(value))
	}
	return answer, nil
}

// CreateAppKey implements the AppKeyService.
func (s *Server) CreateAppKey(ctx context.Context, r *authv1.CreateAppKeyRequest) (*authv1.CreateAppKeyResponse, error) {
	wanted, err := limitsOf(r)
	if err != nil {
		return nil, err
	}
	caller := authn.FromContext(ctx)
	tenant, username := caller.Tenant, caller.User
	if r.GetUser() != "" {
		named := false
		if tenant, username, named = strings.Cut(r.GetUser(), ":"); !named {
			return nil, fault.Invalid("user", "must be tenant:username").Chinese("应为 租户:用户名")
		}
	}
	var answer *authv1.AppKey
	err = s.cfg.Changes.In(ctx, tenant, func(ctx context.Context, c *change.Change) error {
		made := row{Kind: bearer.AppKey, Name: r.GetAppname(), Description: r.GetDescription(), Tenant: tenant, limits: wanted}
		if made.UserID, made.Username, err = userOf(ctx, c, username); err != nil {
			return err
		}
		value, err := s.make(ctx, c, &made)
		if err != nil {
			return err
		}
		answer = made.appKey(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &authv1.CreateAppKeyResponse{AppKey: answer}, nil
}

// DeleteAppKey implements the AppKeyService.
func (s *Server) DeleteAppKey(ctx context.Context, r *authv1.DeleteAppKeyRequest) (*authv1.DeleteAppKeyResponse, error) {
	if err := s.remove(ctx, bearer.AppKey, r.GetId()); err != nil {
		return nil, err
	}
	return &authv1.DeleteAppKeyResponse{}, nil
}
