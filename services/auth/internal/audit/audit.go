// Package audit shows who granted what to whom. The rows are written where grants change.
package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/page"

	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// pages are those of contract 002.
var pages = page.Limits{Default: 10, Max: 100}

// What a change did, as the documents name it.
const (
	enabled  = "enable"
	disabled = "disable"
)

// Server serves the GrantAuditService.
type Server struct {
	authv1.UnimplementedGrantAuditServiceServer

	pool *pgxpool.Pool
}

// NewServer returns the GrantAuditService.
func NewServer(pool *pgxpool.Pool) *Server { return &Server{pool: pool} }

// request is what both lists are asked.
type request interface {
	GetPage() int32
	GetPageSize() int32
	GetOperator() string
	GetPermName() string
	GetAction() string
	GetAuthorizedTargetType() string
	GetAuthorizedTargetName() string
	GetOpTimeLt() *timestamppb.Timestamp
	GetOpTimeGt() *timestamppb.Timestamp
}

// filterOf reads what both lists are asked.
func filterOf(ctx context.Context, r request) (filter, error) {
	caller := authn.FromContext(ctx)
	f := filter{
		everyTenant: caller.IsPlatform(), tenant: caller.Tenant, operator: r.GetOperator(),
		targetType: r.GetAuthorizedTargetType(), targetName: r.GetAuthorizedTargetName(),
		until: timeOf(r.GetOpTimeLt()), from: timeOf(r.GetOpTimeGt()),
	}
	if r.GetPermName() != "" {
		f.permissions = permission.Names(r.GetPermName())
	}
	if r.GetAction() != "" {
		granted := r.GetAction() == enabled
		f.granted = &granted
	}
	var err error
	f.offset, f.limit, err = pages.Offset(r.GetPage(), r.GetPageSize())
	return f, err
}

func timeOf(t *timestamppb.Timestamp) *time.Time {
	if t == nil {
		return nil
	}
	at := t.AsTime()
	return &at
}

// ListModuleGrantChanges implements the GrantAuditService.
func (s *Server) ListModuleGrantChanges(ctx context.Context, r *authv1.ListModuleGrantChangesRequest) (*authv1.ListModuleGrantChangesResponse, error) {
	f, err := filterOf(ctx, r)
	if err != nil {
		return nil, err
	}
	f.module = r.GetModuleName()
	if m, ok := permission.ModuleNamed(f.module); ok {
		f.module = m.Name
	}
	rows, count, err := s.modules(ctx, f)
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListModuleGrantChangesResponse{Count: count}
	for _, row := range rows {
		answer.Results = append(answer.Results, &authv1.ModuleGrantChange{
			Id: row.ID, Operator: row.Operator, ModuleName: row.Module, PermName: row.Permission, Action: row.action(),
			AuthorizedTargetType: row.TargetType, AuthorizedTargetName: row.TargetName, OpTime: timestamppb.New(row.At),
		})
	}
	return answer, nil
}

// ListResourceGrantChanges implements the GrantAuditService.
func (s *Server) ListResourceGrantChanges(ctx context.Context, r *authv1.ListResourceGrantChangesRequest) (*authv1.ListResourceGrantChangesResponse, error) {
	f, err := filterOf(ctx, r)
	if err != nil {
		return nil, err
	}
	f.kind, f.resource = r.GetResourceType(), r.GetResourceId()
	rows, count, err := s.resources(ctx, f)
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListResourceGrantChangesResponse{Count: count}
	for _, row := range rows {
		answer.Results = append(answer.Results, &authv1.ResourceGrantChange{
			Id: row.ID, Operator: row.Operator, ResourceType: row.Kind, ResourceId: row.ResourceID, Resource: row.resource(),
			PermName: row.Permission, Action: row.action(),
			AuthorizedTargetType: row.TargetType, AuthorizedTargetName: row.TargetName, OpTime: timestamppb.New(row.At),
		})
	}
	return answer, nil
}

func (r resourceRow) resource() *authv1.NamedResource {
	named := &authv1.NamedResource{Id: r.ResourceID}
	switch r.Kind {
	case permission.Application:
		named.Name = &authv1.NamedResource_Application{Application: r.Name}
	case permission.Host:
		named.Name = &authv1.NamedResource_Host{Host: r.Name}
	default:
		named.Name = &authv1.NamedResource_Business{Business: r.Name}
	}
	return named
}
