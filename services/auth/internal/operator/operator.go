// Package operator is what whoever runs opsdeck can do to accounts at the command line, when nobody can sign in to do it.
package operator

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/password"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
	"github.com/opsdeck/opsdeck/services/auth/internal/session"
	"github.com/opsdeck/opsdeck/services/auth/internal/signing"
	"github.com/opsdeck/opsdeck/services/auth/internal/totp"
)

// self is who the audit names. No user name has a space.
var self = rights.Rights{Tenant: authn.PlatformTenant, Username: "command line"}

// Operator works on the database of auth, beside the running service or without it.
type Operator struct {
	Changes   change.Changer
	Passwords *password.Hasher
	Policy    password.Policy
	Keys      *signing.Keys
}

// Account is a user by name.
type Account struct{ Tenant, Username string }

// ParseAccount reads TENANT:USER.
func ParseAccount(text string) (Account, error) {
	tenant, username, found := strings.Cut(text, ":")
	if !found || tenant == "" || username == "" || strings.ContainsAny(username, ":/ \t\r\n") || strings.ContainsAny(tenant, "/ \t\r\n") {
		return Account{}, fmt.Errorf("%q is no account, want TENANT:USER", text)
	}
	return Account{tenant, username}, nil
}

func (a Account) String() string { return a.Tenant + ":" + a.Username }

// CreateAdmin makes a user with the role admin, and the tenant and the role with him if they are missing.
func (o Operator) CreateAdmin(ctx context.Context, a Account, secret string) error {
	hash, err := o.hash(ctx, secret)
	if err != nil {
		return err
	}
	if err := ensureTenant(ctx, o.Changes.Pool, a.Tenant, o.Changes.Now()); err != nil {
		return err
	}
	return o.Changes.For(ctx, self, a.Tenant, func(ctx context.Context, c *change.Change) error {
		if err := insertAdmin(ctx, c, a, hash); err != nil {
			return err
		}
		after := map[string]any{"username": a.Username, "tenant": a.Tenant, "role": authn.AdminRole, "enabled": true}
		return record(ctx, c, "user.created", a.String(), after, changed(a, authn.AdminRole))
	})
}

// ResetPassword sets a password, takes the lock off the account, and ends the user's sessions.
func (o Operator) ResetPassword(ctx context.Context, a Account, secret string) error {
	hash, err := o.hash(ctx, secret)
	if err != nil {
		return err
	}
	return o.to(ctx, a, func(ctx context.Context, c *change.Change, u user) error {
		if err := session.SetPassword(ctx, c.Tx, u.ID, hash, c.Now, ""); err != nil {
			return err
		}
		if _, err := session.Unlock(ctx, c.Tx, a.Tenant, a.Username); err != nil {
			return err
		}
		event := changed(a, u.Role)
		event.PasswordChanged = true
		return record(ctx, c, "user.updated", a.String(), map[string]string{"password": "changed"}, event)
	})
}

// Unlock takes the lock off an account, whether there is a user of its name or not, and reports whether there was one.
func (o Operator) Unlock(ctx context.Context, a Account) (was bool, err error) {
	err = o.Changes.For(ctx, self, a.Tenant, func(ctx context.Context, c *change.Change) error {
		if was, err = session.Unlock(ctx, c.Tx, a.Tenant, a.Username); err != nil || !was {
			return err
		}
		event := &eventv1.AccountUnlocked{Tenant: a.Tenant, Username: a.Username, ChangedBy: self.Principal().Name()}
		return record(ctx, c, "account.unlocked", a.String(), nil, event)
	})
	return was, err
}

// DisableTOTP takes the second factor off a user and reports whether he had one.
func (o Operator) DisableTOTP(ctx context.Context, a Account) (had bool, err error) {
	err = o.to(ctx, a, func(ctx context.Context, c *change.Change, u user) error {
		if had, err = totp.Remove(ctx, c.Tx, u.ID); err != nil || !had {
			return err
		}
		event := changed(a, u.Role)
		event.SecondFactorChanged = true
		return record(ctx, c, "user.updated", a.String(), map[string]string{"second_factor": "disabled"}, event)
	})
	return had, err
}

// RotateKeys replaces the keys that tokens are signed with. At once means that the old keys, and every session, end now.
func (o Operator) RotateKeys(ctx context.Context, atOnce bool) (id string, err error) {
	err = o.Changes.For(ctx, self, self.Tenant, func(ctx context.Context, c *change.Change) error {
		if id, err = o.Keys.Replace(ctx, c.Tx, atOnce); err != nil {
			return err
		}
		if atOnce {
			if err := session.EndEvery(ctx, c.Tx); err != nil {
				return err
			}
		}
		event := &eventv1.SigningKeysReplaced{Id: id, AtOnce: atOnce, ChangedBy: self.Principal().Name()}
		return record(ctx, c, "signing_keys.replaced", "signing keys", map[string]any{"id": id, "at_once": atOnce}, event)
	})
	return id, err
}

func (o Operator) hash(ctx context.Context, secret string) (string, error) {
	if err := o.Policy.Check("password", secret); err != nil {
		return "", err
	}
	return o.Passwords.Hash(ctx, secret)
}

// to changes something of a user that there is.
func (o Operator) to(ctx context.Context, a Account, do func(ctx context.Context, c *change.Change, u user) error) error {
	return o.Changes.For(ctx, self, a.Tenant, func(ctx context.Context, c *change.Change) error {
		u, err := find(ctx, c, a)
		if err != nil {
			return err
		}
		return do(ctx, c, u)
	})
}

func changed(a Account, role string) *eventv1.UserChanged {
	return &eventv1.UserChanged{Tenant: a.Tenant, Username: a.Username, Role: role, ChangedBy: self.Principal().Name()}
}

func record(ctx context.Context, c *change.Change, action, subject string, after any, event proto.Message) error {
	return c.Record(ctx, change.Entry{Action: action, Subject: subject, After: after, Event: event})
}

// user is a user as the operator needs him.
type user struct {
	ID   int64  `db:"id"`
	Role string `db:"role"`
}

func find(ctx context.Context, c *change.Change, a Account) (user, error) {
	rows, _ := c.Tx.Query(ctx, `
		SELECT u.id, coalesce(r.name, '') AS role
		  FROM auth.users u
		  LEFT JOIN auth.roles r ON r.id = u.role_id
		 WHERE u.tenant_id = $1 AND lower(u.username) = lower($2)`, c.Tenant.ID, a.Username) // the error comes again below
	u, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[user])
	return u, pg.Fault(err, "USER_NOT_FOUND", "there is no user %s", a)
}
