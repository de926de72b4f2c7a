package grant

import (
	"context"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// GrantUserHosts implements the HostGrantService.
func (s *Server) GrantUserHosts(ctx context.Context, r *authv1.GrantUserHostsRequest) (*authv1.GrantUserHostsResponse, error) {
	if err := s.grantResources(ctx, "authorizations", permission.Host, change.ToUser, hostEntries(r.GetId(), r.GetAuthorizations())); err != nil {
		return nil, err
	}
	return &authv1.GrantUserHostsResponse{}, nil
}

// ListUserHosts implements the HostGrantService.
func (s *Server) ListUserHosts(ctx context.Context, r *authv1.ListUserHostsRequest) (*authv1.ListUserHostsResponse, error) {
	rows, count, err := s.resourcesOf(ctx, target{change.ToUser, r.GetId()}, permission.Host, r.GetHostname(), r.GetPage(), r.GetPageSize())
	return &authv1.ListUserHostsResponse{Count: count, Results: hostGrants(rows)}, err
}

// GrantRoleHosts implements the HostGrantService.
func (s *Server) GrantRoleHosts(ctx context.Context, r *authv1.GrantRoleHostsRequest) (*authv1.GrantRoleHostsResponse, error) {
	if err := s.grantResources(ctx, "authorizations", permission.Host, change.ToRole, hostEntries(r.GetId(), r.GetAuthorizations())); err != nil {
		return nil, err
	}
	return &authv1.GrantRoleHostsResponse{}, nil
}

// ListRoleHosts implements the HostGrantService.
func (s *Server) ListRoleHosts(ctx context.Context, r *authv1.ListRoleHostsRequest) (*authv1.ListRoleHostsResponse, error) {
	rows, count, err := s.resourcesOf(ctx, target{change.ToRole, r.GetId()}, permission.Host, r.GetHostname(), r.GetPage(), r.GetPageSize())
	return &authv1.ListRoleHostsResponse{Count: count, Results: hostGrants(rows)}, err
}

// ListHostUsers implements the HostGrantService.
func (s *Server) ListHostUsers(ctx context.Context, r *authv1.ListHostUsersRequest) (*authv1.ListHostUsersResponse, error) {
	rows, count, err := s.usersOn(ctx, permission.Host, r.GetId(), r.GetPage(), r.GetPageSize())
	return &authv1.ListHostUsersResponse{Count: count, Results: userPermissions(permission.Host, rows)}, err
}

// UpdateHostUsers implements the HostGrantService.
func (s *Server) UpdateHostUsers(ctx context.Context, r *authv1.UpdateHostUsersRequest) (*authv1.UpdateHostUsersResponse, error) {
	if err := s.grantResources(ctx, "entries", permission.Host, change.ToUser, userEntries(r.GetId(), r.GetEntries())); err != nil {
		return nil, err
	}
	return &authv1.UpdateHostUsersResponse{}, nil
}

// ListHostRoles implements the HostGrantService.
func (s *Server) ListHostRoles(ctx context.Context, r *authv1.ListHostRolesRequest) (*authv1.ListHostRolesResponse, error) {
	rows, count, err := s.rolesOn(ctx, permission.Host, r.GetId(), r.GetPage(), r.GetPageSize())
	return &authv1.ListHostRolesResponse{Count: count, Results: rolePermissions(permission.Host, rows)}, err
}

// UpdateHostRoles implements the HostGrantService.
func (s *Server) UpdateHostRoles(ctx context.Context, r *authv1.UpdateHostRolesRequest) (*authv1.UpdateHostRolesResponse, error) {
	if err := s.grantResources(ctx, "entries", permission.Host, change.ToRole, roleEntries(r.GetId(), r.GetEntries())); err != nil {
		return nil, err
	}
	return &authv1.UpdateHostRolesResponse{}, nil
}

func hostEntries(to int64, grants []*authv1.HostGrant) []entry {
	entries := make([]entry, 0, len(grants))
	for _, g := range grants {
		entries = append(entries, entry{target: to, resource: g.GetId(), name: g.GetHostname(), permissions: g.GetPermission()})
	}
	return entries
}

func hostGrants(rows []granted) []*authv1.HostGrant {
	k, _ := permission.KindNamed(permission.Host)
	grants := make([]*authv1.HostGrant, 0, len(rows))
	for _, row := range rows {
		grants = append(grants, &authv1.HostGrant{Id: row.ID, Hostname: row.Name, Permission: all(k.Permissions, row.Permissions)})
	}
	return grants
}
