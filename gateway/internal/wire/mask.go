package wire

import "google.golang.org/protobuf/reflect/protoreflect"

const maskName protoreflect.FullName = "google.protobuf.FieldMask"

// IsMask reports whether a field is a field mask, which says what a change is about (AIP-134). It is not part of a body: the
// names of the body's members are what it says.
func IsMask(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && field.Message().FullName() == maskName && !field.IsList()
}

// Mask returns the field mask of a message; nil when it has none.
func Mask(message protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	for i := range message.Fields().Len() {
		if field := message.Fields().Get(i); IsMask(field) {
			return field
		}
	}
	return nil
}

// appendPath adds a field to a mask, unless it is in there: a body may name a field and its mirror.
func appendPath(mask protoreflect.Message, path string) {
	paths := mask.Mutable(mask.Descriptor().Fields().ByName("paths")).List()
	for i := range paths.Len() {
		if paths.Get(i).String() == path {
			return
		}
	}
	paths.Append(protoreflect.ValueOfString(path))
}
