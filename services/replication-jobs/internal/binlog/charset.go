package binlog

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

var errCharset = errors.New("the statement is in a character set that is not supported; run it in a session with utf8mb4")

// utf8mb4 is the id of utf8mb4_general_ci.
const utf8mb4 = 45

// clientEncodings are the encodings of sessions by the id of a collation. Latin1 is Windows-1252 in MySQL.
var clientEncodings = map[uint16]encoding.Encoding{
	1: traditionalchinese.Big5, 84: traditionalchinese.Big5,
	24: simplifiedchinese.GBK, 86: simplifiedchinese.GBK, 28: simplifiedchinese.GBK, 87: simplifiedchinese.GBK, // gb2312 is part of GBK
	248: simplifiedchinese.GB18030, 249: simplifiedchinese.GB18030, 250: simplifiedchinese.GB18030,
	13: japanese.ShiftJIS, 88: japanese.ShiftJIS, 95: japanese.ShiftJIS, 96: japanese.ShiftJIS,
	12: japanese.EUCJP, 91: japanese.EUCJP, 97: japanese.EUCJP, 98: japanese.EUCJP,
	19: korean.EUCKR, 85: korean.EUCKR,
	5: charmap.Windows1252, 8: charmap.Windows1252, 15: charmap.Windows1252, 31: charmap.Windows1252, 47: charmap.Windows1252,
	48: charmap.Windows1252, 49: charmap.Windows1252, 94: charmap.Windows1252,
	2: charmap.ISO8859_2, 9: charmap.ISO8859_2, 21: charmap.ISO8859_2, 27: charmap.ISO8859_2, 77: charmap.ISO8859_2,
	14: charmap.Windows1251, 23: charmap.Windows1251, 50: charmap.Windows1251, 51: charmap.Windows1251, 52: charmap.Windows1251,
}

// unicode returns the statement in UTF-8 and says so in the session.
func (s *Session) unicode(text []byte) (string, error) {
	if ascii(text) {
		return string(text), nil
	}
	if e := clientEncodings[s.ClientCharset]; s.HasCharset && e != nil {
		decoded, err := e.NewDecoder().Bytes(text)
		if err != nil {
			return "", fmt.Errorf("%w: %w", errCharset, err)
		}
		s.ClientCharset = utf8mb4
		return string(decoded), nil
	}
	if !utf8.Valid(text) {
		return "", fmt.Errorf("%w (collation number %d)", errCharset, s.ClientCharset)
	}
	return string(text), nil
}

func ascii(text []byte) bool {
	for _, b := range text {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
