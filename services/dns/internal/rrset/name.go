package rrset

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// Limits on names, in bytes (RFC 1035, 2.3.4): a name of 253 characters fills the 255 bytes of its wire form.
const (
	maxName  = 253
	maxLabel = 63
)

// profile turns what people write into A-labels. It leaves alone what DNS allows and host names do not: underscores, the wildcard, and
// two hyphens in the third place, which real names have.
var profile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false))

// ParseZone returns the canonical name of a zone. Zones have one label at least, and neither wildcard nor underscore at their front is
// a reason to refuse a name below: those rules belong to records. The error is a *Problem.
func ParseZone(name string) (string, error) {
	zone, problem := parseName(name)
	switch {
	case problem != nil:
		return "", problem.of(show(name))
	case zone == ".":
		return "", broken(RuleName, "the root is not a zone to manage", "不能管理根区").of(show(name))
	case strings.HasPrefix(zone, "*."):
		return "", broken(RuleWildcard, "a zone's name has no wildcard", "域名不能含通配符").of(show(name))
	case isAddress(zone):
		return "", broken(RuleName, "an IP address is not the name of a zone; a reverse zone ends with in-addr.arpa or ip6.arpa",
			"IP 地址不是域名；反向域以 in-addr.arpa 或 ip6.arpa 结尾").of(show(name))
	}
	return zone, nil
}

// ParseName returns the canonical form of a full name whose zone is not known yet. The error is a *Problem.
func ParseName(name string) (string, error) {
	canonical, problem := parseName(name)
	if problem != nil {
		return "", problem.of(show(name))
	}
	return canonical, nil
}

// InZone reports whether a canonical name is the zone's or lies below it.
func InZone(name, zone string) bool {
	above := len(name) - len(zone)
	return name == zone || above > 0 && name[above-1] == '.' && name[above:] == zone
}

// ReverseName returns the owner name of the PTR for an address, the value of an A or AAAA record; "" for anything else.
func ReverseName(address string) string {
	if _, err := netip.ParseAddr(address); err != nil {
		return ""
	}
	name, err := dns.ReverseAddr(address)
	if err != nil {
		return ""
	}
	return name
}

// parseName returns the canonical form of a full name, with or without its final dot. It knows nothing of zones and types.
func parseName(text string) (string, *Problem) {
	if problem := checkText(text); problem != nil {
		return "", problem
	}
	if text == "" {
		return "", broken(RuleName, "the name is empty", "名称为空")
	}
	if text == "." {
		return ".", nil
	}
	name := text
	if strings.ContainsFunc(text, foreign) || strings.Contains(text, "xn--") {
		var err error
		if name, err = profile.ToASCII(text); err != nil {
			return "", broken(RuleName, "%s is not a name: its international characters have no form in DNS", "%s 不是合法名称：其中的国际化字符无法用于 DNS", show(text))
		}
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if len(name) > maxName {
		return "", broken(RuleName, "the name has %d characters in DNS, more than %d", "名称在 DNS 中长 %d 个字符，超过 %d", len(name), maxName)
	}
	first := true
	for label := range strings.SplitSeq(name, ".") {
		if problem := checkLabel(label, first); problem != nil {
			return "", problem
		}
		first = false
	}
	return name + ".", nil
}

func checkLabel(label string, first bool) *Problem {
	switch {
	case label == "":
		return broken(RuleName, "the name has an empty label: two dots in a row, or one in front", "名称含空标签：连续两个点，或以点开头")
	case len(label) > maxLabel:
		return broken(RuleName, "the label %s has %d characters in DNS, more than %d", "标签 %s 在 DNS 中长 %d 个字符，超过 %d", show(label), len(label), maxLabel)
	case label == "*" && first:
		return nil
	case strings.Contains(label, "*"):
		return broken(RuleWildcard, "* stands for the whole first label or not at all", "通配符 * 只能单独作为第一个标签")
	case label[0] == '-' || label[len(label)-1] == '-':
		return broken(RuleName, "the label %s starts or ends with a hyphen", "标签 %s 以连字符开头或结尾", show(label))
	}
	for _, c := range []byte(label) {
		if !isLetterOrDigit(c) && c != '-' && c != '_' {
			return broken(RuleName, "the label %s has a character other than letters, digits, - and _", "标签 %s 含有字母、数字、- 和 _ 以外的字符", show(label))
		}
	}
	return nil
}

// foreign reports what may not stand for itself in a name in DNS.
func foreign(r rune) bool {
	return r > unicodeASCII || !isLetterOrDigit(byte(r)) && !strings.ContainsRune(".-_*", r)
}

func isLetterOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func isAddress(name string) bool {
	_, err := netip.ParseAddr(strings.TrimSuffix(name, "."))
	return err == nil
}

// checkOwner holds the rules about which types may stand at a name.
func checkOwner(name, typ, zone string) *Problem {
	first, rest, _ := strings.Cut(name, ".")
	switch {
	case !InZone(name, zone):
		return broken(RuleInZone, "the name does not lie in the zone %s; records carry their full name", "名称不在域 %s 内；记录须使用完整名称", zone)
	case typ == "SOA" && name != zone:
		return broken(RuleAuthority, "an SOA stands at the name of the zone only", "SOA 记录只能位于域名本身")
	case first == "*" && typ == "NS":
		return broken(RuleWildcard, "an NS has no wildcard name", "NS 记录的名称不能是通配符")
	case typ == "SRV" && (first[0] != '_' && first != "*" || !strings.HasPrefix(rest, "_")):
		return broken(RuleService, "the name of an SRV starts with _service._protocol, for instance _sip._udp", "SRV 记录的名称以 _服务._协议 开头，例如 _sip._udp")
	case (typ == "A" || typ == "AAAA" || typ == "MX") && strings.Contains(name, "_"):
		return broken(RuleHostName, "the name of an %s is a host name, which has no underscore", "%s 记录的名称是主机名，不能含下划线", typ)
	}
	return nil
}

// parseTarget reads the name that a record points to. A name without a final dot is taken as complete, but one label alone could
// only be meant relative to the zone, so it needs its dot. The root, as "no such service", is for MX and SRV.
func parseTarget(text, typ string) (string, *Problem) {
	name, problem := parseName(text)
	if problem != nil {
		return "", problem
	}
	switch {
	case isAddress(name):
		return "", broken(RuleTarget, "an %s points to a name, not to the address %s", "%s 记录指向名称，而不是地址 %s", typ, show(text))
	case name == "." && typ != "MX" && typ != "SRV":
		return "", broken(RuleTarget, "the root is no target of a %s", "根不能作为 %s 记录的目标", typ)
	case strings.Count(text, ".") == 0:
		return "", broken(RuleTarget, "%s is not a full name: write all of it, or a final dot if it is", "%s 不是完整名称：请写全，若确为完整名称请以点结尾", show(text))
	case strings.HasPrefix(name, "*."):
		return "", broken(RuleWildcard, "a target has no wildcard", "目标不能是通配符")
	case typ != "CNAME" && strings.Contains(name, "_"):
		return "", broken(RuleHostName, "the target of an %s is a host name, which has no underscore", "%s 记录的目标是主机名，不能含下划线", typ)
	}
	return name, nil
}
