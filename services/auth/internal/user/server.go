// Package user keeps the people who can sign in.
package user

import (
	"context"
	"errors"
	"reflect"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// Passwords are how passwords come in.
type Passwords interface {
	// Confirm returns nil when the text is the caller's own password.
	Confirm(ctx context.Context, text string) error
	// Hash returns what to store for a new password that came in a field of the request.
	Hash(ctx context.Context, field, text string) (string, error)
}

// Server serves the UserService and the TenantService.
type Server struct {
	authv1.UnimplementedUserServiceServer
	authv1.UnimplementedTenantServiceServer

	changes   change.Changer
	passwords Passwords
	store     store
}

// NewServer returns both services.
func NewServer(changes change.Changer, passwords Passwords) *Server {
	return &Server{changes: changes, passwords: passwords, store: store{changes.Pool}}
}

func (s *Server) caller(ctx context.Context) (rights.Rights, error) {
	return rights.Of(ctx, s.changes.Pool, authn.FromContext(ctx), s.changes.Now())
}

// GetCurrentUser implements the UserService. A token alone is not enough: its session must be open and its user enabled.
func (s *Server) GetCurrentUser(ctx context.Context, _ *authv1.GetCurrentUserRequest) (*authv1.GetCurrentUserResponse, error) {
	r, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	return &authv1.GetCurrentUserResponse{CurrentUser: &authv1.User{
		Username: r.Username, Tenant: r.Tenant, Role: r.Role, CreateTime: timestamppb.New(r.Created), Remark: r.Remark,
	}}, nil
}

// ListUsers implements the UserService.
func (s *Server) ListUsers(ctx context.Context, r *authv1.ListUsersRequest) (*authv1.ListUsersResponse, error) {
	by, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.list(ctx, by, r.GetFilterTenant(), r.GetFilterUsername())
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListUsersResponse{}
	for _, row := range rows {
		answer.UserList = append(answer.UserList, row.toProto())
	}
	return answer, nil
}

// ListTenants implements the TenantService.
func (s *Server) ListTenants(ctx context.Context, _ *authv1.ListTenantsRequest) (*authv1.ListTenantsResponse, error) {
	by, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	names, err := s.store.tenants(ctx, by)
	return &authv1.ListTenantsResponse{TenantList: names}, err
}

// CreateUser implements the UserService.
func (s *Server) CreateUser(ctx context.Context, r *authv1.CreateUserRequest) (*authv1.CreateUserResponse, error) {
	hash, err := s.passwords.Hash(ctx, "pass_word", r.GetPassWord())
	if err != nil {
		return nil, err
	}
	err = s.changes.InNew(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		if err := c.By.Reach(r.GetTenant(), r.GetUsername()); err != nil {
			return err
		}
		role, err := grantable(ctx, c, r.GetRole())
		if err != nil {
			return err
		}
		u := userRow{
			Tenant: r.GetTenant(), Username: r.GetUsername(), RoleID: &role.ID, Role: role.Name, Roles: []string{role.Name},
			Remark: r.GetRemark(), Status: Enabled, Created: c.Now,
		}
		if u.ID, err = insert(ctx, c, u, hash); err != nil {
			return err
		}
		return record(ctx, c, "created", nil, &u, false)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.CreateUserResponse{}, nil
}

// UpdateUser implements the UserService.
func (s *Server) UpdateUser(ctx context.Context, r *authv1.UpdateUserRequest) (*authv1.UpdateUserResponse, error) {
	err := s.changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		before, err := target(ctx, c, r.GetUsername())
		if err != nil {
			return err
		}
		role, err := grantable(ctx, c, r.GetRole())
		if err != nil {
			return err
		}
		if err := update(ctx, c, before, role, r.GetRemark()); err != nil {
			return err
		}
		return changed(ctx, c, []userRow{before})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.UpdateUserResponse{}, nil
}

// ResetPassword implements the UserService.
func (s *Server) ResetPassword(ctx context.Context, r *authv1.ResetPasswordRequest) (*authv1.ResetPasswordResponse, error) {
	if err := s.passwords.Confirm(ctx, r.GetCurrentUserPassword()); err != nil {
		return nil, err
	}
	hash, err := s.passwords.Hash(ctx, "password", r.GetPassword())
	if err != nil {
		return nil, err
	}
	err = s.changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		u, err := target(ctx, c, r.GetUsername())
		if err != nil {
			return err
		}
		if err := setPassword(ctx, c, u, hash); err != nil {
			return err
		}
		return record(ctx, c, "updated", &u, &u, true)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.ResetPasswordResponse{}, nil
}

// DeleteUser implements the UserService.
func (s *Server) DeleteUser(ctx context.Context, r *authv1.DeleteUserRequest) (*authv1.DeleteUserResponse, error) {
	err := s.changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		u, err := target(ctx, c, r.GetUsername())
		if err != nil {
			return err
		}
		switch {
		case u.ID == c.By.UserID:
			return fault.Denied("USER_PROTECTED", "nobody can delete himself")
		case u.Tenant == authn.PlatformTenant && u.Username == adminUser:
			return fault.Denied("USER_PROTECTED", "%s cannot be deleted", u.name())
		}
		if err := remove(ctx, c, &u); err != nil {
			return err
		}
		return record(ctx, c, "deleted", &u, nil, false)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteUserResponse{}, nil
}

// target returns the user to be changed, if the caller may change him. The caller himself may, whatever his role is.
func target(ctx context.Context, c *change.Change, username string) (userRow, error) {
	if err := c.By.Reach(c.Tenant.Name, username); err != nil {
		return userRow{}, err
	}
	u, err := find(ctx, c, username)
	if err != nil {
		return u, err
	}
	return u, c.CoverUser(ctx, u.ID, u.name())
}

// grantable returns a role that the caller may give. The role admin of a tenant comes into being with its first user.
func grantable(ctx context.Context, c *change.Change, name string) (rights.Role, error) {
	role, err := roleOf(ctx, c, name)
	if errors.Is(err, pgx.ErrNoRows) && name == authn.AdminRole && c.By.Admin() {
		return insertAdminRole(ctx, c)
	}
	if err != nil {
		return role, err
	}
	return role, c.CoverRole(ctx, role.ID, role.Name)
}

// changed writes down what became of users, and refuses a change that leaves the platform without an administrator.
func changed(ctx context.Context, c *change.Change, before []userRow) error {
	ids := make([]int64, 0, len(before))
	lost := false
	for _, u := range before {
		ids, lost = append(ids, u.ID), lost || u.administers()
	}
	after, err := findAll(ctx, c, ids)
	if err != nil {
		return err
	}
	if lost && c.Tenant.Name == authn.PlatformTenant {
		if err := keepsAdmin(ctx, c); err != nil {
			return err
		}
	}
	for i := range before {
		if reflect.DeepEqual(before[i].audited(), after[i].audited()) {
			continue
		}
		if err := record(ctx, c, "updated", &before[i], &after[i], false); err != nil {
			return err
		}
	}
	return nil
}

// keepsAdmin refuses to end with a platform that nobody administers.
func keepsAdmin(ctx context.Context, c *change.Change) error {
	n, err := admins(ctx, c)
	if err == nil && n == 0 {
		err = fault.Precondition("LAST_ADMIN", "the platform would be left without an administrator: make another one first").
			Chinese("平台将没有管理员，请先设置另一位管理员")
	}
	return err
}
