package zone

import (
	"errors"
	"strings"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// shownProblems is how many broken rules one answer names.
const shownProblems = 20

// Invalid turns broken rules into a fault that names records and rules, in both languages: RECORD_INVALID. It is nil when there are none.
func Invalid(problems rrset.Problems) error {
	wrong := make([]fault.Field, 0, min(len(problems), shownProblems))
	for _, p := range problems[:min(len(problems), shownProblems)] {
		field := "value"
		if p.Rule == rrset.RuleOneTTL {
			field = "ttl"
		}
		wrong = append(wrong, wrongField(field, p))
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
	entries, errs := make([]rrset.Entry, len(drafts)), make([]error, len(drafts))
	_ = inParts(len(drafts), func(from, to int) error {
		for i := from; i < to; i++ {
			entries[i], errs[i] = rrset.Parse(d.Name, uint32(d.DefaultTTL), drafts[i])
		}
		return nil
	})
	var wrong []fault.Field
	for i, err := range errs {
		var problem *rrset.Problem
		switch {
		case err == nil:
		case !errors.As(err, &problem):
			return nil, err
		case len(wrong) < shownProblems:
			wrong = append(wrong, wrongField(fieldOf(d, drafts[i], problem), problem))
		}
	}
	if len(wrong) > 0 {
		return nil, invalid(wrong)
	}
	return entries, nil
}

// fieldOf returns the field of a draft that a problem is about. Many rules are about names, which stand in front and in values.
func fieldOf(d Domain, draft rrset.Draft, p *rrset.Problem) string {
	switch p.Rule {
	case rrset.RuleType:
		return "type"
	case rrset.RuleTTL:
		return "ttl"
	case rrset.RulePriority:
		return "priority"
	}
	if _, err := rrset.Parse(d.Name, 0, rrset.Draft{Name: draft.Name, Type: draft.Type, Value: samples[strings.ToUpper(draft.Type)]}); err != nil {
		return "name"
	}
	return "value"
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
