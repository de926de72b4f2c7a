package wire

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

const hex = "0123456789abcdef"

// AppendString quotes text as JSON. protobuf guarantees that it is UTF-8.
func AppendString(dst []byte, text string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		start = i + 1
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}

// appendFloat prints the shortest number that reads back as f. JSON has no infinity and no NaN.
func appendFloat(dst []byte, f float64, bits int, field protoreflect.FieldDescriptor) ([]byte, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return dst, fmt.Errorf("field %s: %v has no JSON form", field.FullName(), f)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits), nil
}

const (
	timestampName protoreflect.FullName = "google.protobuf.Timestamp"
	durationName  protoreflect.FullName = "google.protobuf.Duration"
)

// specials are the well-known types that are not printed as objects.
var specials = map[protoreflect.FullName]func(e *Encoder, dst []byte, m protoreflect.Message) ([]byte, error){
	timestampName: func(e *Encoder, dst []byte, m protoreflect.Message) ([]byte, error) {
		seconds, nanos := secondsNanos(m)
		return e.rules.Time(dst, time.Unix(seconds, nanos)), nil
	},
	durationName: func(_ *Encoder, dst []byte, m protoreflect.Message) ([]byte, error) {
		seconds, nanos := secondsNanos(m)
		sign := ""
		if seconds < 0 || nanos < 0 {
			sign, seconds, nanos = "-", -seconds, -nanos
		}
		return fmt.Appendf(dst, `"%s%d.%09ds"`, sign, seconds, nanos), nil
	},
}

func secondsNanos(m protoreflect.Message) (seconds, nanos int64) {
	fields := m.Descriptor().Fields()
	return m.Get(fields.ByNumber(1)).Int(), m.Get(fields.ByNumber(2)).Int()
}
