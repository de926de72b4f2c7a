package rrset

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rule is the stable name of a rule that a record or a zone broke.
type Rule string

// The rules. What each demands is in the text of its problems and in docs/dns.md.
const (
	RuleName         Rule = "name"          // syntax and length of names (RFC 1035, RFC 5891)
	RuleInZone       Rule = "in_zone"       // the owner lies in the zone
	RuleHostName     Rule = "host_name"     // owners of addresses and MX, and targets of NS, MX, SRV and PTR, are host names (RFC 1123)
	RuleWildcard     Rule = "wildcard"      // where * may stand (RFC 4592)
	RuleService      Rule = "service_name"  // owner of SRV: _service._protocol (RFC 2782)
	RuleType         Rule = "type"          // a type that is managed
	RuleValue        Rule = "value"         // syntax of the value
	RuleTarget       Rule = "target"        // a full name, no address (RFC 2181, 10.3)
	RuleTargetAlias  Rule = "target_alias"  // targets of NS, MX and SRV are no CNAME (RFC 2181, 10.3; RFC 2782)
	RulePriority     Rule = "priority"      // given once, 0 to 65535
	RuleTTL          Rule = "ttl"           // 0 to 2147483647 seconds (RFC 2181, 8)
	RuleOneTTL       Rule = "one_ttl"       // all records of a set have one TTL (RFC 2181, 5.2)
	RuleDuplicate    Rule = "duplicate"     // no record twice (RFC 2181, 5)
	RuleNullTarget   Rule = "null_target"   // an MX or SRV that says "no service" stands alone (RFC 7505)
	RuleAlias        Rule = "cname"         // a CNAME stands alone at its name (RFC 1034, 3.6.2)
	RuleAliasAtApex  Rule = "cname_at_apex" // no CNAME at the apex (RFC 1912, 2.4)
	RuleAuthority    Rule = "soa"           // exactly one SOA, enabled, at the apex only
	RuleApexServers  Rule = "apex_ns"       // at least one enabled NS at the apex
	RuleTooLong      Rule = "length"        // limits of opsdeck on sizes
	RuleUnknownBytes Rule = "characters"    // no line ends, control characters or broken UTF-8
)

// Problem is one broken rule, for the person who wrote the record.
type Problem struct {
	Record  string // the record, "www.example.org. A 192.0.2.1", or the name or set when it is not one record's problem
	Rule    Rule
	English string // a sentence without the record, which Error puts in front
	Chinese string
}

// Error returns the English text.
func (p *Problem) Error() string {
	return p.Record + ": " + p.English + " (rule " + string(p.Rule) + ")"
}

// Localized returns the Chinese text.
func (p *Problem) Localized() string {
	return p.Record + "：" + p.Chinese + "（规则 " + string(p.Rule) + "）"
}

// Problems are all broken rules of a zone or of many records. It is an error when it is not empty.
type Problems []*Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// shownValue is how much of a value a problem shows, in characters.
const shownValue = 80

// show returns text on one line, shortened, and quoted with escapes when it holds what a terminal or log could trip over.
func show(text string) string {
	runes := []rune(text)
	if len(runes) > shownValue {
		runes = append(runes[:shownValue:shownValue], '…')
	}
	text = string(runes)
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }) {
		return strconv.QuoteToASCII(text)
	}
	return text
}

// broken is a problem that does not know its record yet.
func broken(rule Rule, english, chinese string, args ...any) *Problem {
	return &Problem{Rule: rule, English: fmt.Sprintf(english, args...), Chinese: fmt.Sprintf(chinese, args...)}
}

func (p *Problem) of(record string) *Problem {
	p.Record = record
	return p
}
