package wire

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Encoder prints messages by the rules of one dialect. It works out once per message type what to do with each field.
type Encoder struct {
	rules Rules
	plans sync.Map // protoreflect.FullName to *plan
}

// NewEncoder returns an encoder for a dialect.
func NewEncoder(rules Rules) *Encoder {
	if rules.Time == nil {
		rules.Time = func(dst []byte, t time.Time) []byte {
			return append(t.UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
		}
	}
	return &Encoder{rules: rules}
}

// Rules returns the rules the encoder works by.
func (e *Encoder) Rules() Rules { return e.rules }

// plan is how a message type is printed.
type plan struct {
	fields    []fieldPlan
	constants []byte // members, each followed by a comma
	special   func(e *Encoder, dst []byte, m protoreflect.Message) ([]byte, error)
}

type fieldPlan struct {
	protoreflect.FieldDescriptor
	key   []byte // "name":
	name  string
	empty emptiness
}

// emptiness is what stands for an empty field.
type emptiness int

const (
	emptyValue emptiness = iota // the zero value, [] or {}
	emptyNull
	emptyEcho
	emptyOmit
)

func (e *Encoder) plan(d protoreflect.MessageDescriptor) *plan {
	if p, ok := e.plans.Load(d.FullName()); ok {
		return p.(*plan)
	}
	p := &plan{special: specials[d.FullName()]}
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		if e.rules.Hide[field.FullName()] {
			continue
		}
		p.fields = append(p.fields, e.fieldPlan(field, Name(field)))
		if second, ok := e.rules.Mirrors[field.FullName()]; ok {
			p.fields = append(p.fields, e.fieldPlan(field, second))
		}
	}
	for _, c := range e.rules.Constants[d.FullName()] {
		p.constants = append(AppendString(p.constants, c.Name), ':')
		p.constants = append(AppendString(p.constants, c.Text), ',')
	}
	stored, _ := e.plans.LoadOrStore(d.FullName(), p)
	return stored.(*plan)
}

func (e *Encoder) fieldPlan(field protoreflect.FieldDescriptor, name string) fieldPlan {
	return fieldPlan{FieldDescriptor: field, name: name, key: append(AppendString(nil, name), ':'), empty: e.emptiness(field)}
}

func (e *Encoder) emptiness(field protoreflect.FieldDescriptor) emptiness {
	switch {
	case e.rules.Omits(field):
		return emptyOmit
	case e.rules.Echo[field.FullName()]:
		return emptyEcho
	case e.rules.Nullable(field):
		return emptyNull
	}
	return emptyValue
}

// Append prints a message. sent is what the request said about its lists; nil when nothing is to be echoed.
func (e *Encoder) Append(dst []byte, m protoreflect.Message, sent *Sent) ([]byte, error) {
	p := e.plan(m.Descriptor())
	if p.special != nil {
		return p.special(e, dst, m)
	}
	dst, err := e.members(append(dst, '{'), m, p, place{sent: sent})
	return closeWith(dst, '}'), err
}

// AppendField prints one field of a message, without its name.
func (e *Encoder) AppendField(dst []byte, m protoreflect.Message, field protoreflect.FieldDescriptor) ([]byte, error) {
	return e.field(dst, m.Get(field), field, place{})
}

// AppendMembers prints the members of a message without braces, each followed by a comma, for envelopes that add their own.
func (e *Encoder) AppendMembers(dst []byte, m protoreflect.Message, sent *Sent) ([]byte, error) {
	return e.members(dst, m, e.plan(m.Descriptor()), place{sent: sent})
}

// place is where in an answer the encoder is, as far as that matters for echoing.
type place struct {
	sent *Sent
	path string // from the message that the request was; empty outside it
}

func (p place) enter(d protoreflect.MessageDescriptor) place {
	if p.sent != nil && d.FullName() == p.sent.root {
		p.path = ""
	}
	return p
}

func (p place) member(name string) place {
	if p.sent != nil {
		p.path = join(p.path, name)
	}
	return p
}

func (p place) element(i int) place {
	if p.sent != nil {
		p.path = index(p.path, i)
	}
	return p
}

func (e *Encoder) members(dst []byte, m protoreflect.Message, p *plan, at place) ([]byte, error) {
	at = at.enter(m.Descriptor())
	var err error
	for i := range p.fields {
		field := &p.fields[i]
		if !m.Has(field.FieldDescriptor) {
			dst = e.appendEmpty(dst, m, field, at)
			continue
		}
		dst = append(dst, field.key...)
		if dst, err = e.field(dst, m.Get(field.FieldDescriptor), field.FieldDescriptor, at.member(field.name)); err != nil {
			return dst, err
		}
		dst = append(dst, ',')
	}
	return append(dst, p.constants...), nil
}

// appendEmpty prints what stands for a field that is not set, or has its zero value, or is an empty list.
func (e *Encoder) appendEmpty(dst []byte, m protoreflect.Message, field *fieldPlan, at place) []byte {
	if field.empty == emptyOmit {
		return dst
	}
	dst = append(dst, field.key...)
	switch {
	case field.empty == emptyNull, field.empty == emptyEcho && at.sent != nil && !at.sent.lists[join(at.path, field.name)]:
		dst = append(dst, "null"...)
	case field.IsList():
		dst = append(dst, "[]"...)
	case field.IsMap():
		dst = append(dst, "{}"...)
	default:
		dst, _ = e.scalar(dst, m.Get(field.FieldDescriptor), field.FieldDescriptor) // zero values are finite
	}
	return append(dst, ',')
}

func (e *Encoder) field(dst []byte, v protoreflect.Value, field protoreflect.FieldDescriptor, at place) ([]byte, error) {
	switch {
	case field.IsList():
		return e.list(dst, v.List(), field, at)
	case field.IsMap():
		return e.mapping(dst, v.Map(), field, at)
	}
	return e.value(dst, v, field, at)
}

func (e *Encoder) value(dst []byte, v protoreflect.Value, field protoreflect.FieldDescriptor, at place) ([]byte, error) {
	if field.Message() == nil {
		return e.scalar(dst, v, field)
	}
	p := e.plan(field.Message())
	if p.special != nil {
		return p.special(e, dst, v.Message())
	}
	dst, err := e.members(append(dst, '{'), v.Message(), p, at)
	return closeWith(dst, '}'), err
}

func (e *Encoder) list(dst []byte, list protoreflect.List, field protoreflect.FieldDescriptor, at place) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i := range list.Len() {
		if dst, err = e.value(dst, list.Get(i), field, at.element(i)); err != nil {
			return dst, err
		}
		dst = append(dst, ',')
	}
	return closeWith(dst, ']'), nil
}

// mapping prints a map with its keys in order, so that equal messages are equal text.
func (e *Encoder) mapping(dst []byte, m protoreflect.Map, field protoreflect.FieldDescriptor, at place) ([]byte, error) {
	keys := make([]string, 0, m.Len())
	values := make(map[string]protoreflect.Value, m.Len())
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		keys = append(keys, k.String())
		values[k.String()] = v
		return true
	})
	slices.Sort(keys)
	dst = append(dst, '{')
	var err error
	for _, key := range keys {
		dst = append(AppendString(dst, key), ':')
		if dst, err = e.value(dst, values[key], field.MapValue(), at.member(key)); err != nil {
			return dst, err
		}
		dst = append(dst, ',')
	}
	return closeWith(dst, '}'), nil
}

func (e *Encoder) scalar(dst []byte, v protoreflect.Value, field protoreflect.FieldDescriptor) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.Bool()), nil
	case protoreflect.StringKind:
		return AppendString(dst, v.String()), nil
	case protoreflect.BytesKind:
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes())
		return append(dst, '"'), nil
	case protoreflect.EnumKind:
		if value := field.Enum().Values().ByNumber(v.Enum()); value != nil {
			return AppendString(dst, string(value.Name())), nil
		}
		return strconv.AppendInt(dst, int64(v.Enum()), 10), nil
	case protoreflect.FloatKind:
		return appendFloat(dst, v.Float(), 32, field)
	case protoreflect.DoubleKind:
		return appendFloat(dst, v.Float(), 64, field)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(dst, v.Uint(), 10), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	}
	return dst, fmt.Errorf("field %s: kind %s has no JSON form", field.FullName(), field.Kind())
}

// closeWith replaces the comma behind the last member, if there is one, by the closing bracket.
func closeWith(dst []byte, bracket byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst[len(dst)-1] = bracket
		return dst
	}
	return append(dst, bracket)
}
