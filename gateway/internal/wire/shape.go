package wire

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Shape is another shape that requests may have: that of another release of the product whose dialect is spoken. A body may mix the two.
type Shape struct {
	// Names are the other names of fields.
	Names Names
	// Inline are the names of objects whose members are those of the message that they stand in.
	Inline map[protoreflect.FullName][]string
	// Fixed are the names of members without a field here, each with the JSON values that say what holds anyway. A null always does.
	Fixed map[protoreflect.FullName]map[string][]string
}

// shaped reads a member, behind its name, that only the other shape has. Any other is refused.
func (d *decoder) shaped(m protoreflect.Message, seen []spelling) error {
	message, name := m.Descriptor().FullName(), d.here.last()
	if slices.Contains(d.request.Shape.Inline[message], name) {
		switch t := d.next(); t.kind {
		case nullKind:
			return nil
		case '{':
			return d.members(m, seen)
		default:
			return fault.Invalid(d.here.String(), "must be an object, got %s", describe(t))
		}
	}
	allowed, ok := d.request.Shape.Fixed[message][name]
	if !ok {
		d.here.back()
		d.here.member(clip(name))
		return fault.Invalid(d.here.String(), "there is no such field")
	}
	if text := d.raw(); text != "null" && !slices.Contains(allowed, text) {
		return fault.Invalid(d.here.String(), "can only be %s here: leave it out", list(allowed))
	}
	return nil
}

// list prints JSON values for a person.
func list(values []string) string {
	text := "null"
	for _, v := range values {
		text += " or " + v
	}
	return text
}
