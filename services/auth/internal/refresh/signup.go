package refresh

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	authv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/auth/v1"
	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// registered is the role of users who signed up. It opens nothing, until an administrator changes it or gives them another.
const registered = "registered"

// SignUp implements the RefreshService.
func (s *Server) SignUp(ctx context.Context, r *authv1.SignUpRequest) (*authv1.SignUpResponse, error) {
	if !s.cfg.Registration {
		return nil, fault.Denied("REGISTRATION_CLOSED", "nobody can sign up here: ask an administrator for an account").Chinese("未开放注册：请向管理员申请账号")
	}
	if err := s.signUps.Allow(rpc.FromContext(ctx).Address); err != nil {
		return nil, err
	}
	hash, err := s.cfg.Sessions.HashPlain(ctx, "password", r.GetPassword())
	if err != nil {
		return nil, err
	}
	himself := rights.Rights{Tenant: s.cfg.Tenant, Username: r.GetName()}
	err = s.cfg.Changes.ForNew(ctx, himself, s.cfg.Tenant, func(ctx context.Context, c *change.Change) error {
		role, err := roleOfRegistered(ctx, c)
		if err != nil {
			return err
		}
		if err := insertUser(ctx, c, role, r.GetName(), hash); err != nil {
			return err
		}
		return c.Record(ctx, change.Entry{
			Action: "user.created", Subject: himself.Principal().Name(),
			After: map[string]string{"username": r.GetName(), "tenant": s.cfg.Tenant, "role": registered},
			Event: &eventv1.UserChanged{Tenant: s.cfg.Tenant, Username: r.GetName(), Role: registered, ChangedBy: himself.Principal().Name()},
		})
	})
	if err != nil {
		return nil, err
	}
	return &authv1.SignUpResponse{}, nil
}

// roleOfRegistered returns the role's id. It comes into being with the first user who signs up.
func roleOfRegistered(ctx context.Context, c *change.Change) (id int64, err error) {
	err = c.Tx.QueryRow(ctx, `SELECT id FROM auth.roles WHERE tenant_id = $1 AND name = $2`, c.Tenant.ID, registered).Scan(&id)
	if !errors.Is(err, pgx.ErrNoRows) {
		return id, pg.Fault(err, "ROLE", "read the role of users who sign up")
	}
	err = c.Tx.QueryRow(ctx, `INSERT INTO auth.roles (tenant_id, name, object_type, created_at) VALUES ($1, $2, 'self', $3) RETURNING id`,
		c.Tenant.ID, registered, c.Now).Scan(&id)
	if err != nil {
		return 0, pg.Fault(err, "ROLE", "make the role of users who sign up")
	}
	return id, c.Record(ctx, change.Entry{
		Action: "role.created", Subject: authn.Principal{Tenant: c.Tenant.Name, User: registered}.Name(),
		After: map[string]string{"name": registered, "object_type": "self"},
		Event: &eventv1.RoleChanged{Tenant: c.Tenant.Name, Name: registered, ChangedBy: c.By.Principal().Name()},
	})
}

func insertUser(ctx context.Context, c *change.Change, role int64, username, hash string) error {
	_, err := c.Tx.Exec(ctx, `
		INSERT INTO auth.users (tenant_id, role_id, username, password_hash, password_set_at, created_at) VALUES ($1, $2, $3, $4, $5, $5)`,
		c.Tenant.ID, role, username, hash, c.Now)
	return pg.Fault(err, "USER_EXISTS", "there is a user %s already", username)
}
