package rrset

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxTTL is the largest time to live, in seconds (RFC 2181, 8).
const MaxTTL = 1<<31 - 1

// MaxValue is the longest value that is read, in bytes as written.
const MaxValue = 8192

// Draft is a record as somebody wrote it, before any rule was held against it.
type Draft struct {
	Name     string // full name, international or A-labels, with or without final dot
	Type     string // any case
	Value    string // TXT also as plain text; MX and SRV with or without the priority in front
	TTL      *int64 // seconds; nil: the zone's default
	Priority *int64 // of MX and SRV; nil: in the value
	Disabled bool
}

// Entry is one record with its place: what a Draft becomes, and a row of a listing.
type Entry struct {
	Key
	TTL uint32 // seconds
	Record
}

// String names the record in messages.
func (e Entry) String() string { return e.Key.String() + " " + show(e.Value) }

// Parse holds the rules for one record against a draft and returns it in canonical form. zone is canonical (ParseZone); the
// record is to stand in it. The error is a *Problem. Rules that need the rest of the zone are CheckName's and CheckTargets'.
func Parse(zone string, defaultTTL uint32, d Draft) (Entry, error) {
	e, problem := parse(zone, defaultTTL, d)
	if problem != nil {
		return Entry{}, problem.of(d.String())
	}
	return e, nil
}

// String names the draft in messages, on one line however it was written.
func (d Draft) String() string {
	return show(d.Name) + " " + show(d.Type) + " " + show(d.Value)
}

func parse(zone string, defaultTTL uint32, d Draft) (Entry, *Problem) {
	typ := strings.ToUpper(d.Type)
	if !slices.Contains(Types, typ) {
		return Entry{}, broken(RuleType, "the type is none of %s", "类型不是 %s 之一", strings.Join(Types, ", "))
	}
	name, problem := parseName(d.Name)
	if problem != nil {
		return Entry{}, problem
	}
	if problem := checkOwner(name, typ, zone); problem != nil {
		return Entry{}, problem
	}
	ttl := defaultTTL
	if d.TTL != nil {
		if *d.TTL < 0 || *d.TTL > MaxTTL {
			return Entry{}, broken(RuleTTL, "the TTL is %d, want 0 to %d seconds", "TTL 为 %d，应为 0 到 %d 秒", *d.TTL, MaxTTL)
		}
		ttl = uint32(*d.TTL)
	}
	value, problem := parseValue(typ, d.Value, d.Priority)
	if problem != nil {
		return Entry{}, problem
	}
	return Entry{Key: Key{Name: name, Type: typ}, TTL: ttl, Record: Record{Value: value, Disabled: d.Disabled}}, nil
}

// checkText refuses what no field of a record may hold: it could end a line of a zone file, a message or a log.
func checkText(text string) *Problem {
	if len(text) > MaxValue {
		return broken(RuleTooLong, "the text has %d bytes, more than %d", "文本长 %d 字节，超过 %d", len(text), MaxValue)
	}
	if plain(text) {
		return nil
	}
	if !utf8.ValidString(text) {
		return broken(RuleUnknownBytes, "the text is not UTF-8", "文本不是 UTF-8 编码")
	}
	if i := strings.IndexFunc(text, unprintable); i >= 0 {
		return broken(RuleUnknownBytes, "the text has a line end or control character at byte %d", "文本在第 %d 字节处含有换行或控制字符", i+1)
	}
	return nil
}

// plain reports whether all of a text is printable ASCII, as most texts are.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func unprintable(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }
