package wire

import (
	"encoding/base64"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// DecodeValues reads the values of a query or form, whose fields are all scalars of the top level. kind is what errors call a
// value: "query parameter" or "form field".
func (r Request) DecodeValues(values url.Values, kind string, m protoreflect.Message) error {
	fields := m.Descriptor().Fields()
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names) // the same request always gets the same error
	seen := map[protoreflect.FieldNumber]bool{}
	for _, name := range names {
		field := r.field(fields, name)
		if field == nil || field.Message() != nil && !IsTime(field) {
			return fault.Invalid(clip(strings.ToValidUTF8(name, "?")), "there is no such %s", kind)
		}
		if seen[field.Number()] {
			return fault.Invalid(name, "is given twice%s", otherwise(field, name))
		}
		seen[field.Number()] = true
		at := path{{name, none}}
		if field.IsList() {
			if err := parseList(m.Mutable(field).List(), values[name], field, at); err != nil {
				return err
			}
			continue
		}
		if len(values[name]) > 1 {
			return fault.Invalid(name, "is given %d times", len(values[name]))
		}
		if IsTime(field) {
			if err := parseSpecial(token{textKind, values[name][0]}, m.Mutable(field).Message(), at); err != nil {
				return err
			}
			continue
		}
		v, err := parseText(values[name][0], field, at)
		if err != nil {
			return err
		}
		m.Set(field, v)
	}
	return nil
}

// IsTime reports whether a field is a time, the one message that can stand in a query.
func IsTime(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && field.Message().FullName() == timestampName && !field.IsList()
}

func parseList(list protoreflect.List, texts []string, field protoreflect.FieldDescriptor, at path) error {
	for i, text := range texts {
		at.element(i)
		v, err := parseText(text, field, at)
		if err != nil {
			return err
		}
		list.Append(v)
		at.back()
	}
	return nil
}

// parseText reads a scalar that came as text: from a query, a form or as the key of a map.
func parseText(text string, field protoreflect.FieldDescriptor, at path) (protoreflect.Value, error) {
	switch field.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.EnumKind:
		return textual(text, field, at)
	case protoreflect.BoolKind:
		switch text {
		case "true", "false":
			return protoreflect.ValueOfBool(text == "true"), nil
		}
		return protoreflect.Value{}, fault.Invalid(at.String(), "must be true or false, got %q", clip(text))
	}
	v, ok := number(text, field)
	if !ok {
		return v, fault.Invalid(at.String(), "must be %s, got %q", numberName(field), clip(text))
	}
	return v, nil
}

// scalar reads a scalar from its JSON token. The values of texts are not repeated in errors: they may be secrets.
func scalar(t token, field protoreflect.FieldDescriptor, at path) (protoreflect.Value, error) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		if t.kind == trueKind || t.kind == falseKind {
			return protoreflect.ValueOfBool(t.kind == trueKind), nil
		}
		return protoreflect.Value{}, fault.Invalid(at.String(), "must be true or false, got %s", describe(t))
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.EnumKind:
		if t.kind != textKind {
			return protoreflect.Value{}, fault.Invalid(at.String(), "must be text, got %s", describe(t))
		}
		return textual(t.text, field, at)
	}
	if v, ok := number(t.text, field); ok && t.kind == numberKind {
		return v, nil
	}
	got := describe(t)
	switch t.kind {
	case numberKind:
		got = clip(t.text)
	case textKind:
		got = strconv.Quote(clip(t.text))
	}
	return protoreflect.Value{}, fault.Invalid(at.String(), "must be %s, got %s", numberName(field), got)
}

func textual(text string, field protoreflect.FieldDescriptor, at path) (protoreflect.Value, error) {
	switch field.Kind() {
	case protoreflect.BytesKind:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return protoreflect.Value{}, fault.Invalid(at.String(), "must be base64")
		}
		return protoreflect.ValueOfBytes(b), nil
	case protoreflect.EnumKind:
		value := field.Enum().Values().ByName(protoreflect.Name(text))
		if value == nil {
			return protoreflect.Value{}, fault.Invalid(at.String(), "must be one of the documented words, got %q", clip(text))
		}
		return protoreflect.ValueOfEnum(value.Number()), nil
	}
	if !utf8.ValidString(text) {
		return protoreflect.Value{}, fault.Invalid(at.String(), "is not UTF-8")
	}
	if strings.ContainsRune(text, 0) {
		return protoreflect.Value{}, fault.Invalid(at.String(), "must not contain the character U+0000")
	}
	return protoreflect.ValueOfString(text), nil
}

// number reads a number; ok is false when it is none that the field can hold.
func number(text string, field protoreflect.FieldDescriptor) (v protoreflect.Value, ok bool) {
	if strings.HasPrefix(text, "+") {
		return v, false
	}
	switch field.Kind() {
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(text, "xX_") {
			return v, false
		}
		if field.Kind() == protoreflect.FloatKind {
			return protoreflect.ValueOfFloat32(float32(f)), true
		}
		return protoreflect.ValueOfFloat64(f), true
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, err := strconv.ParseUint(text, 10, 32)
		return protoreflect.ValueOfUint32(uint32(n)), err == nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		n, err := strconv.ParseUint(text, 10, 64)
		return protoreflect.ValueOfUint64(n), err == nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		n, err := strconv.ParseInt(text, 10, 32)
		return protoreflect.ValueOfInt32(int32(n)), err == nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return protoreflect.ValueOfInt64(n), err == nil
}

func numberName(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "a number"
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return "a whole number from 0 to 4294967295"
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return "a whole number from 0 to 18446744073709551615"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return "a whole number within 32 bits"
	}
	return "a whole number within 64 bits"
}

// parseSpecial reads a Timestamp from RFC 3339 and a Duration from seconds with an s behind them.
func parseSpecial(t token, m protoreflect.Message, at path) error {
	if t.kind != textKind {
		return fault.Invalid(at.String(), "must be text, got %s", describe(t))
	}
	var seconds, nanos int64
	if m.Descriptor().FullName() == timestampName {
		when, err := time.Parse(time.RFC3339, t.text)
		if err != nil {
			return fault.Invalid(at.String(), "must be a time like 2006-01-02T15:04:05Z")
		}
		seconds, nanos = when.Unix(), int64(when.Nanosecond())
	} else {
		length, err := time.ParseDuration(t.text)
		if err != nil || !strings.HasSuffix(t.text, "s") {
			return fault.Invalid(at.String(), "must be a time span like 1.5s")
		}
		seconds, nanos = int64(length/time.Second), int64(length%time.Second)
	}
	fields := m.Descriptor().Fields()
	m.Set(fields.ByNumber(1), protoreflect.ValueOfInt64(seconds))
	m.Set(fields.ByNumber(2), protoreflect.ValueOfInt32(int32(nanos))) // below 1e9 either way
	return nil
}
