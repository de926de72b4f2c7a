package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// Single says that a text in the place of a list of texts of the top level is its only element.
	Single bool
}

// field returns the top-level field with a name or alias; nil when there is none or it comes from elsewhere.
func (r Request) field(fields protoreflect.FieldDescriptors, name string) protoreflect.FieldDescriptor {
	if slices.Contains(r.Reserved, name) {
		return nil
	}
	if known, ok := r.Aliases[name]; ok {
		name = known
	}
	return find(fields, name)
}

// Sent is what a request said that a message cannot hold: which lists stood in it as [].
type Sent struct {
	root  protoreflect.FullName
	lists map[string]bool
}

// Decode reads a JSON object into m. Errors are faults that name the field: syntax errors, unknown, repeated and reserved
// fields, and values of the wrong type. A null leaves its field alone.
func (r Request) Decode(data []byte, m protoreflect.Message) (*Sent, error) {
	if err := checkSyntax(data); err != nil {
		return nil, err
	}
	d := &decoder{
		request: r, tokens: json.NewDecoder(bytes.NewReader(data)),
		sent: &Sent{root: m.Descriptor().FullName(), lists: map[string]bool{}},
	}
	d.tokens.UseNumber()
	t := d.next()
	if t != json.Delim('{') {
		return nil, fault.Invalid(Body, "must be a JSON object, got %s", describe(t))
	}
	if err := d.message(m, ""); err != nil {
		return nil, err
	}
	return d.sent, nil
}

// checkSyntax makes sure that the tokens of the data can be read without errors.
func checkSyntax(data []byte) error {
	if !utf8.Valid(data) {
		return fault.Invalid(Body, "is not UTF-8")
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return fault.Invalid(Body, "is empty, want a JSON object")
	}
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fault.Invalid(Body, "is not JSON: %s at byte %d", syntax, syntax.Offset)
	}
	if err != nil {
		return fault.Invalid(Body, "is not JSON: %s", err)
	}
	return nil
}

// decoder walks the tokens of one body whose syntax is known to be right.
type decoder struct {
	request Request
	tokens  *json.Decoder
	sent    *Sent
}

func (d *decoder) next() json.Token {
	t, err := d.tokens.Token()
	if err != nil {
		panic("wire: checked JSON cannot be read: " + err.Error())
	}
	return t
}

// message reads the members of an object whose opening brace has been read.
func (d *decoder) message(m protoreflect.Message, path string) error {
	fields := m.Descriptor().Fields()
	seen := map[protoreflect.FieldNumber]bool{}
	for first := true; d.tokens.More(); first = false {
		name := d.next().(string)
		at := join(path, name)
		if path == "" && first && slices.Contains(d.request.Wrappers, name) {
			return d.wrapped(m, name)
		}
		field := d.find(fields, name, path)
		if field == nil {
			return fault.Invalid(join(path, clip(name)), "there is no such field")
		}
		if seen[field.Number()] {
			return fault.Invalid(at, "is given twice%s", otherwise(field, name))
		}
		seen[field.Number()] = true
		if err := d.field(m, field, at); err != nil {
			return err
		}
	}
	d.next()
	return nil
}

func (d *decoder) find(fields protoreflect.FieldDescriptors, name, path string) protoreflect.FieldDescriptor {
	if path == "" {
		return d.request.field(fields, name)
	}
	return find(fields, name)
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
	if d.tokens.More() {
		return fault.Invalid(clip(d.next().(string)), "nothing may stand beside %s", name)
	}
	return nil
}

func (d *decoder) field(m protoreflect.Message, field protoreflect.FieldDescriptor, at string) error {
	t := d.next()
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
	for i := 0; d.tokens.More(); i++ {
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
	for d.tokens.More() {
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

// find returns the field with a JSON name.
func find(fields protoreflect.FieldDescriptors, name string) protoreflect.FieldDescriptor {
	if field := fields.ByName(protoreflect.Name(name)); field != nil && Name(field) == name {
		return field
	}
	if field := fields.ByJSONName(name); field != nil && Name(field) == name {
		return field
	}
	return nil
}

// describe names a value that stands where another was wanted. It does not repeat texts: they may be secrets.
func describe(t json.Token) string {
	switch t := t.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "text"
	case json.Number:
		return "the number " + clip(t.String())
	case json.Delim:
		if t == '[' {
			return "an array"
		}
	}
	return "an object"
}

// longestShown bounds what an error repeats of a request.
const longestShown = 40

func clip(text string) string {
	if len(text) <= longestShown {
		return text
	}
	return strings.ToValidUTF8(text[:longestShown], "") + "..."
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
