// Package user keeps the people who can sign in.
package user

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
)

// Server serves the UserService.
type Server struct {
	authv1.UnimplementedUserServiceServer

	pool *pgxpool.Pool
	now  func() time.Time
}

// NewServer returns the UserService.
func NewServer(pool *pgxpool.Pool, now func() time.Time) *Server {
	return &Server{pool: pool, now: now}
}

// GetCurrentUser implements the UserService. A token alone is not enough: its session must be open and its user enabled.
func (s *Server) GetCurrentUser(ctx context.Context, _ *authv1.GetCurrentUserRequest) (*authv1.GetCurrentUserResponse, error) {
	row, err := s.signedIn(ctx, authn.FromContext(ctx))
	if err != nil {
		return nil, err
	}
	return &authv1.GetCurrentUserResponse{CurrentUser: row.toProto()}, nil
}

type userRow struct {
	Username string    `db:"username"`
	Tenant   string    `db:"tenant"`
	Role     string    `db:"role"`
	Created  time.Time `db:"created_at"`
	Remark   string    `db:"remark"`
}

func (r userRow) toProto() *authv1.User {
	return &authv1.User{
		Username: r.Username, Tenant: r.Tenant, Role: r.Role, CreateTime: timestamppb.New(r.Created), Remark: r.Remark,
	}
}

func (s *Server) signedIn(ctx context.Context, caller authn.Principal) (userRow, error) {
	rows, _ := s.pool.Query(ctx, `
		SELECT u.username, t.name AS tenant, r.name AS role, u.created_at, u.remark
		  FROM auth.sessions s
		  JOIN auth.users u ON u.id = s.user_id
		  JOIN auth.tenants t ON t.id = u.tenant_id
		  JOIN auth.roles r ON r.id = u.role_id
		 WHERE s.id = $1 AND s.expires_at > $2 AND u.status = 'enabled' AND t.name = $3 AND u.username = $4`,
		caller.Session, s.now(), caller.Tenant, caller.User) // the error comes again below
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[userRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return userRow{}, fault.Unauthenticated("SESSION_ENDED", "the session of %s has ended: please log in again", caller.Name())
	}
	return row, pg.Fault(err, "USER", "read user %s", caller.Name())
}
