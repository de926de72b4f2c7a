package predicate

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// collation compares strings as the servers do.
type collation struct {
	name string
	// pad is set when the shorter of two strings is filled up with blanks.
	pad bool
	// wide is set when characters are of UTF-8, else they are bytes.
	wide bool
	// fold returns what a character weighs.
	fold func(c rune) rune
}

func same(c rune) rune { return c }

// generalWeights are the weights of utf8mb4_general_ci that differ from the code point, one "code weight" a line, in hexadecimal. They
// were asked of a server, and a test asks again.
//
//go:embed general_ci.txt
var generalWeights string

var general = sync.OnceValue(func() map[rune]rune {
	out := map[rune]rune{}
	for line := range strings.Lines(generalWeights) {
		var code, weight rune
		if _, err := fmt.Sscanf(line, "%x %x", &code, &weight); err != nil {
			panic("general_ci.txt: " + err.Error())
		}
		out[code] = weight
	}
	return out
})

func foldGeneral(c rune) rune {
	if c > 0xffff {
		return 0xfffd
	}
	if weight, ok := general()[c]; ok {
		return weight
	}
	return c
}

// foldASCII is for characters of ASCII, the only ones that the columns hold.
func foldASCII(c rune) rune {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// collationOf returns the collation of a name; "" is that of bytes.
func collationOf(name string) (*collation, bool) {
	switch name {
	case "", "binary":
		return &collation{name: "binary", fold: same}, true
	case "utf8mb4_bin", "utf8mb3_bin", "utf8_bin":
		return &collation{name: name, pad: true, wide: true, fold: same}, true
	case "utf8mb4_0900_bin", "utf8mb4_nopad_bin", "utf8mb3_nopad_bin", "utf8_nopad_bin":
		return &collation{name: name, wide: true, fold: same}, true
	case "latin1_bin", "ascii_bin":
		return &collation{name: name, pad: true, fold: same}, true
	case "utf8mb4_general_ci", "utf8mb3_general_ci", "utf8_general_ci":
		return &collation{name: name, pad: true, wide: true, fold: foldGeneral}, true
	case "ascii_general_ci":
		return &collation{name: name, pad: true, fold: foldASCII}, true
	}
	return nil, false
}

// next returns the weight of the first character and the rest.
func (c *collation) next(s string) (rune, string) {
	if !c.wide {
		return c.fold(rune(s[0])), s[1:]
	}
	r, n := utf8.DecodeRuneInString(s)
	return c.fold(r), s[n:]
}

// compare returns the order of two strings.
func (c *collation) compare(a, b string) int {
	for a != "" && b != "" {
		var x, y rune
		x, a = c.next(a)
		y, b = c.next(b)
		if x != y {
			return sign(x < y)
		}
	}
	switch {
	case a == b:
		return 0
	case !c.pad:
		return sign(a == "")
	case a == "":
		return -c.blanks(b)
	}
	return c.blanks(a)
}

// blanks compares what is left of a string with blanks.
func (c *collation) blanks(s string) int {
	blank := c.fold(' ')
	for s != "" {
		var x rune
		if x, s = c.next(s); x != blank {
			return sign(x < blank)
		}
	}
	return 0
}

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// like matches a pattern with % and _, and an escape character in front of them.
func (c *collation) like(s, pattern string, escape rune) bool {
	type state struct{ s, pattern string }
	var retry *state // after the last %
	for {
		var ok bool
		switch {
		case pattern == "" && s == "":
			return true
		case pattern != "" && pattern[0] == '%' && escape != '%':
			pattern = strings.TrimLeft(pattern, "%")
			if pattern == "" {
				return true
			}
			retry = &state{s, pattern}
			continue
		case pattern != "" && s != "":
			s, pattern, ok = c.step(s, pattern, escape)
		}
		if ok {
			continue
		}
		if retry == nil || retry.s == "" {
			return false
		}
		_, retry.s = c.next(retry.s)
		s, pattern = retry.s, retry.pattern
	}
}

// step matches one character.
func (c *collation) step(s, pattern string, escape rune) (restOfString, restOfPattern string, ok bool) {
	first, n := utf8.DecodeRuneInString(pattern)
	any := first == '_' && first != escape
	if first == escape && len(pattern) > n {
		pattern = pattern[n:]
	}
	want, pattern := c.next(pattern)
	got, s := c.next(s)
	return s, pattern, any || got == want
}

// length counts characters.
func (c *collation) length(s string) int64 {
	if c.wide {
		return int64(utf8.RuneCountInString(s))
	}
	return int64(len(s))
}
