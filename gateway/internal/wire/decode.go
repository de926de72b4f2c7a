package wire

import (
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// decoder walks the tokens of one body whose syntax is known to be right.
type decoder struct {
	tokens

	request Request
	sent    *Sent
	mask    protoreflect.FieldDescriptor // of the top level, to be filled; nil when there is none
}

func (r Request) decoder(data []byte) *decoder {
	return &decoder{request: r, tokens: tokens{data: data}, sent: &Sent{lists: map[string]bool{}}}
}

// spelling is by which name a body gave a field.
type spelling uint8

const (
	absent    spelling = iota
	mirrored           // by the second name, which the first overrules
	canonical          // by its own name or an alias
)

// message reads the members of an object whose opening brace has been read.
func (d *decoder) message(m protoreflect.Message, path string) error {
	return d.members(m, path, make([]spelling, m.Descriptor().Fields().Len()))
}

// members reads members of a message, of which some may have been seen: how each of its fields was, by index.
func (d *decoder) members(m protoreflect.Message, path string, seen []spelling) error {
	for first := true; d.more(); first = false {
		name := d.next().(string)
		at := join(path, name)
		if path == "" && first && slices.Contains(d.request.Wrappers, name) {
			return d.wrapped(m, name)
		}
		field, spelled := d.find(m.Descriptor(), name, path)
		if field == nil {
			if ok, err := d.shaped(m, name, path, seen); ok && err == nil {
				continue
			} else if err != nil {
				return err
			}
			return fault.Invalid(join(path, clip(name)), "there is no such field")
		}
		switch before := seen[field.Index()]; {
		case before == canonical && spelled == mirrored:
			d.raw()
			continue
		case before == mirrored && spelled == canonical:
			m.Clear(field)
		case before != absent:
			return fault.Invalid(at, "is given twice%s", otherwise(field, name))
		}
		seen[field.Index()] = spelled
		if err := d.member(m, field, at, path == ""); err != nil {
			return err
		}
	}
	d.next()
	return nil
}

// member reads the value of a field, and remembers a field of the top level in the mask.
func (d *decoder) member(m protoreflect.Message, field protoreflect.FieldDescriptor, at string, isTop bool) error {
	t := d.next()
	if isTop {
		switch {
		case d.mask != nil:
			appendPath(m.Mutable(d.mask).Message(), string(field.Name()))
		case t == nil && d.request.Partial:
			return fault.Invalid(at, "must not be null: leave it out to leave it as it is").Chinese("不能为 null：不修改时请省略")
		}
	}
	return d.field(m, field, t, at)
}

// find returns the field with a name, and how that name spells it.
func (d *decoder) find(message protoreflect.MessageDescriptor, name, path string) (protoreflect.FieldDescriptor, spelling) {
	fields := message.Fields()
	if field := d.request.Mirrors.field(fields, name); field != nil {
		return field, mirrored
	}
	if known, ok := d.request.Names[message.FullName()][name]; ok {
		return find(fields, known), canonical
	}
	if known, ok := d.request.Shape.Names[message.FullName()][name]; ok {
		return find(fields, known), canonical
	}
	if path == "" {
		return d.request.field(fields, name), canonical
	}
	return find(fields, name), canonical
}

// otherwise says which field a name is an alias of.
func otherwise(field protoreflect.FieldDescriptor, name string) string {
	if Name(field) == name {
		return ""
	}
	return ": it is another name of " + Name(field)
}

// wrapped reads an object that stands alone under one name.
func (d *decoder) wrapped(m protoreflect.Message, name string) error {
	t := d.next()
	if t != json.Delim('{') {
		return fault.Invalid(name, "must be an object, got %s", describe(t))
	}
	d.request.Wrappers = nil
	if err := d.message(m, ""); err != nil {
		return err
	}
	if d.more() {
		return fault.Invalid(clip(d.next().(string)), "nothing may stand beside %s", name)
	}
	return nil
}

func (d *decoder) field(m protoreflect.Message, field protoreflect.FieldDescriptor, t json.Token, at string) error {
	switch {
	case t == nil:
		return nil
	case field.IsList():
		if text, ok := t.(string); ok && d.request.Single && field.Kind() == protoreflect.StringKind && !strings.Contains(at, ".") {
			m.Mutable(field).List().Append(protoreflect.ValueOfString(text))
			return nil
		}
		if t != json.Delim('[') {
			return fault.Invalid(at, "must be an array, got %s", describe(t))
		}
		return d.list(m.Mutable(field).List(), field, at)
	case field.IsMap():
		if t != json.Delim('{') {
			return fault.Invalid(at, "must be an object, got %s", describe(t))
		}
		return d.mapping(m.Mutable(field).Map(), field, at)
	}
	v, err := d.value(t, field, func() protoreflect.Value { return m.NewField(field) }, at)
	if err != nil {
		return err
	}
	if oneof := field.ContainingOneof(); oneof != nil && m.WhichOneof(oneof) != nil {
		return fault.Invalid(at, "excludes %s", Name(m.WhichOneof(oneof)))
	}
	m.Set(field, v)
	return nil
}

func (d *decoder) list(list protoreflect.List, field protoreflect.FieldDescriptor, at string) error {
	for i := 0; d.more(); i++ {
		v, err := d.value(d.next(), field, list.NewElement, index(at, i))
		if err != nil {
			return err
		}
		list.Append(v)
	}
	d.next()
	if list.Len() == 0 {
		d.sent.lists[at] = true
	}
	return nil
}

func (d *decoder) mapping(m protoreflect.Map, field protoreflect.FieldDescriptor, at string) error {
	for d.more() {
		name := d.next().(string)
		key, err := parseText(name, field.MapKey(), join(at, name))
		if err != nil {
			return err
		}
		if m.Has(key.MapKey()) {
			return fault.Invalid(join(at, name), "is given twice")
		}
		v, err := d.value(d.next(), field.MapValue(), m.NewValue, join(at, name))
		if err != nil {
			return err
		}
		m.Set(key.MapKey(), v)
	}
	d.next()
	return nil
}

// value reads a single value whose first token is t.
func (d *decoder) value(t json.Token, field protoreflect.FieldDescriptor, empty func() protoreflect.Value, at string) (protoreflect.Value, error) {
	if field.Message() == nil {
		return scalar(t, field, at)
	}
	v := empty()
	if specials[field.Message().FullName()] != nil {
		return v, parseSpecial(t, v.Message(), at)
	}
	if t != json.Delim('{') {
		return v, fault.Invalid(at, "must be an object, got %s", describe(t))
	}
	return v, d.message(v.Message(), at)
}
