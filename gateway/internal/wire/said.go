package wire

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// find returns the field with a JSON name.
func find(fields protoreflect.FieldDescriptors, name string) protoreflect.FieldDescriptor {
	if field := fields.ByName(protoreflect.Name(name)); field != nil && (field.JSONName() == name || Name(field) == name) {
		return field
	}
	if field := fields.ByJSONName(name); field != nil && Name(field) == name {
		return field
	}
	return nil
}

// describe names a value that stands where another was wanted. It does not repeat texts: they may be secrets.
func describe(t token) string {
	switch t.kind {
	case nullKind:
		return "null"
	case trueKind, falseKind:
		return "a boolean"
	case textKind:
		return "text"
	case numberKind:
		return "the number " + clip(t.text)
	case '[':
		return "an array"
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

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
