package wire

import (
	"encoding/json"
	"strings"
)

// token is a piece of JSON that means something.
type token struct {
	kind kind
	text string // of texts and numbers
}

// kind is what a token is: the byte that it starts with, 0 for all numbers.
type kind byte

// The kinds other than brackets.
const (
	textKind   kind = '"'
	numberKind kind = '0'
	nullKind   kind = 'n'
	trueKind   kind = 't'
	falseKind  kind = 'f'
)

// tokens walks the tokens of JSON whose syntax is known to be right. The decoder of encoding/json would check it again with every token, which takes
// most of the time that reading a large body takes. Texts are parts of the data.
type tokens struct {
	data string
	at   int
}

// more reports whether another member or element comes before the end of the object or array.
func (t *tokens) more() bool {
	t.pass()
	return t.data[t.at] != ']' && t.data[t.at] != '}'
}

// next returns the next token.
func (t *tokens) next() token {
	t.pass()
	switch c := t.data[t.at]; c {
	case '{', '}', '[', ']':
		t.at++
		return token{kind: kind(c)}
	case '"':
		return token{textKind, t.quoted()}
	case 'n', 't':
		t.at += len("null")
		return token{kind: kind(c)}
	case 'f':
		t.at += len("false")
		return token{kind: falseKind}
	}
	start := t.at
	for t.at < len(t.data) && strings.IndexByte(",]} \t\r\n", t.data[t.at]) < 0 {
		t.at++
	}
	return token{numberKind, t.data[start:t.at]}
}

// raw returns the next value as it is written.
func (t *tokens) raw() string {
	t.pass()
	start := t.at
	for depth := 0; ; {
		switch t.next().kind {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth == 0 {
			return t.data[start:t.at]
		}
	}
}

// pass passes over what stands between tokens.
func (t *tokens) pass() {
	for {
		switch t.data[t.at] {
		case ' ', '\t', '\r', '\n', ',', ':':
			t.at++
		default:
			return
		}
	}
}

// quoted reads a text at its opening quote.
func (t *tokens) quoted() string {
	start := t.at + 1
	end := start + strings.IndexByte(t.data[start:], '"')
	if strings.IndexByte(t.data[start:end], '\\') < 0 {
		t.at = end + 1
		return t.data[start:end]
	}
	for end = start; t.data[end] != '"'; end++ {
		if t.data[end] == '\\' {
			end++ // what is escaped is no end
		}
	}
	t.at = end + 1
	var plain string
	if err := json.Unmarshal([]byte(t.data[start-1:t.at]), &plain); err != nil {
		panic("wire: checked JSON cannot be read: " + err.Error())
	}
	return plain
}
