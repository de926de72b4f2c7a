package wire

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// decoder walks the tokens of one body whose syntax is known to be right.
type decoder struct {
	tokens

	request Request
	sent    *Sent
	mask    protoreflect.FieldDescriptor // of the top level, to be filled; nil when there is none
	here    path                         // what is being read
	known   map[memberName]found         // what was found before: the elements of a list have the same members
}

func (r Request) decoder(data []byte) *decoder {
	return &decoder{request: r, tokens: tokens{data: string(data)}, sent: &Sent{lists: map[string]bool{}}, known: map[memberName]found{}}
}

// memberName is the name of a member, and where it stands.
type memberName struct {
	of   protoreflect.MessageDescriptor
	name string
	top  bool // in the body itself
}

// found is the field that a member is, nil for none, and how its name spells that.
type found struct {
	field   protoreflect.FieldDescriptor
	spelled spelling
}

// spelling is by which name a body gave a field.
type spelling uint8

const (
	absent    spelling = iota
	mirrored           // by the second name, which the first overrules
	canonical          // by its own name or an alias
)

// message reads the members of an object whose opening brace has been read.
func (d *decoder) message(m protoreflect.Message) error {
	return d.members(m, make([]spelling, m.Descriptor().Fields().Len()))
}

// members reads members of a message, of which some may have been seen: how each of its fields was, by index.
func (d *decoder) members(m protoreflect.Message, seen []spelling) error {
	isTop := len(d.here) == 0
	for first := true; d.more(); first = false {
		name := d.next().text
		if isTop && first && slices.Contains(d.request.Wrappers, name) {
			return d.wrapped(m, name)
		}
		d.here.member(name)
		if err := d.member(m, d.find(memberName{m.Descriptor(), name, isTop}), seen); err != nil {
			return err
		}
		d.here.back()
	}
	d.next()
	return nil
}

// member reads a member behind its name.
func (d *decoder) member(m protoreflect.Message, is found, seen []spelling) error {
	if is.field == nil {
		return d.shaped(m, seen)
	}
	switch before := seen[is.field.Index()]; {
	case before == canonical && is.spelled == mirrored:
		d.raw()
		return nil
	case before == mirrored && is.spelled == canonical:
		m.Clear(is.field)
	case before != absent:
		return fault.Invalid(d.here.String(), "is given twice%s", otherwise(is.field, d.here.last()))
	}
	seen[is.field.Index()] = is.spelled
	t := d.next()
	if len(d.here) == 1 {
		switch {
		case d.mask != nil:
			appendPath(m.Mutable(d.mask).Message(), string(is.field.Name()))
		case t.kind == nullKind && d.request.Partial:
			return fault.Invalid(d.here.String(), "must not be null: leave it out to leave it as it is").Chinese("不能为 null：不修改时请省略")
		}
	}
	return d.field(m, is.field, t)
}

// find returns what a member is.
func (d *decoder) find(name memberName) found {
	is, before := d.known[name]
	if !before {
		is.field, is.spelled = d.request.find(name)
		d.known[name] = is
	}
	return is
}

func (r Request) find(m memberName) (protoreflect.FieldDescriptor, spelling) {
	fields, message := m.of.Fields(), m.of.FullName()
	if field := r.Mirrors.field(fields, m.name); field != nil {
		return field, mirrored
	}
	if known, ok := r.Names[message][m.name]; ok {
		return find(fields, known), canonical
	}
	if known, ok := r.Shape.Names[message][m.name]; ok {
		return find(fields, known), canonical
	}
	if m.top {
		return r.field(fields, m.name), canonical
	}
	return find(fields, m.name), canonical
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
	if t.kind != '{' {
		return fault.Invalid(name, "must be an object, got %s", describe(t))
	}
	d.request.Wrappers = nil
	if err := d.message(m); err != nil {
		return err
	}
	if d.more() {
		return fault.Invalid(clip(d.next().text), "nothing may stand beside %s", name)
	}
	return nil
}

func (d *decoder) field(m protoreflect.Message, field protoreflect.FieldDescriptor, t token) error {
	switch {
	case t.kind == nullKind:
		return nil
	case field.IsList():
		if t.kind == textKind && d.request.Single && field.Kind() == protoreflect.StringKind && len(d.here) == 1 {
			m.Mutable(field).List().Append(protoreflect.ValueOfString(t.text))
			return nil
		}
		if t.kind != '[' {
			return fault.Invalid(d.here.String(), "must be an array, got %s", describe(t))
		}
		return d.list(m.Mutable(field).List(), field)
	case field.IsMap():
		if t.kind != '{' {
			return fault.Invalid(d.here.String(), "must be an object, got %s", describe(t))
		}
		return d.mapping(m.Mutable(field).Map(), field)
	}
	v, err := d.value(t, field, func() protoreflect.Value { return m.NewField(field) })
	if err != nil {
		return err
	}
	if oneof := field.ContainingOneof(); oneof != nil && m.WhichOneof(oneof) != nil {
		return fault.Invalid(d.here.String(), "excludes %s", Name(m.WhichOneof(oneof)))
	}
	m.Set(field, v)
	return nil
}

func (d *decoder) list(list protoreflect.List, field protoreflect.FieldDescriptor) error {
	for i := 0; d.more(); i++ {
		d.here.element(i)
		v, err := d.value(d.next(), field, list.NewElement)
		if err != nil {
			return err
		}
		list.Append(v)
		d.here.back()
	}
	d.next()
	if list.Len() == 0 {
		d.sent.lists[d.here.String()] = true
	}
	return nil
}

func (d *decoder) mapping(m protoreflect.Map, field protoreflect.FieldDescriptor) error {
	for d.more() {
		name := d.next().text
		d.here.member(name)
		key, err := parseText(name, field.MapKey(), d.here)
		if err != nil {
			return err
		}
		if m.Has(key.MapKey()) {
			return fault.Invalid(d.here.String(), "is given twice")
		}
		v, err := d.value(d.next(), field.MapValue(), m.NewValue)
		if err != nil {
			return err
		}
		m.Set(key.MapKey(), v)
		d.here.back()
	}
	d.next()
	return nil
}

// value reads a single value whose first token is t.
func (d *decoder) value(t token, field protoreflect.FieldDescriptor, empty func() protoreflect.Value) (protoreflect.Value, error) {
	if field.Message() == nil {
		return scalar(t, field, d.here)
	}
	v := empty()
	if specials[field.Message().FullName()] != nil {
		return v, parseSpecial(t, v.Message(), d.here)
	}
	if t.kind != '{' {
		return v, fault.Invalid(d.here.String(), "must be an object, got %s", describe(t))
	}
	return v, d.message(v.Message())
}
