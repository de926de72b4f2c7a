// Package role keeps what the users of a tenant may do.
package role

import (
	"context"
	"slices"
	"strings"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/menu"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// Server serves the RoleService.
type Server struct {
	authv1.UnimplementedRoleServiceServer

	changes change.Changer
}

// NewServer returns the RoleService.
func NewServer(changes change.Changer) *Server { return &Server{changes: changes} }

// ListRoles implements the RoleService.
func (s *Server) ListRoles(ctx context.Context, r *authv1.ListRolesRequest) (*authv1.ListRolesResponse, error) {
	by, err := rights.Of(ctx, s.changes.Pool, authn.FromContext(ctx), s.changes.Now())
	if err != nil {
		return nil, err
	}
	rows, err := list(ctx, s.changes.Pool, by, r.GetFilterTenant())
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListRolesResponse{}
	for _, row := range rows {
		answer.RoleList = append(answer.RoleList, row.toProto())
	}
	return answer, nil
}

// CreateRole implements the RoleService.
func (s *Server) CreateRole(ctx context.Context, r *authv1.CreateRoleRequest) (*authv1.CreateRoleResponse, error) {
	role := roleRow{Tenant: r.GetTenant()}
	role.Name, role.ObjectType = r.GetName(), r.GetOperationObjectType()
	err := role.setAuthority(r.GetAuthority())
	if err != nil {
		return nil, err
	}
	if err := role.setUsers(r.GetOperationUsers()); err != nil {
		return nil, err
	}
	err = s.changes.InNew(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		if role.Admin() {
			return protected(role)
		}
		role.Creator = c.By.Username
		objects, err := objectsOf(ctx, c, &role)
		if err != nil {
			return err
		}
		if err := c.By.Cover("the role "+role.Name, role.Grants()); err != nil {
			return err
		}
		if role.ID, err = insert(ctx, c, role); err != nil {
			return err
		}
		if err := setObjects(ctx, c, role, objects); err != nil {
			return err
		}
		return record(ctx, c, "created", nil, &role)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.CreateRoleResponse{}, nil
}

// UpdateRole implements the RoleService.
func (s *Server) UpdateRole(ctx context.Context, r *authv1.UpdateRoleRequest) (*authv1.UpdateRoleResponse, error) {
	err := s.changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		before, err := changeable(ctx, c, r.GetName())
		if err != nil {
			return err
		}
		after := before
		after.ObjectType = r.GetOperationObjectType()
		if r.Authority != nil {
			if err := after.setAuthority(r.GetAuthority()); err != nil {
				return err
			}
		}
		if err := after.setUsers(r.GetOperationUsers()); err != nil {
			return err
		}
		objects, err := objectsOf(ctx, c, &after)
		if err != nil {
			return err
		}
		if err := c.By.Cover("the role "+after.Name, after.Grants()); err != nil {
			return err
		}
		if err := update(ctx, c, after); err != nil {
			return err
		}
		if err := setObjects(ctx, c, after, objects); err != nil {
			return err
		}
		return record(ctx, c, "updated", &before, &after)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.UpdateRoleResponse{}, nil
}

// DeleteRole implements the RoleService.
func (s *Server) DeleteRole(ctx context.Context, r *authv1.DeleteRoleRequest) (*authv1.DeleteRoleResponse, error) {
	err := s.changes.In(ctx, r.GetTenant(), func(ctx context.Context, c *change.Change) error {
		role, err := changeable(ctx, c, r.GetName())
		if err != nil {
			return err
		}
		if err := remove(ctx, c, &role); err != nil {
			return err
		}
		return record(ctx, c, "deleted", &role, nil)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.DeleteRoleResponse{}, nil
}

// changeable returns a role that the caller may change. The role admin opens everything, always.
func changeable(ctx context.Context, c *change.Change, name string) (roleRow, error) {
	role, err := find(ctx, c, name)
	if err != nil {
		return role, err
	}
	if role.Admin() {
		return role, protected(role)
	}
	return role, c.CoverRole(ctx, role.ID, role.Name)
}

func protected(role roleRow) error {
	return fault.Denied("ROLE_PROTECTED", "the role %s comes with the tenant and opens everything: it can be neither made nor changed", role.Name)
}

func (r *roleRow) setAuthority(text string) (err error) {
	r.Authority = text
	r.Actions, err = menu.Parse(text)
	return err
}

// setUsers keeps the users of a role that has use for them.
func (r *roleRow) setUsers(users []string) error {
	r.Users = nil
	if r.ObjectType != rights.Designate {
		return nil
	}
	if len(users) == 0 {
		return fault.Invalid("operation_users", "must name the users, because operation_object_type is designate")
	}
	for i, user := range users {
		if tenant, name, ok := strings.Cut(user, ":"); !ok || tenant == "" || name == "" {
			return fault.Invalid("operation_users", "entry %d must be tenant:username", i)
		}
	}
	r.Users = slices.Clone(users)
	return nil
}

// objectsOf returns the ids of the users of a role, and makes their names those that are stored.
func objectsOf(ctx context.Context, c *change.Change, role *roleRow) ([]int64, error) {
	var tenants, usernames []string
	for _, user := range role.Users {
		tenant, username, _ := strings.Cut(user, ":")
		if err := c.By.ReachTenant(tenant); err != nil {
			return nil, err
		}
		if tenant != role.Tenant && role.Tenant != authn.PlatformTenant {
			return nil, fault.Invalid("operation_users", "%s is of another tenant than the role, and only roles of %s reach other tenants", user, authn.PlatformTenant)
		}
		tenants, usernames = append(tenants, tenant), append(usernames, username)
	}
	found, err := usersNamed(ctx, c, tenants, usernames)
	if err != nil {
		return nil, err
	}
	for i, user := range role.Users {
		if !slices.ContainsFunc(found, func(u userRef) bool { return u.Tenant == tenants[i] && strings.EqualFold(u.Username, usernames[i]) }) {
			return nil, fault.NotFound("USER_NOT_FOUND", "operation_users: there is no user %s", user)
		}
	}
	var ids []int64
	role.Users = nil
	for _, u := range found {
		ids, role.Users = append(ids, u.ID), append(role.Users, u.Tenant+":"+u.Username)
	}
	return ids, nil
}

func record(ctx context.Context, c *change.Change, verb string, before, after *roleRow) error {
	known := after
	if known == nil {
		known = before
	}
	return c.Record(ctx, change.Entry{
		Action: "role." + verb, Subject: known.Tenant + ":" + known.Name, Before: before.audited(), After: after.audited(),
		Event: &eventv1.RoleChanged{Tenant: known.Tenant, Name: known.Name, ChangedBy: c.By.Principal().Name()},
	})
}
