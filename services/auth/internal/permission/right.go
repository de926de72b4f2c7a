package permission

import (
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Kinds of rights besides those on resources (opsdeck.access.v1.Rights).
const (
	MenuRight   = "menu"
	ModuleRight = "module"
	UserRight   = "user"
	PointRight  = "point"
)

// Right is a right that hangs on something, as opsdeck.access.v1.Rights writes it.
type Right struct {
	Kind string // one of the above, or a kind of resource
	Name string // of the menu's uri, the module's permission as "module.permission", the permission on the resource, or the point
	ID   int64  // of the resource, the user or the node
}

// ParseRight reads a right. It is false for texts that are none, and for permissions, kinds and points that the catalogue does not
// have: nobody holds them.
func ParseRight(text string) (Right, bool) {
	kind, rest, ok := strings.Cut(text, ":")
	if !ok {
		return Right{}, false
	}
	switch kind {
	case MenuRight:
		return Right{Kind: kind, Name: rest}, true
	case ModuleRight:
		return moduleRight(rest)
	case UserRight:
		id, ok := number(rest)
		return Right{Kind: kind, ID: id}, ok && id > 0
	case PointRight:
		return pointRight(rest)
	}
	return resourceRight(kind, rest)
}

func moduleRight(text string) (Right, bool) {
	module, name, _ := strings.Cut(text, ".")
	m, ok := ModuleNamed(module)
	if !ok || m.Name != module {
		return Right{}, false
	}
	p, ok := m.Permission(name)
	return Right{Kind: ModuleRight, Name: text}, ok && p.Name == name && !p.Idle
}

func pointRight(text string) (Right, bool) {
	name, node, _ := strings.Cut(text, "@")
	id, ok := number(node)
	_, known := PointNamed(name)
	return Right{Kind: PointRight, Name: name, ID: id}, ok && known
}

func resourceRight(kind, text string) (Right, bool) {
	k, known := KindNamed(kind)
	id, name, _ := strings.Cut(text, ".")
	n, ok := number(id)
	if !known || !ok {
		return Right{}, false
	}
	p, ok := k.Permission(name)
	return Right{Kind: kind, Name: name, ID: n}, ok && p.Name == name
}

// number reads digits and nothing else: "+1" and "01" are no second spellings of 1.
func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == text
}

// Undefined refuses a permission that the catalogue does not have: PERMISSION_UNDEFINED.
func Undefined(name string) *fault.Fault {
	f := &fault.Fault{Code: codes.InvalidArgument, Reason: "PERMISSION_UNDEFINED", Message: "undefined permission " + name}
	return f.Chinese("未定义的权限 %s", name)
}
