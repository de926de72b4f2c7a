// Package permission is the catalogue of what can be granted besides menu actions: permissions of modules, permissions on single
// resources, and the levels at nodes of the service tree that permission points ask for.
package permission

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
)

// Module is a part of the product, with what may be done in it to every resource.
type Module struct {
	Name        string       `json:"name"`
	TextCN      string       `json:"text_cn"` // also accepted for its name
	TextEN      string       `json:"text_en"`
	Permissions []Permission `json:"permissions"`
}

// Kind is a kind of resource, with what may be done to one of them.
type Kind struct {
	Name         string       `json:"name"`
	TextCN       string       `json:"text_cn"`
	TextEN       string       `json:"text_en"`
	Module       string       `json:"module"`         // whose permissions apply to all of the kind
	Needs        string       `json:"needs"`          // switch of the module without which nothing is allowed
	ByModuleOnly bool         `json:"by_module_only"` // there are no grants on single ones
	Permissions  []Permission `json:"permissions"`
}

// Permission is one thing that may be done.
type Permission struct {
	Name    string   `json:"name"`
	Needs   string   `json:"needs"`   // of a module: the switch without which it has no effect
	By      []string `json:"by"`      // of a kind: permissions of its module that include it, on every resource
	Idle    bool     `json:"idle"`    // may be granted, as the documents have it, and has no effect
	Aliases []string `json:"aliases"` // accepted for its name
	TextCN  string   `json:"text_cn"`
	TextEN  string   `json:"text_en"`
}

// Point is a permission point (contract 001): what a level at a node of the service tree opens.
type Point struct {
	Name     string `json:"name"`
	MinLevel int32  `json:"min_level"`
	Scope    string `json:"scope"` // "tree" or GlobalScope
}

// Levels at nodes of the service tree.
const (
	SignedIn      int32 = 0
	Developer     int32 = 1
	Operator      int32 = 2
	Administrator int32 = 3
)

// GlobalScope is the scope of points for which only the level at the global node counts.
const GlobalScope = "global"

// GlobalNode is the node whose level counts everywhere.
const GlobalNode int64 = 0

// Kinds of resources that have grants of their own.
const (
	Application = "application"
	Host        = "host"
)

type content struct {
	Modules []Module `json:"modules"`
	Kinds   []Kind   `json:"kinds"`
	Points  []Point  `json:"points"`
}

//go:embed catalogue.json
var catalogueText []byte

var catalogue = read(catalogueText)

func read(text []byte) content {
	var c content
	if err := json.Unmarshal(text, &c); err != nil {
		panic("permission: catalogue.json: " + err.Error()) // it is part of the program
	}
	return c
}

// Modules returns all modules.
func Modules() []Module { return slices.Clone(catalogue.Modules) }

// Kinds returns all kinds of resources.
func Kinds() []Kind { return slices.Clone(catalogue.Kinds) }

// Points returns all permission points.
func Points() []Point { return slices.Clone(catalogue.Points) }

// ModuleNamed finds a module by its name or its label in either language.
func ModuleNamed(name string) (Module, bool) {
	i := slices.IndexFunc(catalogue.Modules, func(m Module) bool {
		return m.Name == name || m.TextCN == name || strings.EqualFold(m.TextEN, name)
	})
	if i < 0 {
		return Module{}, false
	}
	return catalogue.Modules[i], true
}

// KindNamed finds a kind of resource.
func KindNamed(name string) (Kind, bool) {
	i := slices.IndexFunc(catalogue.Kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return catalogue.Kinds[i], true
}

// IsKind reports whether there is such a kind of resource.
func IsKind(name string) bool {
	_, ok := KindNamed(name)
	return ok
}

// SwitchOf returns the permission, as "module.permission", that a permission written like that needs to have an effect; "" for none.
func SwitchOf(name string) string {
	module, name, _ := strings.Cut(name, ".")
	m, _ := ModuleNamed(module)
	if p, ok := m.Permission(name); ok && p.Needs != "" {
		return module + "." + p.Needs
	}
	return ""
}

// PointNamed finds a permission point.
func PointNamed(name string) (Point, bool) {
	i := slices.IndexFunc(catalogue.Points, func(p Point) bool { return p.Name == name })
	if i < 0 {
		return Point{}, false
	}
	return catalogue.Points[i], true
}

// Permission finds a permission of the module by its name or an alias.
func (m Module) Permission(name string) (Permission, bool) {
	return permissionNamed(m.Permissions, name)
}

// Permission finds a permission on resources of the kind by its name or an alias.
func (k Kind) Permission(name string) (Permission, bool) { return permissionNamed(k.Permissions, name) }

func permissionNamed(all []Permission, name string) (Permission, bool) {
	i := slices.IndexFunc(all, func(p Permission) bool { return p.Name == name || slices.Contains(p.Aliases, name) })
	if i < 0 {
		return Permission{}, false
	}
	return all[i], true
}

// Names returns the permissions that a word of a filter may mean, in any module or kind: the word itself, and those that it is an
// alias of.
func Names(word string) []string {
	names := []string{word}
	add := func(all []Permission) {
		for _, p := range all {
			if slices.Contains(p.Aliases, word) {
				names = append(names, p.Name)
			}
		}
	}
	for _, m := range catalogue.Modules {
		add(m.Permissions)
	}
	for _, k := range catalogue.Kinds {
		add(k.Permissions)
	}
	return names
}

// LevelFor returns the level that a point asks for at a node. At the global node everything but reading is for administrators, and
// points of global scope are everywhere.
func (p Point) LevelFor(node int64) int32 {
	if p.MinLevel > SignedIn && (node == GlobalNode || p.Scope == GlobalScope) {
		return Administrator
	}
	return p.MinLevel
}
