package wire

import (
	"bytes"
	"encoding/json"
)

// tokens walks the tokens of JSON whose syntax is known to be right. The decoder of encoding/json would check it again with every token, which takes
// most of the time that reading a large body takes.
type tokens struct {
	data []byte
	at   int
}

// more reports whether another member or element comes before the end of the object or array.
func (t *tokens) more() bool {
	t.pass()
	return t.data[t.at] != ']' && t.data[t.at] != '}'
}

// next returns the next token as encoding/json does, numbers as json.Number.
func (t *tokens) next() json.Token {
	t.pass()
	switch c := t.data[t.at]; c {
	case '{', '}', '[', ']':
		t.at++
		return json.Delim(c)
	case '"':
		return t.text()
	case 'n':
		t.at += len("null")
		return nil
	case 't':
		t.at += len("true")
		return true
	case 'f':
		t.at += len("false")
		return false
	}
	start := t.at
	for t.at < len(t.data) && bytes.IndexByte([]byte(",]} \t\r\n"), t.data[t.at]) < 0 {
		t.at++
	}
	return json.Number(t.data[start:t.at])
}

// raw returns the next value as it is written.
func (t *tokens) raw() string {
	t.pass()
	start := t.at
	for depth := 0; ; {
		switch t.next() {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return string(t.data[start:t.at])
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

// text reads a string at its opening quote.
func (t *tokens) text() string {
	start := t.at + 1
	end := start + bytes.IndexByte(t.data[start:], '"')
	if bytes.IndexByte(t.data[start:end], '\\') < 0 {
		t.at = end + 1
		return string(t.data[start:end])
	}
	for end = start; t.data[end] != '"'; end++ {
		if t.data[end] == '\\' {
			end++ // what is escaped is no end
		}
	}
	t.at = end + 1
	var text string
	if err := json.Unmarshal(t.data[start-1:t.at], &text); err != nil {
		panic("wire: checked JSON cannot be read: " + err.Error())
	}
	return text
}
