package session

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
)

// maxListed bounds a list of sessions.
const maxListed = 200

// row is a session as its user sees it.
type row struct {
	ID      string     `db:"id"`
	Address string     `db:"address"`
	Agent   string     `db:"user_agent"`
	Created time.Time  `db:"created_at"`
	Expires time.Time  `db:"expires_at"`
	Seen    *time.Time `db:"seen_at"`
}

// ListMySessions implements the SessionService.
func (s *Server) ListMySessions(ctx context.Context, _ *authv1.ListMySessionsRequest) (*authv1.ListMySessionsResponse, error) {
	caller := authn.FromContext(ctx)
	rows, err := s.store.ofUserWith(ctx, caller.Session, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	answer := &authv1.ListMySessionsResponse{}
	for _, r := range rows {
		answer.Sessions = append(answer.Sessions, &authv1.Session{
			Id: r.ID, Address: r.Address, UserAgent: r.Agent, Current: r.ID == caller.Session,
			CreateTime: timestamppb.New(r.Created), ExpireTime: timestamppb.New(r.Expires), LastSeenTime: timestamppb.New(s.seen.last(r)),
		})
	}
	return answer, nil
}

// Logout implements the SessionService.
func (s *Server) Logout(ctx context.Context, _ *authv1.LogoutRequest) (*authv1.LogoutResponse, error) {
	caller := authn.FromContext(ctx)
	_, err := s.end(ctx, func(ctx context.Context, tx pgx.Tx) ([]string, error) {
		return endOne(ctx, tx, caller.Session, caller.Session)
	})
	if err != nil {
		return nil, err
	}
	return &authv1.LogoutResponse{}, nil
}

// RevokeMySession implements the SessionService.
func (s *Server) RevokeMySession(ctx context.Context, r *authv1.RevokeMySessionRequest) (*authv1.RevokeMySessionResponse, error) {
	caller := authn.FromContext(ctx)
	ended, err := s.end(ctx, func(ctx context.Context, tx pgx.Tx) ([]string, error) {
		return endOne(ctx, tx, caller.Session, r.GetSessionId())
	})
	if err == nil && len(ended) == 0 {
		err = fault.NotFound("SESSION_NOT_FOUND", "session_id: you have no session %s", r.GetSessionId())
	}
	if err != nil {
		return nil, err
	}
	return &authv1.RevokeMySessionResponse{}, nil
}

// RevokeMyOtherSessions implements the SessionService.
func (s *Server) RevokeMyOtherSessions(ctx context.Context, _ *authv1.RevokeMyOtherSessionsRequest) (*authv1.RevokeMyOtherSessionsResponse, error) {
	caller := authn.FromContext(ctx)
	ended, err := s.end(ctx, func(ctx context.Context, tx pgx.Tx) ([]string, error) { return endOthers(ctx, tx, caller.Session) })
	if err != nil {
		return nil, err
	}
	return &authv1.RevokeMyOtherSessionsResponse{Ended: int32(len(ended))}, nil
}

// end ends sessions of the caller and tells of each.
func (s *Server) end(ctx context.Context, do func(ctx context.Context, tx pgx.Tx) ([]string, error)) (ended []string, err error) {
	caller := authn.FromContext(ctx)
	err = pg.InTx(ctx, s.cfg.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if ended, err = do(ctx, tx); err != nil {
			return err
		}
		for _, id := range ended {
			err := bus.Publish(ctx, tx, s.cfg.Queue, bus.Event{
				Type: "opsdeck.auth.session.ended", Subject: id, Tenant: caller.Tenant,
				Data: &eventv1.SessionEnded{SessionId: id, Tenant: caller.Tenant, Username: caller.User},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return ended, err
}

// ofUserWith returns the open sessions of the user who has a session.
func (s store) ofUserWith(ctx context.Context, session string, now time.Time) ([]row, error) {
	rows, _ := s.pool.Query(ctx, `
		SELECT s.id, s.address, s.user_agent, s.created_at, s.expires_at, s.seen_at
		  FROM auth.sessions s
		 WHERE s.user_id = (SELECT own.user_id FROM auth.sessions own WHERE own.id = $1) AND s.expires_at > $2
		   AND s.kind IN ('password', 'refresh', 'cookie')
		 ORDER BY s.created_at DESC, s.id
		 LIMIT $3`, session, now, maxListed) // the error comes again below
	sessions, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	return sessions, pg.Fault(err, "SESSION", "list sessions")
}

// endOne ends a session of the user who has another, or the same.
func endOne(ctx context.Context, tx pgx.Tx, own, id string) ([]string, error) {
	rows, _ := tx.Query(ctx, `
		DELETE FROM auth.sign_ins
		 WHERE id = $2 AND user_id = (SELECT own.user_id FROM auth.sessions own WHERE own.id = $1)
		RETURNING id`, own, id) // the error comes again below
	ended, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ended, pg.Fault(err, "SESSION", "end session %s", id)
}

func endOthers(ctx context.Context, tx pgx.Tx, own string) ([]string, error) {
	rows, _ := tx.Query(ctx, `
		DELETE FROM auth.sign_ins
		 WHERE id <> $1 AND user_id = (SELECT own.user_id FROM auth.sessions own WHERE own.id = $1)
		RETURNING id`, own) // the error comes again below
	ended, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ended, pg.Fault(err, "SESSION", "end the other sessions of the user with %s", own)
}
