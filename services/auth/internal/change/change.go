// Package change is how users and roles are changed: one transaction holds the change, its row in the audit and its event, and
// decides by the caller's rights as they are in it.
package change

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"

	"github.com/opsdeck/opsdeck/services/auth/internal/rights"
)

// Changer makes changes.
type Changer struct {
	Pool  *pgxpool.Pool
	Queue *jobs.Client
	Now   func() time.Time
}

// Change is one change under way.
type Change struct {
	Tx     pgx.Tx
	By     rights.Rights // of the caller
	Tenant Tenant        // in which things change
	Now    time.Time

	queue *jobs.Client
}

// Tenant is a tenant; without an id there is none of that name.
type Tenant struct {
	ID   int64  `db:"id"`
	Name string `db:"name"`
}

// In changes something in a tenant. Changes in one tenant, and those that its users make, come one after the other: two admins
// who delete each other cannot both succeed. Errors: SESSION_ENDED, OUT_OF_SCOPE.
func (c Changer) In(ctx context.Context, tenant string, do func(ctx context.Context, c *Change) error) error {
	return c.in(ctx, tenant, false, do)
}

// InNew is In for a tenant that begins with the change when there is none of its name.
func (c Changer) InNew(ctx context.Context, tenant string, do func(ctx context.Context, c *Change) error) error {
	return c.in(ctx, tenant, true, do)
}

// For changes something in a tenant for somebody who has no session, for instance a user with a link from his mail, or an operator
// at the command line. by is who the audit names; what he may do is the caller's business.
func (c Changer) For(ctx context.Context, by rights.Rights, tenant string, do func(ctx context.Context, c *Change) error) error {
	return c.forOne(ctx, by, tenant, false, do)
}

// ForNew is For for a tenant that begins with the change when there is none of its name.
func (c Changer) ForNew(ctx context.Context, by rights.Rights, tenant string, do func(ctx context.Context, c *Change) error) error {
	return c.forOne(ctx, by, tenant, true, do)
}

func (c Changer) forOne(ctx context.Context, by rights.Rights, tenant string, begin bool, do func(ctx context.Context, c *Change) error) error {
	return pg.InTx(ctx, c.Pool, func(ctx context.Context, tx pgx.Tx) error {
		change := &Change{Tx: tx, By: by, Tenant: Tenant{Name: tenant}, Now: c.Now(), queue: c.Queue}
		if begin {
			if err := change.begin(ctx); err != nil {
				return err
			}
		}
		if err := change.lock(ctx, by.Tenant); err != nil {
			return err
		}
		return do(ctx, change)
	})
}

func (c Changer) in(ctx context.Context, tenant string, begin bool, do func(ctx context.Context, c *Change) error) error {
	caller := authn.FromContext(ctx)
	return pg.InTx(ctx, c.Pool, func(ctx context.Context, tx pgx.Tx) error {
		change := &Change{Tx: tx, Tenant: Tenant{Name: tenant}, Now: c.Now(), queue: c.Queue}
		if begin && caller.IsPlatform() {
			if err := change.begin(ctx); err != nil {
				return err
			}
		}
		if err := change.lock(ctx, caller.Tenant); err != nil {
			return err
		}
		var err error
		if change.By, err = callerRights(ctx, tx, caller, change.Now); err != nil {
			return err
		}
		if err := change.By.ReachTenant(tenant); err != nil {
			return err
		}
		return do(ctx, change)
	})
}

// callerRights reads the rights of the caller in full, as Cover needs them; those of an administrator are full by themselves.
func callerRights(ctx context.Context, tx pgx.Tx, caller authn.Principal, now time.Time) (rights.Rights, error) {
	r, err := rights.Of(ctx, tx, caller, now)
	if err == nil && !r.Admin() {
		r.Grants, err = rights.OfUser(ctx, tx, r.UserID)
	}
	return r, err
}

// CoverUser refuses a user who may do more than the caller: ABOVE_CALLER.
func (c *Change) CoverUser(ctx context.Context, id int64, name string) error {
	if c.By.Admin() {
		return nil
	}
	g, err := rights.OfUser(ctx, c.Tx, id)
	if err != nil {
		return err
	}
	return c.By.Cover("user "+name, g)
}

// CoverRole refuses a role that gives more than the caller has: ABOVE_CALLER.
func (c *Change) CoverRole(ctx context.Context, id int64, name string) error {
	if c.By.Admin() {
		return nil
	}
	g, err := rights.OfRole(ctx, c.Tx, id)
	if err != nil {
		return err
	}
	return c.By.Cover("the role "+name, g)
}

func (c *Change) begin(ctx context.Context) error {
	_, err := c.Tx.Exec(ctx, `INSERT INTO auth.tenants (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, c.Tenant.Name, c.Now)
	return pg.Fault(err, "TENANT", "begin tenant %s", c.Tenant.Name)
}

// lock takes the tenants in the order of their ids: two changes never wait for each other.
func (c *Change) lock(ctx context.Context, callers string) error {
	rows, _ := c.Tx.Query(ctx, `SELECT id, name FROM auth.tenants WHERE name = $1 OR name = $2 ORDER BY id FOR NO KEY UPDATE`,
		callers, c.Tenant.Name) // the error comes again below
	tenants, err := pgx.CollectRows(rows, pgx.RowToStructByName[Tenant])
	for _, t := range tenants {
		if t.Name == c.Tenant.Name {
			c.Tenant = t
		}
	}
	return pg.Fault(err, "TENANT", "lock tenant %s", c.Tenant.Name)
}

// Entry is what the audit and the event say about a change.
type Entry struct {
	Action  string        // for instance "user.created"; the event is opsdeck.auth.user.created
	Subject string        // tenant:name
	Before  any           // nil for what is new; printed as JSON and without secrets
	After   any           // nil for what is gone
	Event   proto.Message // payload
	Detail  string        // what was done in words, where a list shows it; without secrets
}

// Record writes the change down.
func (c *Change) Record(ctx context.Context, e Entry) error {
	before, err := printed(e.Before)
	if err != nil {
		return err
	}
	after, err := printed(e.After)
	if err != nil {
		return err
	}
	call := rpc.FromContext(ctx)
	_, err = c.Tx.Exec(ctx, `
		INSERT INTO auth.audit (at, actor, tenant, action, subject, before, after, detail, request_id, address)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		c.Now, c.By.Principal().Name(), c.Tenant.Name, e.Action, e.Subject, before, after, e.Detail, call.RequestID, addressOf(call))
	if err != nil {
		return pg.Fault(err, "AUDIT", "write %s of %s to the audit", e.Action, e.Subject)
	}
	return c.tell(ctx, e.Action, e.Subject, e.Event)
}

func addressOf(call rpc.Call) string {
	if call.Address == (netip.Addr{}) {
		return ""
	}
	return call.Address.String()
}

// printed is null for nothing.
func printed(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("print %T for the audit: %w", v, err)
	}
	return text, nil
}
