package oidc

import (
	"context"
	"crypto/rand"
	"errors"
	"regexp"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// usernamePattern is what the user service takes.
var usernamePattern = regexp.MustCompile(`^[^:/\s]+$`)

const (
	maxUsername = 128
	maxEmail    = 254
)

// userOf returns the user that somebody is linked to, or makes one where the provider's settings say so. A name alone links nobody:
// who chooses his name at the provider would choose whom he signs in as.
func (s *Server) userOf(ctx context.Context, p provider, who person) (int64, error) {
	id, err := linked(ctx, s.cfg.Changes.Pool, p.ID, who.subject)
	if !errors.Is(err, pgx.ErrNoRows) {
		return id, pg.Fault(err, "OIDC_IDENTITY", "find a user of provider %s", p)
	}
	if p.RoleID == nil {
		return 0, fault.Unauthenticated("OIDC_USER_UNKNOWN", "nobody of tenant %s is linked to your account at %s: ask an administrator", p.Tenant, p.Name)
	}
	if !usernamePattern.MatchString(who.username) || utf8.RuneCountInString(who.username) > maxUsername {
		return 0, fault.Unauthenticated("OIDC_CLAIM_MISSING", "the provider %s sends no %q that can be a user name", p.Name, p.UsernameClaim)
	}
	hash, err := s.cfg.Passwords.Hash(ctx, rand.Text()) // nobody knows it: he signs in by the provider
	if err != nil {
		return 0, err
	}
	if len(who.email) > maxEmail {
		who.email = ""
	}
	// The space keeps users from being taken for providers: no user name has one.
	by := rights.Rights{Tenant: p.Tenant, Username: "provider " + p.Name}
	err = s.cfg.Changes.For(ctx, by, p.Tenant, func(ctx context.Context, c *change.Change) error {
		if id, err = linked(ctx, c.Tx, p.ID, who.subject); !errors.Is(err, pgx.ErrNoRows) {
			return pg.Fault(err, "OIDC_IDENTITY", "find a user of provider %s", p) // two windows at once
		}
		id, err = makeUser(ctx, c, p, who, hash)
		return err
	})
	return id, err
}

func makeUser(ctx context.Context, c *change.Change, p provider, who person, hash string) (id int64, err error) {
	err = c.Tx.QueryRow(ctx, `
		INSERT INTO auth.users (tenant_id, role_id, username, email, remark, password_hash, password_set_at, created_at)
		VALUES ($1, $2, $3, $4, '', $5, $6, $6) RETURNING id`, c.Tenant.ID, p.RoleID, who.username, who.email, hash, c.Now).Scan(&id)
	if err != nil {
		return 0, pg.Fault(err, "OIDC_USER_EXISTS", "tenant %s has a user %s already: an administrator can link him to your account at %s",
			p.Tenant, who.username, p.Name)
	}
	if err := link(ctx, c.Tx, p.ID, who.subject, id, true, c.Now); err != nil {
		return 0, err
	}
	return id, c.Record(ctx, change.Entry{
		Action: "user.created", Subject: p.Tenant + ":" + who.username,
		After: map[string]any{"username": who.username, "tenant": p.Tenant, "role": p.Role, "provider": p.Name, "subject": who.subject, "enabled": true},
		Event: &eventv1.UserChanged{Tenant: p.Tenant, Username: who.username, Role: p.Role, ChangedBy: c.By.Principal().Name()},
	})
}
