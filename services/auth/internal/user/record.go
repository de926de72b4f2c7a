package user

import (
	"context"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// record writes a change of a user down; before is nil for a new one, after for one that is gone.
func record(ctx context.Context, c *change.Change, verb string, before, after *userRow, password bool) error {
	known, e := after, change.Entry{}
	if before != nil {
		known, e.Before = before, before.audited()
	}
	if after != nil {
		shown := after.audited()
		if password {
			shown.Password = "changed"
		}
		known, e.After = after, shown
	}
	e.Action, e.Subject = "user."+verb, known.name()
	e.Event = &eventv1.UserChanged{
		Tenant: known.Tenant, Username: known.Username, Role: known.Role, ChangedBy: c.By.Principal().Name(), PasswordChanged: password,
	}
	return c.Record(ctx, e)
}

func insertAdminRole(ctx context.Context, c *change.Change) (rights.Role, error) {
	role := rights.Role{Name: authn.AdminRole, ObjectType: rights.All}
	err := c.Tx.QueryRow(ctx, `
		INSERT INTO auth.roles (tenant_id, name, object_type, creator, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		c.Tenant.ID, role.Name, role.ObjectType, c.By.Username, c.Now).Scan(&role.ID)
	if err != nil {
		return role, pg.Fault(err, "ROLE_EXISTS", "make the role %s of tenant %s", role.Name, c.Tenant.Name)
	}
	name := c.Tenant.Name + ":" + role.Name
	return role, c.Record(ctx, change.Entry{
		Action: "role.created", Subject: name, After: map[string]string{"name": role.Name, "object_type": role.ObjectType},
		Event: &eventv1.RoleChanged{Tenant: c.Tenant.Name, Name: role.Name, ChangedBy: c.By.Principal().Name()},
	})
}
