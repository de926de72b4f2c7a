package zone

import (
	"context"
	"slices"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Check holds the rules about records that stand together against an edit that is not to be written. Errors: RECORD_INVALID.
func (e *Edit) Check(ctx context.Context) error { return e.check(ctx, e.delta()) }

// check holds the rules about records that stand together against the names that change. Errors: RECORD_INVALID.
func (e *Edit) check(ctx context.Context, d delta) error {
	touched := d.touched(e.before)
	byName := map[string][]rrset.Entry{}
	for key, rows := range e.now {
		if touched[key.Name] {
			byName[key.Name] = append(byName[key.Name], Entries(rows)...)
		}
	}
	names := make([]string, 0, len(touched))
	for name := range touched {
		names = append(names, name)
	}
	slices.Sort(names)
	var problems rrset.Problems
	var sets []rrset.Set
	for _, name := range names {
		here, wrong := rrset.Collect(byName[name])
		problems = append(problems, wrong...)
		problems = append(problems, rrset.CheckName(e.Domain.Name, name, here)...)
		sets = append(sets, here...)
	}
	if len(problems) > 0 {
		return Invalid(problems)
	}
	problems, err := e.checkTargets(ctx, sets)
	if err != nil {
		return err
	}
	return Invalid(problems)
}

// checkTargets refuses NS, MX and SRV records that point to an alias, whichever of the two is new.
func (e *Edit) checkTargets(ctx context.Context, sets []rrset.Set) (rrset.Problems, error) {
	var targets, aliasNames []string
	here := map[string]bool{}
	for i := range sets {
		targets = append(targets, rrset.Targets(e.Domain.Name, &sets[i])...)
		if sets[i].Type == "CNAME" && sets[i].Live() != nil {
			aliasNames = append(aliasNames, sets[i].Name)
			here[sets[i].Name] = true
		}
	}
	var elsewhere map[string]bool
	if len(targets) > 0 {
		var err error
		if elsewhere, err = aliases(ctx, e.tx, e.Domain.ID, targets); err != nil {
			return nil, err
		}
	}
	isAlias := func(name string) bool { return here[name] || elsewhere[name] && !e.loaded[name] || e.aliasAt(name) }
	var problems rrset.Problems
	for i := range sets {
		problems = append(problems, rrset.CheckTargets(e.Domain.Name, &sets[i], isAlias)...)
	}
	if len(aliasNames) == 0 {
		return problems, nil
	}
	pointing, err := pointers(ctx, e.tx, e.Domain.ID, aliasNames)
	if err != nil {
		return nil, err
	}
	for _, r := range pointing {
		if !e.loaded[r.Name] { // records at loaded names were looked at above, as they will be
			entry := r.Entry()
			set := rrset.Set{Key: entry.Key, TTL: entry.TTL, Records: []rrset.Record{entry.Record}}
			problems = append(problems, rrset.CheckTargets(e.Domain.Name, &set, isAlias)...)
		}
	}
	return problems, nil
}

// aliasAt reports whether an enabled CNAME will stand at a loaded name.
func (e *Edit) aliasAt(name string) bool {
	return slices.ContainsFunc(e.now[rrset.Key{Name: name, Type: "CNAME"}], func(r Row) bool { return !r.Disabled })
}
