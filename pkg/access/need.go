package access

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	accessv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/access/v1"
)

// MenuPrefix begins the right to a menu action; the action's uri follows.
const MenuPrefix = "menu:"

// AdminRight is the right of who has the role admin.
const AdminRight = "admin"

// PlatformRight is the right of the users of the tenant platform, whatever their role.
const PlatformRight = "platform"

// byRow is the right that a method decides by itself, row by row.
const byRow = "row"

// need is what one request wants of its caller.
type need struct {
	all, any []string
	row      bool // the method refuses the rows that are not the caller's
}

// needOf returns the rights that a rule wants for a request.
func needOf(rule *accessv1.Rule, request any) need {
	if uri := rule.GetMenuAction(); uri != "" {
		return need{all: []string{fill(MenuPrefix+uri, request)}}
	}
	var n need
	for _, right := range rule.GetRights().GetAllOf() {
		n.all = append(n.all, fill(right, request))
	}
	for _, right := range rule.GetRights().GetAnyOf() {
		if right == byRow {
			n.row = true
			continue
		}
		n.any = append(n.any, fill(right, request))
	}
	return n
}

// rights are all that a decider has to look at.
func (n need) rights() []string {
	return append(append(make([]string, 0, len(n.all)+len(n.any)), n.all...), n.any...)
}

// missing names what the caller lacks; nothing when he may.
func (n need) missing(d Decision) string {
	for _, right := range n.all {
		if !d.Holds(right) {
			return strings.TrimPrefix(right, MenuPrefix)
		}
	}
	if n.row || len(n.any) == 0 {
		return ""
	}
	for _, right := range n.any {
		if d.Holds(right) {
			return ""
		}
	}
	if len(n.any) == 1 {
		return n.any[0]
	}
	return fmt.Sprintf("any of %s", strings.Join(n.any, ", "))
}

// fill puts values of the request in the place of its fields in braces. What is no number and no plain word stays out: a right
// must not be made of what a caller wrote.
func fill(right string, request any) string {
	message, ok := request.(proto.Message)
	if !ok || !strings.Contains(right, "{") {
		return right
	}
	m := message.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		place := "{" + string(field.Name()) + "}"
		if !field.IsList() && strings.Contains(right, place) {
			right = strings.ReplaceAll(right, place, text(m.Get(field), field.Kind()))
		}
	}
	return right
}

func text(v protoreflect.Value, kind protoreflect.Kind) string {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return strconv.FormatInt(v.Int(), 10)
	case protoreflect.StringKind:
		if word := v.String(); strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789_-") == "" {
			return word
		}
	}
	return "?"
}
