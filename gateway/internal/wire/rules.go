// Package wire turns protobuf messages into the JSON of a dialect and back. Unlike protojson it prints int64 as a number, has
// rules for null, [] and left-out members, and says in errors which field was wrong.
package wire

import (
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Fields is a set of fields by full name, for instance "opsdeck.replication.v1.DestTask.node_id".
type Fields map[protoreflect.FullName]bool

// FieldSet returns the set of the named fields of the messages of one package.
func FieldSet(pkg protoreflect.FullName, names ...string) Fields {
	set := make(Fields, len(names))
	for _, name := range names {
		set[protoreflect.FullName(string(pkg)+"."+name)] = true
	}
	return set
}

// Constant is a member that a message has in JSON and not in protobuf.
type Constant struct {
	Name string
	Text string
}

// Rules are the liberties a dialect takes with JSON. Without rules every field is printed: an empty list as [], a message or
// optional field that is not set as null.
type Rules struct {
	Time      func(dst []byte, t time.Time) []byte // how a Timestamp is printed, quotes included; nil: RFC 3339
	Null      Fields                               // lists that are null when empty
	Echo      Fields                               // lists that are null when empty, unless the request had them as []
	Omit      Fields                               // fields that are left out when empty
	Hide      Fields                               // fields that are never printed
	Constants map[protoreflect.FullName][]Constant // members added to a message
	Mirrors   Mirrors                              // fields that have two names
}

// Mirrors are second names of fields, by the full name of the field. An answer has the value under both. A request may use
// either; when it has both, the field's own name wins.
type Mirrors map[protoreflect.FullName]string

// field returns the field that a name is the second name of; nil when it is none.
func (m Mirrors) field(fields protoreflect.FieldDescriptors, name string) protoreflect.FieldDescriptor {
	if len(m) == 0 {
		return nil
	}
	for i := range fields.Len() {
		if second, ok := m[fields.Get(i).FullName()]; ok && second == name {
			return fields.Get(i)
		}
	}
	return nil
}

// Names are second names that requests may use, each with the field it stands for, by the full name of the message.
type Names map[protoreflect.FullName]map[string]string

// Omits reports whether a field is left out when it is empty.
func (r Rules) Omits(field protoreflect.FieldDescriptor) bool {
	return r.Omit[field.FullName()] || field.ContainingOneof() != nil && !field.HasOptionalKeyword()
}

// Nullable reports whether a field that is not left out may be null.
func (r Rules) Nullable(field protoreflect.FieldDescriptor) bool {
	return r.Null[field.FullName()] || r.Echo[field.FullName()] || field.HasPresence()
}

// Name returns the name of a field in JSON: the one in the .proto file, unless that sets another with json_name.
func Name(field protoreflect.FieldDescriptor) string {
	if name := field.JSONName(); name != camelCase(string(field.Name())) {
		return name
	}
	return string(field.Name())
}

// camelCase is the JSON name that protoc gives to a field without json_name.
func camelCase(name string) string {
	var b strings.Builder
	upper := false
	for _, c := range []byte(name) {
		switch {
		case c == '_':
			upper = true
		case upper && 'a' <= c && c <= 'z':
			b.WriteByte(c - 'a' + 'A')
			upper = false
		default:
			b.WriteByte(c)
			upper = false
		}
	}
	return b.String()
}

// Seconds prints a time as RFC 3339 in UTC to the second.
func Seconds(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339)
	return append(dst, '"')
}
