package rrset

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// maxString is the most bytes in one string of a TXT record (RFC 1035, 3.3).
const maxString = 255

// parseTXT reads either strings in quotes, with the escapes of RFC 1035, or text as it is: when the value does not start with a quote, every
// byte of it is data. Strings of more than 255 bytes are split.
func parseTXT(text string) (dns.RR, *Problem) {
	strs := []string{text}
	if trimmed := strings.TrimSpace(text); trimmed[0] == '"' {
		var problem *Problem
		if strs, problem = quotedStrings(trimmed); problem != nil {
			return nil, problem
		}
	}
	rr := &dns.TXT{Hdr: header("TXT")}
	for _, s := range strs {
		for len(s) > maxString {
			rr.Txt = append(rr.Txt, escape(s[:maxString]))
			s = s[maxString:]
		}
		rr.Txt = append(rr.Txt, escape(s))
	}
	return rr, nil
}

// quotedStrings reads a run of quoted strings with blanks between them and returns the bytes of each.
func quotedStrings(text string) ([]string, *Problem) {
	var all []string
	for text != "" {
		if text[0] != '"' {
			return nil, broken(RuleValue, "the value starts with a quote, so all of it must be strings in quotes", "值以引号开头，因此必须全部为带引号的字符串")
		}
		s, rest, problem := quotedString(text[1:])
		if problem != nil {
			return nil, problem
		}
		all = append(all, s)
		text = strings.TrimLeft(rest, " ")
	}
	return all, nil
}

// quotedString reads up to the closing quote.
func quotedString(text string) (content, rest string, problem *Problem) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			return b.String(), text[i+1:], nil
		case '\\':
			n, width := escaped(text[i+1:])
			if width == 0 {
				return "", "", broken(RuleValue, `a backslash is followed by neither a character nor three digits up to 255`, "反斜杠后面既不是字符，也不是不超过 255 的三位数字")
			}
			b.WriteByte(n)
			i += width
		default:
			b.WriteByte(c)
		}
	}
	return "", "", broken(RuleValue, "a quote is not closed", "引号没有闭合")
}

// escaped reads what follows a backslash: three decimal digits or one other character. width 0: neither.
func escaped(text string) (c byte, width int) {
	if text == "" {
		return 0, 0
	}
	if text[0] < '0' || text[0] > '9' {
		return text[0], 1
	}
	if len(text) < 3 {
		return 0, 0
	}
	n, err := strconv.ParseUint(text[:3], 10, 8)
	if err != nil {
		return 0, 0
	}
	return byte(n), 3
}

// escape writes bytes the way the dns package holds them in a TXT.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteByte('\\')
			b.WriteString(pad(strconv.Itoa(int(c))))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func pad(digits string) string { return strings.Repeat("0", 3-len(digits)) + digits }

// parseCAA reads flags, tag and a value in or without quotes (RFC 8659, 4.1).
func parseCAA(text string) (dns.RR, *Problem) {
	flags, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	tag, value, found := strings.Cut(strings.TrimLeft(rest, " "), " ")
	value = strings.TrimLeft(value, " ")
	if !found || value == "" {
		return nil, wrongShape("CAA")
	}
	if flags != "0" && flags != "128" {
		return nil, broken(RuleValue, "the flags of a CAA are 0, or 128 for critical, not %s", "CAA 记录的标志为 0，或表示关键的 128，而不是 %s", show(flags))
	}
	tag = strings.ToLower(tag)
	if tag == "" || len(tag) > 15 || strings.ContainsFunc(tag, func(r rune) bool { return r > unicodeASCII || !isLetterOrDigit(byte(r)) }) {
		return nil, broken(RuleValue, "%s is not a tag of a CAA, such as issue, issuewild or iodef", "%s 不是 CAA 标签，如 issue、issuewild 或 iodef", show(tag))
	}
	if value[0] == '"' {
		strs, problem := quotedStrings(value)
		if problem != nil {
			return nil, problem
		}
		if len(strs) != 1 {
			return nil, wrongShape("CAA")
		}
		value = strs[0]
	}
	if problem := checkCAA(tag, value); problem != nil {
		return nil, problem
	}
	critical := uint8(0)
	if flags == "128" {
		critical = 128
	}
	return &dns.CAA{Hdr: header("CAA"), Flag: critical, Tag: tag, Value: escape(value)}, nil
}

func checkCAA(tag, value string) *Problem {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= unicodeASCII }) {
		return broken(RuleValue, "the value of a CAA is printable ASCII", "CAA 记录的值须为可打印的 ASCII 字符")
	}
	switch tag {
	case "issue", "issuewild":
		issuer, _, _ := strings.Cut(value, ";")
		if issuer = strings.TrimSpace(issuer); issuer != "" {
			if _, problem := parseTarget(issuer, "CAA"); problem != nil {
				return broken(RuleValue, "%s is not the domain name of an issuer", "%s 不是签发机构的域名", show(issuer))
			}
		}
	case "iodef":
		if u, err := url.Parse(value); err != nil || u.Scheme != "mailto" && u.Scheme != "http" && u.Scheme != "https" {
			return broken(RuleValue, "the value of an iodef is a URL with mailto, http or https", "iodef 的值须为 mailto、http 或 https 的 URL")
		}
	}
	return nil
}
