package grant

import (
	"context"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// GrantUserApplications implements the ApplicationGrantService.
func (s *Server) GrantUserApplications(ctx context.Context, r *authv1.GrantUserApplicationsRequest) (*authv1.GrantUserApplicationsResponse, error) {
	if err := s.grantResources(ctx, "authorizations", permission.Application, change.ToUser, applicationEntries(r.GetId(), r.GetAuthorizations())); err != nil {
		return nil, err
	}
	return &authv1.GrantUserApplicationsResponse{}, nil
}

// ListUserApplications implements the ApplicationGrantService.
func (s *Server) ListUserApplications(ctx context.Context, r *authv1.ListUserApplicationsRequest) (*authv1.ListUserApplicationsResponse, error) {
	rows, count, err := s.resourcesOf(ctx, target{change.ToUser, r.GetId()}, permission.Application, r.GetAppName(), r.GetPage(), r.GetPageSize())
	return &authv1.ListUserApplicationsResponse{Count: count, Results: applicationGrants(rows)}, err
}

// GrantRoleApplications implements the ApplicationGrantService.
func (s *Server) GrantRoleApplications(ctx context.Context, r *authv1.GrantRoleApplicationsRequest) (*authv1.GrantRoleApplicationsResponse, error) {
	if err := s.grantResources(ctx, "authorizations", permission.Application, change.ToRole, applicationEntries(r.GetId(), r.GetAuthorizations())); err != nil {
		return nil, err
	}
	return &authv1.GrantRoleApplicationsResponse{}, nil
}

// ListRoleApplications implements the ApplicationGrantService.
func (s *Server) ListRoleApplications(ctx context.Context, r *authv1.ListRoleApplicationsRequest) (*authv1.ListRoleApplicationsResponse, error) {
	rows, count, err := s.resourcesOf(ctx, target{change.ToRole, r.GetId()}, permission.Application, r.GetAppName(), r.GetPage(), r.GetPageSize())
	return &authv1.ListRoleApplicationsResponse{Count: count, Results: applicationGrants(rows)}, err
}

// ListApplicationUsers implements the ApplicationGrantService.
func (s *Server) ListApplicationUsers(ctx context.Context, r *authv1.ListApplicationUsersRequest) (*authv1.ListApplicationUsersResponse, error) {
	rows, count, err := s.usersOn(ctx, permission.Application, r.GetId(), r.GetPage(), r.GetPageSize())
	return &authv1.ListApplicationUsersResponse{Count: count, Results: userPermissions(permission.Application, rows)}, err
}

// UpdateApplicationUsers implements the ApplicationGrantService.
func (s *Server) UpdateApplicationUsers(ctx context.Context, r *authv1.UpdateApplicationUsersRequest) (*authv1.UpdateApplicationUsersResponse, error) {
	if err := s.grantResources(ctx, "entries", permission.Application, change.ToUser, userEntries(r.GetId(), r.GetEntries())); err != nil {
		return nil, err
	}
	return &authv1.UpdateApplicationUsersResponse{}, nil
}

// ListApplicationRoles implements the ApplicationGrantService.
func (s *Server) ListApplicationRoles(ctx context.Context, r *authv1.ListApplicationRolesRequest) (*authv1.ListApplicationRolesResponse, error) {
	rows, count, err := s.rolesOn(ctx, permission.Application, r.GetId(), r.GetPage(), r.GetPageSize())
	return &authv1.ListApplicationRolesResponse{Count: count, Results: rolePermissions(permission.Application, rows)}, err
}

// UpdateApplicationRoles implements the ApplicationGrantService.
func (s *Server) UpdateApplicationRoles(ctx context.Context, r *authv1.UpdateApplicationRolesRequest) (*authv1.UpdateApplicationRolesResponse, error) {
	if err := s.grantResources(ctx, "entries", permission.Application, change.ToRole, roleEntries(r.GetId(), r.GetEntries())); err != nil {
		return nil, err
	}
	return &authv1.UpdateApplicationRolesResponse{}, nil
}

func applicationEntries(to int64, grants []*authv1.ApplicationGrant) []entry {
	entries := make([]entry, 0, len(grants))
	for _, g := range grants {
		entries = append(entries, entry{target: to, resource: g.GetId(), name: g.GetAppName(), permissions: g.GetPermission()})
	}
	return entries
}

func applicationGrants(rows []granted) []*authv1.ApplicationGrant {
	k, _ := permission.KindNamed(permission.Application)
	grants := make([]*authv1.ApplicationGrant, 0, len(rows))
	for _, row := range rows {
		grants = append(grants, &authv1.ApplicationGrant{Id: row.ID, AppName: row.Name, Permission: all(k.Permissions, row.Permissions)})
	}
	return grants
}
