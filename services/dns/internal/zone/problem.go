package zone

import (
	"cmp"
	"errors"
	"strings"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// shownProblems is how many broken rules one answer names.
const shownProblems = 20

// fields says which field of a record a rule is about, where it is not the value.
var fields = map[rrset.Rule]string{
	rrset.RuleName: "name", rrset.RuleInZone: "name", rrset.RuleHostName: "name", rrset.RuleWildcard: "name", rrset.RuleService: "name",
	rrset.RuleType: "type", rrset.RuleTTL: "ttl", rrset.RuleOneTTL: "ttl", rrset.RulePriority: "priority",
}

// Invalid turns broken rules into a fault that names records and rules, in both languages: RECORD_INVALID. It is nil when there are none.
func Invalid(problems rrset.Problems) error {
	wrong := make([]fault.Field, 0, min(len(problems), shownProblems))
	for _, p := range problems[:min(len(problems), shownProblems)] {
		wrong = append(wrong, wrongField(cmp.Or(fields[p.Rule], "value"), p))
	}
	return invalid(wrong)
}

func wrongField(name string, p *rrset.Problem) fault.Field {
	return fault.Field{Name: name, Problem: p.Error(), Chinese: p.Localized()}
}

func invalid(wrong []fault.Field) error {
	if len(wrong) == 0 {
		return nil
	}
	f := fault.InvalidFields(wrong...)
	f.Reason = "RECORD_INVALID"
	return f
}

// Parse holds the rules for single records against drafts. Errors: RECORD_INVALID, for all that broke one.
func Parse(d Domain, drafts []rrset.Draft) ([]rrset.Entry, error) {
	entries := make([]rrset.Entry, 0, len(drafts))
	var wrong []fault.Field
	for _, draft := range drafts {
		e, err := rrset.Parse(d.Name, uint32(d.DefaultTTL), draft) //nolint:gosec // a TTL, at most rrset.MaxTTL
		var problem *rrset.Problem
		switch {
		case errors.As(err, &problem):
			if len(wrong) < shownProblems {
				wrong = append(wrong, wrongField(fieldOf(draft, problem), problem))
			}
		case err != nil:
			return nil, err
		default:
			entries = append(entries, e)
		}
	}
	return entries, invalid(wrong)
}

// fieldOf returns the field of a draft that a problem is about. Some rules are about every text.
func fieldOf(draft rrset.Draft, p *rrset.Problem) string {
	if p.Rule == rrset.RuleUnknownBytes || p.Rule == rrset.RuleTooLong {
		if _, err := rrset.ParseName(draft.Name); err != nil {
			return "name"
		}
	}
	return cmp.Or(fields[p.Rule], "value")
}

// samples are values that pass the rules of their type, for when only a name and a type are to be held against them.
var samples = map[string]string{
	"A": "192.0.2.1", "AAAA": "2001:db8::1", "CNAME": "a.example.", "MX": "0 a.example.", "NS": "a.example.", "TXT": "a",
	"SRV": "0 0 1 a.example.", "CAA": `0 issue "a.example"`, "PTR": "a.example.", "SOA": "a.example. b.example. 1 2 3 4 5",
}

// ParseKey returns the canonical key of a set. Errors: RECORD_INVALID.
func ParseKey(d Domain, name, typ string) (rrset.Key, error) {
	entries, err := Parse(d, []rrset.Draft{{Name: name, Type: typ, Value: samples[strings.ToUpper(typ)]}})
	if err != nil {
		return rrset.Key{}, err
	}
	return entries[0].Key, nil
}
