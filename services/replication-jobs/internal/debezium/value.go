package debezium

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

var (
	errValue   = errors.New("a value of an unexpected form")
	errText    = errors.New("text that is no UTF-8")
	errTooHigh = errors.New("a value above 9223372036854775807, which int64 does not hold: set kafka_bigint_unsigned to precise")
)

// append writes a value of the log, or of a SELECT that gives the same forms: numbers, []byte or string, nil for NULL.
func (c *Column) append(dst []byte, v any) ([]byte, error) {
	if v == nil {
		return append(dst, "null"...), nil
	}
	dst, err := c.appendValue(dst, v)
	if err != nil {
		return dst, fmt.Errorf("column %s holds %w", c.name, err)
	}
	return dst, nil
}

func (c *Column) appendValue(dst []byte, v any) ([]byte, error) {
	switch c.kind {
	case kindInt16, kindInt32, kindInt64, kindYear:
		return appendInt(dst, v)
	case kindUnsigned:
		if n, ok := v.(uint64); ok && n > math.MaxInt64 {
			return dst, errTooHigh
		}
		return appendInt(dst, v)
	case kindUnsignedPrecise:
		return appendDecimal(dst, fmt.Sprint(v), 0)
	case kindFloat:
		return appendFloat(dst, v, 32)
	case kindDouble:
		return appendFloat(dst, v, 64)
	case kindBoolean, kindBits:
		return c.appendBits(dst, v)
	case kindEnum, kindSet:
		return c.appendMembers(dst, v)
	case kindBytes:
		return c.appendBytes(dst, v)
	case kindText, kindJSON:
		return c.appendText(dst, v)
	case kindGeometry, kindPoint:
		return c.appendGeometry(dst, v)
	}
	s, ok := text(v)
	if !ok {
		return dst, errValue
	}
	switch c.kind {
	case kindDecimal:
		return appendDecimal(dst, s, c.scale)
	case kindDecimalString:
		return appendQuoted(dst, s), nil
	}
	return c.appendTime(dst, s)
}

// text returns a value that is a string or bytes.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}

func appendInt(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case int8:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int16:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case uint8:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case uint16:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case uint32:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case uint64:
		return strconv.AppendUint(dst, v, 10), nil
	}
	return dst, errValue
}

func appendFloat(dst []byte, v any, bits int) ([]byte, error) {
	switch v := v.(type) {
	case float32:
		return strconv.AppendFloat(dst, float64(v), 'g', -1, bits), nil
	case float64:
		return strconv.AppendFloat(dst, v, 'g', -1, bits), nil
	}
	return dst, errValue
}

// bits reads the value of a BIT, a SET or an ENUM: the log has numbers, a SELECT of a BIT has bytes, the highest first.
func bits(v any) (uint64, bool) {
	switch v := v.(type) {
	case int64:
		return uint64(v), true
	case uint64:
		return v, true
	case []byte:
		var b [8]byte
		if len(v) > len(b) {
			return 0, false
		}
		copy(b[len(b)-len(v):], v)
		return binary.BigEndian.Uint64(b[:]), true
	}
	return 0, false
}

// appendBits writes a BIT(1) as a boolean, others as bytes, the lowest first.
func (c *Column) appendBits(dst []byte, v any) ([]byte, error) {
	n, ok := bits(v)
	if !ok {
		return dst, errValue
	}
	if c.kind == kindBoolean {
		return strconv.AppendBool(dst, n != 0), nil
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return appendBase64(dst, b[:min((c.length+7)/8, len(b))]), nil
}

// appendMembers writes the names of an ENUM's or SET's members. The number 0 is the empty value of an ENUM that a lenient session stores.
func (c *Column) appendMembers(dst []byte, v any) ([]byte, error) {
	n, ok := bits(v)
	if !ok || c.kind == kindEnum && n > uint64(len(c.members)) {
		return dst, errValue
	}
	if c.kind == kindEnum {
		if n == 0 {
			return append(dst, `""`...), nil
		}
		return appendQuoted(dst, c.members[n-1]), nil
	}
	var all []byte
	for i, member := range c.members {
		if n&(1<<i) == 0 {
			continue
		}
		if len(all) > 0 {
			all = append(all, ',')
		}
		all = append(all, member...)
	}
	return appendQuoted(dst, all), nil
}

func (c *Column) appendBytes(dst []byte, v any) ([]byte, error) {
	b, ok := v.([]byte)
	if s, isText := v.(string); isText {
		b, ok = []byte(s), true
	}
	if !ok {
		return dst, errValue
	}
	if n := c.length - len(b); n > 0 {
		b = append(append(make([]byte, 0, c.length), b...), make([]byte, n)...)
	}
	return appendBase64(dst, b), nil
}

func (c *Column) appendText(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		if c.decode == nil && utf8.ValidString(v) {
			return appendQuoted(dst, v), nil
		}
		return c.appendDecoded(dst, []byte(v))
	case []byte:
		if c.kind == kindJSON && len(v) == 0 { // what IGNORE stores in place of a NULL
			return append(dst, `"null"`...), nil
		}
		if c.decode == nil && utf8.Valid(v) {
			return appendQuoted(dst, v), nil
		}
		return c.appendDecoded(dst, v)
	}
	return dst, errValue
}

func (c *Column) appendDecoded(dst, v []byte) ([]byte, error) {
	if c.decode == nil {
		return dst, errText
	}
	decoded, err := c.decode(nil, v)
	if err != nil {
		return dst, fmt.Errorf("text: %w", err)
	}
	return appendQuoted(dst, decoded), nil
}

const (
	sridLength = 4
	// pointLength is that of a point: SRID, byte order, type, and two coordinates.
	pointLength = sridLength + 1 + 4 + 8 + 8
)

// appendGeometry takes the servers' own form apart: the SRID, which is null when it is 0, and the value as well-known binary.
func (c *Column) appendGeometry(dst []byte, v any) ([]byte, error) {
	s, ok := text(v)
	if !ok || len(s) < sridLength {
		return dst, errValue
	}
	b := []byte(s)
	srid, wkb := binary.LittleEndian.Uint32(b), b[sridLength:]
	dst = append(dst, '{')
	if c.kind == kindPoint {
		if len(b) != pointLength {
			return dst, errValue
		}
		dst = append(dst, `"x":`...)
		dst = strconv.AppendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(b[pointLength-16:])), 'g', -1, 64)
		dst = append(dst, `,"y":`...)
		dst = strconv.AppendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(b[pointLength-8:])), 'g', -1, 64)
		dst = append(dst, ',')
	}
	dst = append(dst, `"wkb":`...)
	dst = appendBase64(dst, wkb)
	dst = append(dst, `,"srid":`...)
	if srid == 0 {
		return append(dst, "null}"...), nil
	}
	return append(strconv.AppendUint(dst, uint64(srid), 10), '}'), nil
}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	return append(base64.StdEncoding.AppendEncode(dst, b), '"')
}

// appendQuoted writes valid UTF-8 as a JSON string.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		b := s[i]
		if b >= ' ' && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}
