package rrset

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// parseValue reads the value of a managed type and returns its canonical spelling.
func parseValue(typ, text string, priority *int64) (string, *Problem) {
	if problem := checkText(text); problem != nil {
		return "", problem
	}
	if strings.TrimSpace(text) == "" {
		return "", broken(RuleValue, "the value is empty", "值为空")
	}
	if priority != nil && typ != "MX" && typ != "SRV" {
		return "", broken(RulePriority, "an %s has no priority", "%s 记录没有优先级", typ)
	}
	var rr dns.RR
	var problem *Problem
	switch typ {
	case "TXT":
		rr, problem = parseTXT(text)
	case "CAA":
		rr, problem = parseCAA(text)
	default:
		rr, problem = parseFields(typ, strings.Fields(text), priority)
	}
	if problem != nil {
		return "", problem
	}
	return Value(rr), nil
}

// shapes says what the fields of a value are, for messages.
var shapes = map[string]string{
	"A": "ADDRESS", "AAAA": "ADDRESS", "CNAME": "TARGET", "NS": "TARGET", "PTR": "TARGET", "MX": "PRIORITY TARGET",
	"SRV": "PRIORITY WEIGHT PORT TARGET", "SOA": "PRIMARY HOSTMASTER SERIAL REFRESH RETRY EXPIRE MINIMUM", "CAA": "FLAGS TAG VALUE",
}

func parseFields(typ string, fields []string, priority *int64) (dns.RR, *Problem) {
	shape := shapes[typ]
	want := strings.Count(shape, " ") + 1
	if typ == "MX" || typ == "SRV" {
		var problem *Problem
		if fields, problem = withPriority(fields, want, priority); problem != nil {
			return nil, problem
		}
	}
	if len(fields) != want {
		return nil, wrongShape(typ)
	}
	switch typ {
	case "A", "AAAA":
		return parseAddress(typ, fields[0])
	case "SOA":
		return parseSOA(fields)
	case "MX", "SRV":
		return parseService(typ, fields)
	}
	target, problem := parseTarget(fields[0], typ)
	if problem != nil {
		return nil, problem
	}
	switch typ {
	case "CNAME":
		return &dns.CNAME{Hdr: header(typ), Target: target}, nil
	case "NS":
		return &dns.NS{Hdr: header(typ), Ns: target}, nil
	}
	return &dns.PTR{Hdr: header(typ), Ptr: target}, nil
}

func wrongShape(typ string) *Problem {
	return broken(RuleValue, "the value of a %s is %s", "%s 记录的值为 %s", typ, shapes[typ])
}

// header is that of a record of which only the value matters.
func header(typ string) dns.RR_Header {
	return dns.RR_Header{Name: ".", Rrtype: dns.StringToType[typ], Class: dns.ClassINET}
}

// withPriority puts a priority that came apart from the value in front of it, and refuses two that differ.
func withPriority(fields []string, want int, priority *int64) ([]string, *Problem) {
	if priority == nil {
		if len(fields) == want-1 {
			return nil, broken(RulePriority, "the priority is missing: put it in front of the value", "缺少优先级：请写在值的前面")
		}
		return fields, nil
	}
	if *priority < 0 || *priority > 65535 {
		return nil, broken(RulePriority, "the priority is %d, want 0 to 65535", "优先级为 %d，应为 0 到 65535", *priority)
	}
	given := strconv.FormatInt(*priority, 10)
	if len(fields) == want-1 {
		return append([]string{given}, fields...), nil
	}
	if len(fields) == want && fields[0] != given {
		return nil, broken(RulePriority, "the priority is %s, but the value says %s", "优先级为 %s，而值中为 %s", given, show(fields[0]))
	}
	return fields, nil
}

func parseAddress(typ, text string) (dns.RR, *Problem) {
	addr, err := netip.ParseAddr(text)
	if typ == "A" {
		if err != nil || !addr.Is4() {
			return nil, broken(RuleValue, "%s is not an IPv4 address", "%s 不是 IPv4 地址", show(text))
		}
		return &dns.A{Hdr: header(typ), A: addr.AsSlice()}, nil
	}
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return nil, broken(RuleValue, "%s is not an IPv6 address", "%s 不是 IPv6 地址", show(text))
	}
	if addr.Is4In6() {
		return nil, broken(RuleValue, "%s is an IPv4 address in IPv6 form, which no client can use: write an A record", "%s 是 IPv6 形式的 IPv4 地址，客户端无法使用：请使用 A 记录", show(text))
	}
	return &dns.AAAA{Hdr: header(typ), AAAA: addr.AsSlice()}, nil
}

// parseService reads MX and SRV.
func parseService(typ string, fields []string) (dns.RR, *Problem) {
	last := len(fields) - 1
	var numbers [3]uint16
	for i, text := range fields[:last] {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return nil, broken(RuleValue, "%s is not a number from 0 to 65535; the value of a %s is %s", "%s 不是 0 到 65535 的数；%s 记录的值为 %s", show(text), typ, shapes[typ])
		}
		numbers[i] = uint16(n)
	}
	target, problem := parseTarget(fields[last], typ)
	if problem != nil {
		return nil, problem
	}
	if typ == "MX" {
		return &dns.MX{Hdr: header(typ), Preference: numbers[0], Mx: target}, nil
	}
	return &dns.SRV{Hdr: header(typ), Priority: numbers[0], Weight: numbers[1], Port: numbers[2], Target: target}, nil
}

func parseSOA(fields []string) (dns.RR, *Problem) {
	primary, problem := parseTarget(fields[0], "SOA")
	if problem != nil {
		return nil, problem
	}
	mailbox, problem := parseMailbox(fields[1])
	if problem != nil {
		return nil, problem
	}
	var n [5]uint32
	for i, text := range fields[2:] {
		v, err := strconv.ParseUint(text, 10, 32)
		if err != nil || i > 0 && v > MaxTTL {
			return nil, broken(RuleValue, "%s is not a serial or a number of seconds", "%s 不是序列号或秒数", show(text))
		}
		n[i] = uint32(v)
	}
	serial, refresh, retry, expire, minimum := n[0], n[1], n[2], n[3], n[4]
	if refresh == 0 || retry == 0 || expire <= refresh {
		return nil, broken(RuleValue, "refresh and retry are at least 1 second, and expire is more than refresh", "refresh 和 retry 至少为 1 秒，expire 须大于 refresh")
	}
	return &dns.SOA{Hdr: header("SOA"), Ns: primary, Mbox: mailbox, Serial: serial, Refresh: refresh, Retry: retry, Expire: expire, Minttl: minimum}, nil
}

// parseMailbox reads the hostmaster of an SOA, as a name or as the mail address that it stands for. Dots in front of the @ are escaped in
// the name (RFC 1035, 5.3 and 8).
func parseMailbox(text string) (string, *Problem) {
	local, domain, isMail := strings.Cut(text, "@")
	if isMail {
		local = strings.ReplaceAll(local, ".", `\.`)
	} else if i := unescapedDot(text); i >= 0 {
		local, domain = text[:i], text[i+1:]
	}
	name, problem := parseTarget(domain, "SOA")
	label := strings.ReplaceAll(strings.ToLower(local), `\.`, "")
	if problem != nil || label == "" || len(local) > maxLabel || strings.ContainsFunc(label, notMailbox) {
		return "", broken(RuleValue, "the hostmaster %s is neither a mail address nor a name such as hostmaster.example.org", "管理员邮箱 %s 既不是邮件地址，也不是 hostmaster.example.org 这样的名称", show(text))
	}
	return strings.ToLower(local) + "." + name, nil
}

func notMailbox(r rune) bool {
	return r > unicodeASCII || !isLetterOrDigit(byte(r)) && !strings.ContainsRune("-_+", r)
}

const unicodeASCII = 0x7f

// unescapedDot returns the place of the first dot that no backslash precedes, -1 if there is none.
func unescapedDot(text string) int {
	for i := range len(text) {
		if text[i] == '.' && (i == 0 || text[i-1] != '\\') {
			return i
		}
	}
	return -1
}
