// Package charset turns the bytes of text columns into UTF-8.
package charset

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// Decoder appends text, given in a character set, to dst in UTF-8.
type Decoder func(dst, text []byte) ([]byte, error)

var errInvalid = errors.New("the bytes are no text of the column's character set")

// encodings are the servers' character sets by name; gb2312 is a part of GBK.
var encodings = map[string]encoding.Encoding{
	"latin2": charmap.ISO8859_2, "latin5": charmap.ISO8859_9, "latin7": charmap.ISO8859_13,
	"greek": charmap.ISO8859_7, "hebrew": charmap.ISO8859_8, "tis620": charmap.Windows874, "macroman": charmap.Macintosh,
	"cp1250": charmap.Windows1250, "cp1251": charmap.Windows1251, "cp1256": charmap.Windows1256, "cp1257": charmap.Windows1257,
	"cp850": charmap.CodePage850, "cp852": charmap.CodePage852, "cp866": charmap.CodePage866, "koi8r": charmap.KOI8R, "koi8u": charmap.KOI8U,
	"gbk": simplifiedchinese.GBK, "gb2312": simplifiedchinese.GBK, "gb18030": simplifiedchinese.GB18030, "big5": traditionalchinese.Big5,
	"sjis": japanese.ShiftJIS, "cp932": japanese.ShiftJIS, "ujis": japanese.EUCJP, "eucjpms": japanese.EUCJP, "euckr": korean.EUCKR,
	"ucs2": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "utf16": unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"utf16le": unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "utf32": utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM),
}

// Of returns the decoder of a character set by its name at the server.
func Of(name string) (Decoder, error) {
	switch name {
	case "utf8mb4", "utf8mb3", "utf8", "ascii":
		return plain, nil
	case "latin1":
		return latin1, nil
	}
	e := encodings[name]
	if e == nil {
		return nil, fmt.Errorf("the character set %s is not supported", name)
	}
	// What a decoder does not know becomes U+FFFD. The Unicode sets can hold that character themselves.
	strict := !strings.HasPrefix(name, "utf") && name != "ucs2" && name != "gb18030"
	return func(dst, text []byte) ([]byte, error) {
		decoded, err := e.NewDecoder().Bytes(text)
		if err != nil || strict && bytes.Contains(decoded, replacement) {
			return dst, errors.Join(errInvalid, err)
		}
		return append(dst, decoded...), nil
	}, nil
}

var replacement = []byte("\uFFFD")

// latin1 is Windows-1252, of which MySQL keeps the five bytes without a character as control characters.
func latin1(dst, text []byte) ([]byte, error) {
	for _, b := range text {
		r := charmap.Windows1252.DecodeByte(b)
		if r == utf8.RuneError {
			r = rune(b)
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, nil
}

func plain(dst, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return dst, errInvalid
	}
	return append(dst, text...), nil
}
