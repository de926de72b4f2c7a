package zone

import (
	"context"
	"slices"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Check holds the rules about records that stand together against an edit that is not to be written. Errors: RECORD_INVALID, CHANGED_MEANWHILE.
func (e *Edit) Check(ctx context.Context) error {
	d := e.delta()
	touched := d.touched(e.before)
	return e.check(ctx, touched, e.together(touched))
}

// standing is what stands at the names that change, and how it breaks the rules about records of one name.
type standing struct {
	sets     []rrset.Set
	problems rrset.Problems
}

// together holds the rules about records that stand at one name against the names that change. It does not ask the database.
func (e *Edit) together(touched map[string]bool) standing {
	all := standing{sets: make([]rrset.Set, 0, len(touched))}
	for keys := e.keys(); len(keys) > 0; {
		name, n := keys[0].Name, 0
		var entries []rrset.Entry
		for ; n < len(keys) && keys[n].Name == name; n++ { // they stand together
			if touched[name] {
				entries = append(entries, Entries(e.now[keys[n]])...)
			}
		}
		keys = keys[n:]
		if !touched[name] {
			continue
		}
		here, wrong := rrset.Collect(entries)
		all.problems = append(all.problems, wrong...)
		all.problems = append(all.problems, rrset.CheckName(e.Domain.Name, name, here)...)
		all.sets = append(all.sets, here...)
	}
	return all
}

// check reports what together found, or else what breaks a rule about records of several names. Errors: RECORD_INVALID, CHANGED_MEANWHILE.
func (e *Edit) check(ctx context.Context, touched map[string]bool, found standing) error {
	problems := found.problems
	if len(problems) == 0 {
		var err error
		if problems, err = e.checkTargets(ctx, found.sets); err != nil || len(problems) == 0 {
			return err
		}
	}
	if err := e.meanwhile(ctx, touched, problems[0]); err != nil {
		return err
	}
	return Invalid(problems)
}

// meanwhile reports a change that somebody made at one of the names while the caller waited for his turn: it may be why a rule is broken, and the caller
// could not know of it. Errors: CHANGED_MEANWHILE.
func (e *Edit) meanwhile(ctx context.Context, names map[string]bool, problem *rrset.Problem) error {
	if e.Domain.seen == nil {
		return nil // nobody waits to look at a domain
	}
	since, err := changesAfter(ctx, e.tx, e.Domain.ID, *e.Domain.seen)
	if err != nil {
		return err
	}
	for _, c := range since {
		if slices.ContainsFunc(e.tx.pushes, func(own Change) bool { return own.ID == c.ID }) {
			continue
		}
		for _, set := range c.Sets {
			if key := set.Key(); names[key.Name] {
				return fault.Precondition("CHANGED_MEANWHILE", "%s was changed by %s at the same time (change %d): %s", key, c.By, c.ID, problem.Error()).
					Chinese("%s 刚刚被 %s 修改（变更 %d）：%s", key, c.By, c.ID, problem.Localized())
			}
		}
	}
	return nil
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
