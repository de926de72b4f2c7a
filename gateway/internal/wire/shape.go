package wire

import (
	"encoding/json"
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

// shaped reads a member that only the other shape has; ok is false when it is none.
func (d *decoder) shaped(m protoreflect.Message, name, path string, seen []spelling) (ok bool, err error) {
	message, at := m.Descriptor().FullName(), join(path, name)
	if slices.Contains(d.request.Shape.Inline[message], name) {
		switch t := d.next(); t {
		case nil:
			return true, nil
		case json.Delim('{'):
			return true, d.members(m, at, seen)
		default:
			return true, fault.Invalid(at, "must be an object, got %s", describe(t))
		}
	}
	allowed, ok := d.request.Shape.Fixed[message][name]
	if !ok {
		return false, nil
	}
	if text := d.raw(); text != "null" && !slices.Contains(allowed, text) {
		return true, fault.Invalid(at, "can only be %s here: leave it out", list(allowed))
	}
	return true, nil
}

// list prints JSON values for a person.
func list(values []string) string {
	text := "null"
	for _, v := range values {
		text += " or " + v
	}
	return text
}
