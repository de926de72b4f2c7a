package change

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/rpc"
)

// Kinds of those who are granted something.
const (
	ToUser = "user"
	ToRole = "role"
)

// Granted is one permission that was given to a user or a role, or taken.
type Granted struct {
	TargetType   string // ToUser or ToRole
	TargetName   string
	Module       string // of a module's permission; empty for one on a resource
	Kind         string // of the resource; empty for a module's permission
	ResourceID   int64
	ResourceName string
	Permission   string
	Given        bool
}

// RecordGrants writes changed permissions down, a row each, in one order whatever the database's was, and tells of every
// user and role once. All are of one kind.
func (c *Change) RecordGrants(ctx context.Context, changed []Granted) error {
	if len(changed) == 0 {
		return nil
	}
	slices.SortFunc(changed, func(a, b Granted) int {
		return cmp.Or(cmp.Compare(a.TargetName, b.TargetName), cmp.Compare(a.Module, b.Module), cmp.Compare(a.ResourceID, b.ResourceID),
			cmp.Compare(a.Permission, b.Permission))
	})
	if err := c.insertGrants(ctx, changed); err != nil {
		return err
	}
	told := map[string]bool{}
	for _, g := range changed {
		subject := g.TargetType + "/" + c.Tenant.Name + ":" + g.TargetName
		if told[subject] {
			continue
		}
		told[subject] = true
		kind := g.Kind
		if kind == "" {
			kind = "module"
		}
		if err := c.tell(ctx, "grants.changed", subject, c.grantsChanged(g.TargetType, g.TargetName, kind)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Change) grantsChanged(targetType, target, kind string) *eventv1.GrantsChanged {
	return &eventv1.GrantsChanged{
		Tenant: c.Tenant.Name, TargetType: targetType, TargetName: target, Kind: kind, ChangedBy: c.By.Principal().Name(),
	}
}

// RecordLevel writes down that a level at a node of the service tree changed.
func (c *Change) RecordLevel(ctx context.Context, targetType, target string, before, after any) error {
	return c.Record(ctx, Entry{
		Action: "grants.changed", Subject: targetType + "/" + c.Tenant.Name + ":" + target, Before: before, After: after,
		Event: c.grantsChanged(targetType, target, "tree_level"),
	})
}

func (c *Change) insertGrants(ctx context.Context, changed []Granted) error {
	n := len(changed)
	types, names, permissions := make([]string, n), make([]string, n), make([]string, n)
	modules, kinds, resources := make([]*string, n), make([]*string, n), make([]*string, n)
	ids, given := make([]*int64, n), make([]bool, n)
	for i, g := range changed {
		types[i], names[i], permissions[i], given[i] = g.TargetType, g.TargetName, g.Permission, g.Given
		if g.Module != "" {
			modules[i] = &changed[i].Module
		} else {
			kinds[i], ids[i], resources[i] = &changed[i].Kind, &changed[i].ResourceID, &changed[i].ResourceName
		}
	}
	call := rpc.FromContext(ctx)
	_, err := c.Tx.Exec(ctx, `
		INSERT INTO auth.grant_changes (at, tenant, operator_tenant, operator, request_id, address, target_type, target_name, module,
		                                resource_kind, resource_id, resource_name, permission, granted)
		SELECT $1, $2, $3, $4, $5, $6, g.*
		  FROM unnest($7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[], $14::boolean[]) AS g`,
		c.Now, c.Tenant.Name, c.By.Tenant, c.By.Username, call.RequestID, addressOf(call),
		types, names, modules, kinds, ids, resources, permissions, given)
	return pg.Fault(err, "AUDIT", "write grants to the audit")
}

// tell enqueues an event.
func (c *Change) tell(ctx context.Context, action, subject string, data proto.Message) error {
	return bus.Publish(ctx, c.Tx, c.queue, bus.Event{Type: "opsdeck.auth." + action, Subject: subject, Tenant: c.Tenant.Name, Data: data})
}
