package user

import (
	"context"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/page"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
)

// pages are those of contract 002.
var pages = page.Limits{Default: 10, Max: 100}

// FindUsers implements the UserService.
func (s *Server) FindUsers(ctx context.Context, r *authv1.FindUsersRequest) (*authv1.FindUsersResponse, error) {
	offset, limit, err := pages.Offset(r.GetPage(), r.GetPageSize())
	if err != nil {
		return nil, err
	}
	caller, admin := authn.FromContext(ctx), access.Holds(ctx, access.AdminRight)
	if !admin && (r.GetEmail() != "" || r.GetPhone() != "") {
		return nil, fault.Denied("FORBIDDEN", "only administrators may look for users by mail address and telephone number").Chinese("只有管理员可以按邮箱和电话查找用户")
	}
	users, count, err := s.store.search(ctx, search{
		everyTenant: admin && caller.IsPlatform(), tenant: caller.Tenant,
		username: r.GetUsername(), email: r.GetEmail(), phone: r.GetPhone(), status: r.GetStatus(),
	}, offset, limit)
	if err != nil {
		return nil, err
	}
	answer := &authv1.FindUsersResponse{Count: count}
	for _, u := range users {
		account := u.account(caller.Tenant)
		if !admin {
			account.Email, account.Phone = "", ""
		}
		answer.Results = append(answer.Results, account)
	}
	return answer, nil
}

// GetUser implements the UserService.
func (s *Server) GetUser(ctx context.Context, r *authv1.GetUserRequest) (*authv1.GetUserResponse, error) {
	caller := authn.FromContext(ctx)
	u, err := s.store.byID(ctx, caller, r.GetId())
	if err != nil {
		return nil, err
	}
	return &authv1.GetUserResponse{User: u.account(caller.Tenant)}, nil
}

// EditUser implements the UserService.
func (s *Server) EditUser(ctx context.Context, r *authv1.EditUserRequest) (*authv1.EditUserResponse, error) {
	answer := &authv1.EditUserResponse{}
	err := s.changes.ForUser(ctx, r.GetId(), func(ctx context.Context, c *change.Change) error {
		if c.By.UserID != r.GetId() {
			if err := c.ByAdmin(); err != nil {
				return err
			}
		}
		u, err := findByID(ctx, c, r.GetId())
		if err != nil {
			return err
		}
		after := u
		if r.Email != nil {
			after.Email = r.GetEmail()
		}
		if r.Phone != nil {
			after.Phone = r.GetPhone()
		}
		answer.User = after.account(c.By.Tenant)
		if err := setContact(ctx, c, after); err != nil {
			return err
		}
		return changed(ctx, c, []userRow{u})
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// DisableUser implements the UserService.
func (s *Server) DisableUser(ctx context.Context, r *authv1.DisableUserRequest) (*authv1.DisableUserResponse, error) {
	if err := s.setStatus(ctx, r.GetId(), Disabled); err != nil {
		return nil, err
	}
	return &authv1.DisableUserResponse{}, nil
}

// EnableUser implements the UserService.
func (s *Server) EnableUser(ctx context.Context, r *authv1.EnableUserRequest) (*authv1.EnableUserResponse, error) {
	if err := s.setStatus(ctx, r.GetId(), Enabled); err != nil {
		return nil, err
	}
	return &authv1.EnableUserResponse{}, nil
}

func (s *Server) setStatus(ctx context.Context, id int64, status string) error {
	return s.changes.ForUser(ctx, id, func(ctx context.Context, c *change.Change) error {
		if err := c.ByAdmin(); err != nil {
			return err
		}
		u, err := findByID(ctx, c, id)
		if err != nil {
			return err
		}
		if status == Disabled {
			if u.ID == c.By.UserID {
				return fault.Denied("USER_PROTECTED", "nobody can disable himself").Chinese("不能禁用自己")
			}
			if err := endSessions(ctx, c, u); err != nil {
				return err
			}
		}
		if err := setStatus(ctx, c, u, status); err != nil {
			return err
		}
		return changed(ctx, c, []userRow{u})
	})
}

// AddUserRoles implements the UserService.
func (s *Server) AddUserRoles(ctx context.Context, r *authv1.AddUserRolesRequest) (*authv1.AddUserRolesResponse, error) {
	err := s.changes.ForUser(ctx, r.GetId(), func(ctx context.Context, c *change.Change) error {
		return GiveRoles(ctx, c, []int64{r.GetId()}, IDs(r.GetRoles()))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.AddUserRolesResponse{}, nil
}

// RemoveUserRoles implements the UserService.
func (s *Server) RemoveUserRoles(ctx context.Context, r *authv1.RemoveUserRolesRequest) (*authv1.RemoveUserRolesResponse, error) {
	err := s.changes.ForUser(ctx, r.GetId(), func(ctx context.Context, c *change.Change) error {
		return TakeRoles(ctx, c, []int64{r.GetId()}, IDs(r.GetRoles()))
	})
	if err != nil {
		return nil, err
	}
	return &authv1.RemoveUserRolesResponse{}, nil
}
