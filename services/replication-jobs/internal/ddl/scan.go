package ddl

import (
	"strings"
)

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // an unquoted word: keyword, identifier or number
	tokenName             // an identifier in quotes, text without them
	tokenString           // a string literal
	tokenSign             // one character of anything else
)

type token struct {
	kind  tokenKind
	text  string
	start int // offset of the first byte in the statement
	end   int // offset behind the last byte
}

// is reports whether the token is the given keyword, written in upper case.
func (t token) is(keyword string) bool {
	return t.kind == tokenWord && strings.EqualFold(t.text, keyword)
}

func (t token) isSign(sign byte) bool {
	return t.kind == tokenSign && t.text[0] == sign
}

// scan splits a statement into tokens. Ordinary comments vanish; the content of executable ones (/*! and /*M!) counts, because
// the server that wrote them executed it.
func scan(text string, ansiQuotes bool) []token {
	var tokens []token
	executable := false
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case isSpace(c):
			i++
		case c == '#' || (strings.HasPrefix(text[i:], "--") && (i+2 == len(text) || isSpace(text[i+2]))):
			i = after(text, i, "\n")
		case executableComment(text[i:]) > 0:
			executable = true
			i += executableComment(text[i:])
		case strings.HasPrefix(text[i:], "/*"):
			i = after(text, i+2, "*/")
		case executable && strings.HasPrefix(text[i:], "*/"):
			executable = false
			i += 2
		default:
			t := next(text, i, ansiQuotes)
			tokens = append(tokens, t)
			i = t.end
		}
	}
	return tokens
}

func next(text string, i int, ansiQuotes bool) token {
	switch c := text[i]; {
	case c == '`' || (c == '"' && ansiQuotes):
		name, end := quoted(text, i, false)
		return token{kind: tokenName, text: name, start: i, end: end}
	case c == '\'' || c == '"':
		value, end := quoted(text, i, true)
		return token{kind: tokenString, text: value, start: i, end: end}
	case isWord(c):
		end := i + 1
		for end < len(text) && isWord(text[end]) {
			end++
		}
		return token{kind: tokenWord, text: text[i:end], start: i, end: end}
	default:
		return token{kind: tokenSign, text: text[i : i+1], start: i, end: i + 1}
	}
}

// quoted reads from the opening quote at i; a doubled quote stands for itself, a backslash escapes only in strings.
func quoted(text string, i int, escapes bool) (value string, end int) {
	quote := text[i]
	var b strings.Builder
	for j := i + 1; j < len(text); j++ {
		switch {
		case escapes && text[j] == '\\' && j+1 < len(text):
			j++
			b.WriteByte(text[j])
		case text[j] == quote && j+1 < len(text) && text[j+1] == quote:
			j++
			b.WriteByte(quote)
		case text[j] == quote:
			return b.String(), j + 1
		default:
			b.WriteByte(text[j])
		}
	}
	return b.String(), len(text)
}

// executableComment is the length of an opening /*!, /*!50100, /*M! or /*M!100100 at the start of text, 0 if there is none.
func executableComment(text string) int {
	n := 0
	switch {
	case strings.HasPrefix(text, "/*!"):
		n = 3
	case strings.HasPrefix(text, "/*M!"):
		n = 4
	default:
		return 0
	}
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}

func after(text string, from int, mark string) int {
	if at := strings.Index(text[from:], mark); at >= 0 {
		return from + at + len(mark)
	}
	return len(text)
}

func isSpace(c byte) bool {
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}
