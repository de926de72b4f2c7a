package binlog

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// respell writes the documents of a row as MySQL shows them, so that a row of the log and one that was copied have the same text.
func (r *Rows) respell(values []any) {
	for i, kind := range r.ColumnTypes {
		if kind != gomysql.MYSQL_TYPE_JSON || i >= len(values) {
			continue
		}
		if document, ok := values[i].(string); ok {
			values[i] = shown(document)
		}
	}
}

// shown is a document with a space behind each comma and colon, and numbers as the server writes them. What the parser has escaped beyond control
// characters is written as it is.
func shown(document string) string {
	out := make([]byte, 0, len(document)+len(document)/8)
	text := false
	for i := 0; i < len(document); i++ {
		c := document[i]
		switch {
		case c == '"':
			text = !text
		case !text && (c == '-' || c >= '0' && c <= '9'):
			n := numberLength(document[i:])
			out = appendNumber(out, document[i:i+n])
			i += n - 1
			continue
		case text && c == '\\':
			if r, ok := escaped(document[i:]); ok {
				out = utf8.AppendRune(out, r)
				i += escapeLength - 1
				continue
			}
			out = append(out, c)
			i++
			c = document[i]
		}
		out = append(out, c)
		if !text && (c == ',' || c == ':') {
			out = append(out, ' ')
		}
	}
	return string(out)
}

// numberLength is that of the number at the beginning of a text.
func numberLength(text string) int {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' {
			return i
		}
	}
	return len(text)
}

// plainDigits is how many places before the point, and zeros behind it, MySQL writes of a DOUBLE without an exponent.
const plainDigits = 15

// appendNumber appends a number. The parser has written a DOUBLE in its way; what is written otherwise is an integer or a DECIMAL, and stays.
func appendNumber(dst []byte, text string) []byte {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !strings.ContainsAny(text, ".e") {
		return append(dst, text...)
	}
	parsed := strconv.FormatFloat(v, 'g', -1, 64)
	if v == math.Trunc(v) {
		parsed = strconv.FormatFloat(v, 'f', 1, 64)
	}
	if parsed != text {
		return append(dst, text...)
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'e', -1, 64), "e")
	point, _ := strconv.Atoi(exponent) // it has just been written
	point++                            // 0.digits
	switch {
	case v == 0, point > -plainDigits && point <= plainDigits, point > plainDigits && len(digits)-1 > point:
		if v == math.Trunc(v) {
			return strconv.AppendFloat(dst, v, 'f', 1, 64)
		}
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	case v < 0:
		dst = append(dst, '-')
	}
	return strconv.AppendInt(append(append(dst, digits...), 'e'), int64(point-1), 10)
}

const escapeLength = len(`\u003c`)

// escaped is the character of an escape like \u003c; false for control characters and other escapes.
func escaped(text string) (rune, bool) {
	if len(text) < escapeLength || text[1] != 'u' {
		return 0, false
	}
	var code [2]byte
	if _, err := hex.Decode(code[:], []byte(text[2:escapeLength])); err != nil {
		return 0, false
	}
	r := rune(code[0])<<8 | rune(code[1])
	return r, r >= ' '
}
