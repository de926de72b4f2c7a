package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Body is what errors call the request body itself.
const Body = "body"

// Request says how a request body becomes a message.
type Request struct {
	Wrappers []string // member names under which the whole object may stand alone
	Reserved []string // top-level fields that come from elsewhere, for instance the path
	// Aliases are second names of top-level fields, each with the name it stands for.
	Aliases map[string]string
	Names   Names   // second names at any depth
	Mirrors Mirrors // fields that have two names
	Shape   Shape   // another shape that the body may have
	// Single says that a text in the place of a list of texts of the top level is its only element, and so is an object in the
	// place of a body that is a list.
	Single bool
	// Partial says that the body changes what it names and leaves the rest. A null then means "none", which a message can only say
	// with a field mask; without one it is refused.
	Partial bool
}

// field returns the top-level field with a name or alias; nil when there is none or it comes from elsewhere.
func (r Request) field(fields protoreflect.FieldDescriptors, name string) protoreflect.FieldDescriptor {
	if known, ok := r.Aliases[name]; ok {
		name = known
	}
	if slices.Contains(r.Reserved, name) {
		return nil
	}
	field := find(fields, name)
	if field != nil && IsMask(field) {
		return nil
	}
	return field
}

// Sent is what a request said that a message cannot hold: which lists stood in it as [].
type Sent struct {
	root  protoreflect.FullName
	lists map[string]bool
}

// Decode reads a JSON object into m. Errors are faults that name the field: syntax errors, unknown, repeated and reserved
// fields, and values of the wrong type. A null leaves its field alone. A field mask of m gets the names of the fields that the body
// has, those that are null included.
func (r Request) Decode(data []byte, m protoreflect.Message) (*Sent, error) {
	if err := checkSyntax(data, "object"); err != nil {
		return nil, err
	}
	d := r.decoder(data)
	d.sent.root, d.mask = m.Descriptor().FullName(), Mask(m.Descriptor())
	t := d.next()
	if t.kind != '{' {
		return nil, fault.Invalid(Body, "must be a JSON object, got %s", describe(t))
	}
	if err := d.message(m); err != nil {
		return nil, err
	}
	return d.sent, nil
}

// DecodeList reads a JSON array into a list of messages of m. An empty one is refused: it would change nothing.
func (r Request) DecodeList(data []byte, m protoreflect.Message, field protoreflect.FieldDescriptor) error {
	if err := checkSyntax(data, "array"); err != nil {
		return err
	}
	d := r.decoder(data)
	list := m.Mutable(field).List()
	switch t := d.next(); {
	case t.kind == '[':
		if err := d.list(list, field); err != nil {
			return err
		}
	case t.kind == '{' && r.Single:
		element := list.NewElement()
		d.here.element(0)
		if err := d.message(element.Message()); err != nil {
			return err
		}
		list.Append(element)
	default:
		return fault.Invalid(Body, "must be a JSON array, got %s", describe(t))
	}
	if list.Len() == 0 {
		return fault.Invalid(Body, "must not be an empty array").Chinese("不能是空数组")
	}
	return nil
}

// checkSyntax makes sure that the tokens of the data can be read without errors.
func checkSyntax(data []byte, wanted string) error {
	if !utf8.Valid(data) {
		return fault.Invalid(Body, "is not UTF-8")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return fault.Invalid(Body, "is empty, want a JSON %s", wanted)
	}
	if json.Valid(data) {
		return nil
	}
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fault.Invalid(Body, "is not JSON: %s at byte %d", syntax, syntax.Offset)
	}
	return fault.Invalid(Body, "is not JSON: %v", err)
}
