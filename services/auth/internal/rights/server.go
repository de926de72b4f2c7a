package rights

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/access"
	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/page"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/menu"
	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// Server serves the AccessService and the MenuService, and is the Decider of the auth service itself.
type Server struct {
	authv1.UnimplementedAccessServiceServer
	authv1.UnimplementedMenuServiceServer

	pool *pgxpool.Pool
	now  func() time.Time
}

// NewServer returns both services.
func NewServer(pool *pgxpool.Pool, now func() time.Time) *Server {
	return &Server{pool: pool, now: now}
}

// Decide implements access.Decider without asking anybody but the database.
func (s *Server) Decide(ctx context.Context, caller authn.Principal, rights []string) (access.Decision, error) {
	r, err := Of(ctx, s.pool, caller, s.now(), rights...)
	if err != nil {
		return access.Decision{}, err
	}
	d := access.Decision{Scope: r.Scope()}
	for _, right := range rights {
		if r.Hold(right) {
			d.Held = append(d.Held, right)
		}
	}
	return d, nil
}

// Check implements the AccessService.
func (s *Server) Check(ctx context.Context, request *authv1.CheckRequest) (*authv1.CheckResponse, error) {
	r, err := Of(ctx, s.pool, authn.FromContext(ctx), s.now(), request.GetRight())
	if err != nil {
		return nil, err
	}
	return &authv1.CheckResponse{Allowed: r.Hold(request.GetRight()), Scope: scopeProto(r.Scope()), Revision: r.Revision}, nil
}

// BatchCheck implements the AccessService.
func (s *Server) BatchCheck(ctx context.Context, request *authv1.BatchCheckRequest) (*authv1.BatchCheckResponse, error) {
	r, err := Of(ctx, s.pool, authn.FromContext(ctx), s.now(), request.GetRights()...)
	if err != nil {
		return nil, err
	}
	answer := &authv1.BatchCheckResponse{Scope: scopeProto(r.Scope()), Revision: r.Revision}
	for _, right := range request.GetRights() {
		answer.Allowed = append(answer.Allowed, r.Hold(right))
	}
	return answer, nil
}

// ListAllowed implements the AccessService.
func (s *Server) ListAllowed(ctx context.Context, request *authv1.ListAllowedRequest) (*authv1.ListAllowedResponse, error) {
	kind, name := request.GetKind(), request.GetPermission()
	k, known := permission.KindNamed(kind)
	if !known {
		return nil, fault.Invalid("kind", "there is no kind of resource %q", kind)
	}
	if p, ok := k.Permission(name); !ok || p.Name != name {
		return nil, permission.Undefined(name)
	}
	scope := fmt.Sprintf("allowed/%s.%s", kind, name)
	after, _, err := page.After[int64](scope, request.GetPageToken())
	if err != nil {
		return nil, err
	}
	r, err := Of(ctx, s.pool, authn.FromContext(ctx), s.now())
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListAllowedResponse{All: r.Admin() || r.holdsEvery(kind, name), Revision: r.Revision}
	if answer.GetAll() || !r.switched(k) {
		return answer, nil
	}
	size := allowedPages.Size(request.GetPageSize())
	ids, err := allowed(ctx, s.pool, r.UserID, kind, name, after, size+1)
	if err != nil {
		return nil, err
	}
	answer.Ids, answer.NextPageToken, err = page.Cut(scope, ids, size, func(id int64) int64 { return id })
	return answer, err
}

// allowedPages are for programs, which want few calls.
var allowedPages = page.Limits{Default: 1000, Max: 10000}

// Announce tells every service the newest revision of rights until ctx ends.
func (s *Server) Announce(conn *bus.Conn, log *zap.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		return access.Announce(ctx, conn, log, func(ctx context.Context) (int64, error) { return Newest(ctx, s.pool) })
	}
}

func scopeProto(s access.Scope) *authv1.Scope {
	scope := &authv1.Scope{Kind: access.ScopeSelf, EveryTenant: s.EveryTenant, Users: s.Users}
	switch {
	case s.All:
		scope.Kind = access.ScopeAll
	case len(s.Users) > 0:
		scope.Kind = access.ScopeUsers
	}
	return scope
}

// ListActions implements the MenuService.
func (s *Server) ListActions(ctx context.Context, _ *authv1.ListActionsRequest) (*authv1.ListActionsResponse, error) {
	r, err := Of(ctx, s.pool, authn.FromContext(ctx), s.now())
	if err != nil {
		return nil, err
	}
	items := menu.All()
	if !r.Admin() {
		if items, err = s.selected(ctx, r); err != nil {
			return nil, err
		}
	}
	answer := &authv1.ListActionsResponse{}
	for _, item := range items {
		answer.Authority = append(answer.Authority, itemProto(item))
	}
	return answer, nil
}

func (s *Server) selected(ctx context.Context, r Rights) ([]menu.Item, error) {
	rows, _ := s.pool.Query(ctx, `
		SELECT r.authority FROM auth.held_roles h JOIN auth.roles r ON r.id = h.role_id WHERE h.user_id = $1 ORDER BY r.id`,
		r.UserID) // the error comes again below
	authorities, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, pg.Fault(err, "ROLE", "read the roles of %s", r.Principal().Name())
	}
	return menu.Select(authorities...)
}

func itemProto(item menu.Item) *authv1.MenuItem {
	m := &authv1.MenuItem{
		Name: item.Name, TextCn: item.TextCN, TextEn: item.TextEN, MenuLevel: item.MenuLevel, MenuUrl: item.MenuURL,
		Id: item.ID, ParentId: item.ParentID, AdminOnly: item.AdminOnly,
	}
	for _, o := range item.Operations {
		m.Operations = append(m.Operations, &authv1.MenuOperation{Action: o.Action, Uri: o.URI, TextCn: o.TextCN, TextEn: o.TextEN})
	}
	return m
}
