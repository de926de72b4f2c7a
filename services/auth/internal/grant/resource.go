package grant

import (
	"context"
	"fmt"
	"slices"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/auth/internal/change"
	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// entry is what one target shall be granted on one resource, as a caller wrote it.
type entry struct {
	target      int64
	resource    int64
	name        string // of the resource, as the caller knows it; kept only when there is no owner to ask
	permissions map[string]bool
	everything  bool // take all there is
}

// permissionOn is a permission of a target on a resource.
type permissionOn struct {
	UserID     *int64 `db:"user_id"`
	RoleID     *int64 `db:"role_id"`
	ResourceID int64  `db:"resource_id"`
	Permission string `db:"permission"`
}

func (p permissionOn) target() int64 {
	if p.UserID != nil {
		return *p.UserID
	}
	return *p.RoleID
}

// order is what entries come to.
type order struct {
	kind       permission.Kind
	targetType string
	targets    []int64
	give, take []permissionOn
	needed     []int64          // resources that must exist, because something is given on them
	names      map[int64]string // of resources
}

// grantResources changes what targets of one type, and one tenant, may do to resources of a kind.
func (s *Server) grantResources(ctx context.Context, field, kind, targetType string, entries []entry) error {
	o, err := newOrder(field, kind, targetType, entries)
	if err != nil || len(o.targets) == 0 {
		return err
	}
	if s.resources.Knows() {
		if o.names, err = s.resources.Names(ctx, kind, o.needed); err != nil {
			return err
		}
	}
	return s.change(ctx, target{targetType, o.targets[0]}, func(ctx context.Context, c *change.Change) error {
		if err := c.ByAdmin(); err != nil {
			return denied(c, err)
		}
		return o.carryOut(ctx, c)
	})
}

func newOrder(field, kind, targetType string, entries []entry) (*order, error) {
	k, _ := permission.KindNamed(kind)
	o := &order{kind: k, targetType: targetType, names: map[int64]string{}}
	seen := map[[2]int64]bool{}
	for i, e := range entries {
		at := fmt.Sprintf("%s[%d]", field, i)
		key := [2]int64{e.target, e.resource}
		if seen[key] {
			return nil, fault.Invalid(at, "is about the same %s and %s as an entry before it", targetType, kind).Chinese("与前面的条目重复")
		}
		seen[key] = true
		w, err := canonical(at+".permission", e.permissions, k.Permission)
		if err != nil {
			return nil, err
		}
		o.add(e, w)
	}
	slices.Sort(o.targets)
	o.targets = slices.Compact(o.targets)
	slices.Sort(o.needed)
	o.needed = slices.Compact(o.needed)
	return o, nil
}

func (o *order) add(e entry, w wanted) {
	userID, roleID := target{o.targetType, e.target}.columns()
	o.targets = append(o.targets, e.target)
	if e.name != "" {
		o.names[e.resource] = e.name
	}
	for _, p := range o.kind.Permissions {
		on, said := w[p.Name]
		one := permissionOn{UserID: userID, RoleID: roleID, ResourceID: e.resource, Permission: p.Name}
		switch {
		case e.everything || said && !on:
			o.take = append(o.take, one)
		case on:
			o.give = append(o.give, one)
			o.needed = append(o.needed, e.resource)
		}
	}
}

func (o *order) carryOut(ctx context.Context, c *change.Change) error {
	targets, err := namesOf(ctx, c, o.targetType, o.targets)
	if err != nil {
		return err
	}
	if err := keepNames(ctx, c, o.kind.Name, o.names); err != nil {
		return err
	}
	given, err := giveOn(ctx, c, o.kind.Name, o.give)
	if err != nil {
		return err
	}
	taken, err := takeOn(ctx, c, o.kind.Name, o.take)
	if err != nil {
		return err
	}
	resources, err := knownNames(ctx, c, o.kind.Name, append(slices.Clone(given), taken...))
	if err != nil {
		return err
	}
	changed := make([]change.Granted, 0, len(given)+len(taken))
	for i, p := range append(given, taken...) {
		changed = append(changed, change.Granted{
			TargetType: o.targetType, TargetName: targets[p.target()], Kind: o.kind.Name, ResourceID: p.ResourceID,
			ResourceName: resources[p.ResourceID], Permission: p.Permission, Given: i < len(given),
		})
	}
	return c.RecordGrants(ctx, changed)
}
