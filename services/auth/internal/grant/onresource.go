package grant

import (
	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// everything is the action that takes all that is granted.
const everything = "delete"

func userEntries(resource int64, changes []*authv1.UserPermissionsChange) []entry {
	entries := make([]entry, 0, len(changes))
	for _, c := range changes {
		entries = append(entries, entry{
			target: c.GetUser().GetId(), resource: resource, permissions: c.GetPermission(), everything: c.GetAction() == everything,
		})
	}
	return entries
}

func userPermissions(kind string, rows []granted) []*authv1.UserPermissions {
	k, _ := permission.KindNamed(kind)
	shown := make([]*authv1.UserPermissions, 0, len(rows))
	for _, row := range rows {
		shown = append(shown, &authv1.UserPermissions{
			User: &authv1.UserRef{Id: row.ID, Username: row.Name}, Permission: all(k.Permissions, row.Permissions),
		})
	}
	return shown
}

func roleEntries(resource int64, changes []*authv1.RolePermissionsChange) []entry {
	entries := make([]entry, 0, len(changes))
	for _, c := range changes {
		entries = append(entries, entry{
			target: c.GetRole().GetId(), resource: resource, permissions: c.GetPermission(), everything: c.GetAction() == everything,
		})
	}
	return entries
}

func rolePermissions(kind string, rows []granted) []*authv1.RolePermissions {
	k, _ := permission.KindNamed(kind)
	shown := make([]*authv1.RolePermissions, 0, len(rows))
	for _, row := range rows {
		shown = append(shown, &authv1.RolePermissions{
			Role: &authv1.RoleRef{Id: row.ID, Name: row.Name}, Permission: all(k.Permissions, row.Permissions),
		})
	}
	return shown
}
