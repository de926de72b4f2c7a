package grant

import (
	"context"
	"slices"
	"strconv"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/page"

	"github.com/opsdeck/opsdeck/services/auth/internal/menu"
	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// parts are those of a list that is read by programs as well as by people.
var parts = page.Limits{Default: 1000, Max: 10000}

// GetEffectivePermissions implements the PermissionService.
func (s *Server) GetEffectivePermissions(ctx context.Context, r *authv1.GetEffectivePermissionsRequest) (*authv1.GetEffectivePermissionsResponse, error) {
	scope := "effective/" + strconv.FormatInt(r.GetId(), 10) + "/" + r.GetResourceType() + "/" + strconv.FormatInt(r.GetResourceId(), 10)
	after, _, err := page.After[resourceKey](scope, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	h, err := s.holder(ctx, authn.FromContext(ctx), r.GetId())
	if err != nil {
		return nil, err
	}
	answer := &authv1.GetEffectivePermissionsResponse{User: &authv1.UserRef{Id: h.ID, Username: h.Username}}
	if !h.Enabled {
		return answer, nil
	}
	roles, err := s.rolesOf(ctx, h.ID)
	if err != nil {
		return nil, err
	}
	for _, role := range roles {
		answer.Roles = append(answer.Roles, &authv1.RoleRef{Id: role.ID, Name: role.Name})
		answer.Admin = answer.Admin || role.Name == authn.AdminRole
	}
	answer.Menu = opened(roles)
	modules, err := s.modulesHeld(ctx, h.ID)
	if err != nil {
		return nil, err
	}
	held := switches(modules)
	for _, m := range modules {
		needs := permission.SwitchOf(m.Module + "." + m.Permission)
		answer.Modules = append(answer.Modules, &authv1.EffectiveModulePermission{
			ModuleName: m.Module, PermName: m.Permission, Effective: needs == "" || held[needs], Sources: sources(m.Via, roles),
		})
	}
	size := parts.Size(r.GetMaxResources())
	resources, err := s.resourcesHeld(ctx, h, r.GetResourceType(), r.GetResourceId(), after, size+1)
	if err != nil {
		return nil, err
	}
	if resources, answer.NextPageToken, err = page.Cut(scope, resources, size, resourceHeld.key); err != nil {
		return nil, err
	}
	for _, g := range resources {
		answer.Resources = append(answer.Resources, &authv1.EffectiveResourcePermission{
			ResourceType: g.Kind, ResourceId: g.ResourceID, ResourceName: g.Name, PermName: g.Permission,
			Effective: held[kindSwitch(g.Kind)], Sources: sources(g.Via, roles),
		})
	}
	levels, err := s.levelsHeld(ctx, h.ID)
	if err != nil {
		return nil, err
	}
	for _, l := range levels {
		answer.Levels = append(answer.Levels, &authv1.EffectiveLevel{NodeId: l.NodeID, Level: l.Level, Sources: sources(l.Via, roles)})
	}
	return answer, nil
}

// opened returns the paths that roles open in the menu.
func opened(roles []roleHeld) []string {
	admin := slices.ContainsFunc(roles, func(r roleHeld) bool { return r.Name == authn.AdminRole })
	var uris []string
	for _, item := range menu.All() {
		for _, o := range item.Operations {
			if admin || slices.ContainsFunc(roles, func(r roleHeld) bool { return slices.Contains(r.Actions, o.Action) }) {
				uris = append(uris, o.URI)
			}
		}
	}
	return uris
}

// switches returns the permissions of modules that are held, as "module.permission".
func switches(modules []moduleHeld) map[string]bool {
	held := make(map[string]bool, len(modules))
	for _, m := range modules {
		held[m.Module+"."+m.Permission] = true
	}
	return held
}

// kindSwitch returns the permission, as "module.permission", without which grants on resources of a kind have no effect.
func kindSwitch(kind string) string {
	k, _ := permission.KindNamed(kind)
	return k.Module + "." + k.Needs
}

// sources says where a permission comes from: the user's own grant is role 0, and comes first.
func sources(via []int64, roles []roleHeld) []*authv1.PermissionSource {
	from := make([]*authv1.PermissionSource, 0, len(via))
	for _, id := range via {
		if id == 0 {
			from = append(from, &authv1.PermissionSource{Type: "user"})
			continue
		}
		source := &authv1.PermissionSource{Type: "role", RoleId: id}
		if i := slices.IndexFunc(roles, func(r roleHeld) bool { return r.ID == id }); i >= 0 {
			source.RoleName = roles[i].Name
		}
		from = append(from, source)
	}
	return from
}
