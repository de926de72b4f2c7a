package grant

import (
	"context"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// ListCatalogue implements the PermissionService.
func (s *Server) ListCatalogue(context.Context, *authv1.ListCatalogueRequest) (*authv1.ListCatalogueResponse, error) {
	answer := &authv1.ListCatalogueResponse{}
	for _, m := range permission.Modules() {
		answer.Modules = append(answer.Modules, &authv1.CatalogueModule{
			Name: m.Name, TextCn: m.TextCN, TextEn: m.TextEN, Permissions: permissionsProto(m.Permissions),
		})
	}
	for _, k := range permission.Kinds() {
		answer.Kinds = append(answer.Kinds, &authv1.CatalogueKind{
			Name: k.Name, TextCn: k.TextCN, TextEn: k.TextEN, Module: k.Module, Needs: k.Needs, Permissions: permissionsProto(k.Permissions),
		})
	}
	for _, p := range permission.Points() {
		answer.Points = append(answer.Points, &authv1.CataloguePoint{Name: p.Name, MinLevel: p.MinLevel, Scope: p.Scope})
	}
	return answer, nil
}

func permissionsProto(permissions []permission.Permission) []*authv1.CataloguePermission {
	printed := make([]*authv1.CataloguePermission, 0, len(permissions))
	for _, p := range permissions {
		printed = append(printed, &authv1.CataloguePermission{
			Name: p.Name, TextCn: p.TextCN, TextEn: p.TextEN, Needs: p.Needs, By: p.By, Idle: p.Idle,
		})
	}
	return printed
}
