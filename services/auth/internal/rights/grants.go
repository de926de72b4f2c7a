package rights

import (
	"fmt"
	"slices"

	"github.com/opsdeck/opsdeck/pkg/authn"

	"github.com/opsdeck/opsdeck/services/auth/internal/menu"
	"github.com/opsdeck/opsdeck/services/auth/internal/permission"
)

// Object types of roles, as the documents name them.
const (
	All       = "all"
	Self      = "self"
	Designate = "designate"
)

// Role is what a role lets its users do in the menu, and for whom.
type Role struct {
	ID         int64    `db:"role_id"`
	Name       string   `db:"role"`
	ObjectType string   `db:"object_type"`
	Actions    []string `db:"actions"`
	Users      []string `db:"object_users"` // tenant:username
}

// Admin reports whether the role opens everything in the tenants in reach.
func (r Role) Admin() bool { return r.Name == authn.AdminRole }

// Grants returns what the role would give if nothing else were granted to it.
func (r Role) Grants() Grants {
	g := Grants{Roles: []string{r.Name}, ObjectTypes: []string{r.ObjectType}, Actions: r.Actions}
	if r.ObjectType == Designate {
		g.Users = r.Users
	}
	return g
}

// Grants are all that a role gives, or that a user has by himself and by all his roles.
type Grants struct {
	Roles       []string        `db:"roles"`        // names
	ObjectTypes []string        `db:"object_types"` // of the roles
	Users       []string        `db:"object_users"` // tenant:username
	Actions     []string        `db:"actions"`      // of the menu
	Modules     []string        `db:"modules"`      // module.permission
	Resources   []string        `db:"resources"`    // kind:id.permission
	Levels      map[int64]int32 `db:"levels"`       // by node of the service tree
}

// Granted lists what is granted besides the menu, for the audit.
func (g Grants) Granted() []string {
	granted := slices.Concat(g.Modules, g.Resources)
	for node, level := range g.Levels {
		granted = append(granted, fmt.Sprintf("level %d@%d", level, node))
	}
	slices.Sort(granted)
	return granted
}

// Admin reports whether one of the roles opens everything in the tenants in reach.
func (g Grants) Admin() bool { return slices.Contains(g.Roles, authn.AdminRole) }

// Opens reports whether a path of the menu catalogue is open.
func (g Grants) Opens(uri string) bool {
	return g.Admin() || slices.Contains(g.Actions, menu.ActionOf(uri)) // no role has the action ""
}

func (g Grants) reachesAll() bool { return slices.Contains(g.ObjectTypes, All) }

// holdsModule wants the permission, "module.permission", and the switch that it needs.
func (g Grants) holdsModule(name string) bool {
	return slices.Contains(g.Modules, name) && g.on(name)
}

func (g Grants) on(name string) bool {
	needs := permission.SwitchOf(name)
	return needs == "" || slices.Contains(g.Modules, needs)
}

// holdsEvery reports whether a permission is held on every resource of a kind, by a permission of its module.
func (g Grants) holdsEvery(kind, name string) bool {
	k, _ := permission.KindNamed(kind)
	p, _ := k.Permission(name)
	return g.switched(k) && slices.ContainsFunc(p.By, func(by string) bool { return slices.Contains(g.Modules, k.Module+"."+by) })
}

func (g Grants) holdsResource(kind string, id int64, name string) bool {
	k, _ := permission.KindNamed(kind)
	return g.switched(k) && slices.Contains(g.Resources, fmt.Sprintf("%s:%d.%s", kind, id, name))
}

func (g Grants) switched(k permission.Kind) bool {
	return slices.Contains(g.Modules, k.Module+"."+k.Needs)
}

// passes decides a permission point by the level at its node and the one at the global node.
func (g Grants) passes(point string, node int64) bool {
	p, ok := permission.PointNamed(point)
	if !ok {
		return false
	}
	level := g.Levels[permission.GlobalNode]
	if p.Scope != permission.GlobalScope {
		level = max(level, g.Levels[node])
	}
	return level >= p.LevelFor(node)
}

// covers reports whether everything in other is in g. Everybody reaches himself.
func (g Grants) covers(other Grants, self string) bool {
	return !other.Admin() &&
		subset(other.Actions, g.Actions) && subset(other.Modules, g.Modules) && subset(other.Resources, g.Resources) &&
		g.coversLevels(other) && g.coversObjects(other, self)
}

func (g Grants) coversLevels(other Grants) bool {
	for node, level := range other.Levels {
		if max(g.Levels[node], g.Levels[permission.GlobalNode]) < level {
			return false
		}
	}
	return true
}

func (g Grants) coversObjects(other Grants, self string) bool {
	switch {
	case g.reachesAll():
		return true
	case other.reachesAll():
		return false
	}
	return subset(other.Users, append(slices.Clone(g.Users), self))
}

func subset(part, whole []string) bool {
	known := make(map[string]bool, len(whole))
	for _, one := range whole {
		known[one] = true
	}
	return !slices.ContainsFunc(part, func(one string) bool { return !known[one] })
}
