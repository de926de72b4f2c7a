package filter

import (
	"fmt"
	"iter"
	"reflect"
	"slices"
	"sync"
)

// Choice is what a rule says of one table.
type Choice struct {
	// Rule is the rule that takes the table, nil where it comes with its whole schema.
	Rule *TableRule
	// Target is the table's name at the target.
	Target string
}

// maxCached bounds what is remembered of names that were matched against regular expressions.
const maxCached = 10000

// rules are the compiled rules of one field.
type rules struct {
	exact map[string]*schema
	// regexes are in the order of the rules; they are looked at for every name, after the exact ones.
	regexes []*schemaRegex
	// resolved holds the outcome for each schema name, when there are regexes.
	resolved *cache[*schema]
}

type schemaRegex struct {
	pattern
	tables *schema
}

// schema is what all rules together say of one schema.
type schema struct {
	target  string
	all     bool
	exact   map[string]*table
	regexes []*table
	found   *cache[*Choice]
}

type table struct {
	pattern
	rule *TableRule
	// named is the choice for the table that an exact rule names.
	named Choice
}

func (r rules) none() bool { return len(r.exact) == 0 && len(r.regexes) == 0 }

// named yields the schemas and tables that are named without regular expressions.
func (r rules) named() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for name, s := range r.exact {
			tables := make([]string, 0, len(s.exact))
			for table := range s.exact {
				tables = append(tables, table)
			}
			if !yield(name, tables) {
				return
			}
		}
	}
}

// plain reports whether no rule renames anything, or chooses columns or rows.
func (r rules) plain() bool {
	for name, s := range r.exact {
		if s.target != name || !s.plain() {
			return false
		}
	}
	return !slices.ContainsFunc(r.regexes, func(p *schemaRegex) bool { return p.rename != "" || !p.tables.plain() })
}

func (s *schema) plain() bool {
	same := func(t *table) bool { return t.rename == "" && len(t.rule.Columns) == 0 && t.rule.Where == "" }
	for _, t := range s.exact {
		if !same(t) {
			return false
		}
	}
	return !slices.ContainsFunc(s.regexes, func(t *table) bool { return !same(t) })
}

func compile(field string, all []SchemaRule) (rules, error) {
	r := rules{exact: map[string]*schema{}}
	for i, rule := range all {
		at := fmt.Sprintf("%s[%d]", field, i)
		p, err := newPattern(at, "table_schema", "table_schema", rule.Schema, rule.Regex, rule.Rename)
		if err != nil {
			return r, err
		}
		if err := p.checkTarget(at+".table_schema_rename", true); err != nil {
			return r, err
		}
		s := r.exact[rule.Schema]
		switch {
		case p.regex != nil:
			s = newSchema("")
			r.regexes = append(r.regexes, &schemaRegex{pattern: p, tables: s})
		case s == nil:
			target, _ := p.target(rule.Schema)
			s = newSchema(target)
			r.exact[rule.Schema] = s
		case rule.Rename != "" && rule.Rename != s.target || rule.Rename == "" && s.target != rule.Schema:
			return r, Wrong(at+".table_schema_rename", "differs from that of another rule for schema %s: a schema has one name at the target", rule.Schema)
		}
		if err := s.compile(at, rule.Tables); err != nil {
			return r, err
		}
	}
	if len(r.regexes) > 0 {
		r.resolved = &cache[*schema]{}
	}
	return r, nil
}

func newSchema(target string) *schema {
	return &schema{target: target, exact: map[string]*table{}, found: &cache[*Choice]{}}
}

func (s *schema) compile(at string, all []TableRule) error {
	s.all = s.all || len(all) == 0
	for j := range all {
		rule := &all[j]
		at := fmt.Sprintf("%s.tables[%d]", at, j)
		p, err := newPattern(at, "table_name", "table", rule.Name, rule.Regex, rule.Rename)
		if err != nil {
			return err
		}
		if err := p.checkTarget(at+".table_rename", false); err != nil {
			return err
		}
		t := &table{pattern: p, rule: rule}
		if p.regex != nil {
			s.regexes = append(s.regexes, t)
			continue
		}
		if other := s.exact[rule.Name]; other != nil && !reflect.DeepEqual(other.rule, rule) {
			return Wrong(at+".table_name", "names table %s, of which another rule says something else", rule.Name)
		}
		t.named.Rule = rule
		t.named.Target, _ = p.target(rule.Name)
		s.exact[rule.Name] = t
	}
	return nil
}

// schema returns what all rules that match a name say together.
func (r rules) schema(name string) (*schema, bool) {
	if len(r.regexes) == 0 {
		s, ok := r.exact[name]
		return s, ok
	}
	s := r.resolved.get(name, func() *schema { return r.resolve(name) })
	return s, s != nil
}

// resolve adds up the rules that match a name; the first one gives it its name at the target.
func (r rules) resolve(name string) *schema {
	var sum *schema
	if s, ok := r.exact[name]; ok {
		sum = s.clone()
	}
	for _, p := range r.regexes {
		target, ok := p.target(name)
		if !ok {
			continue
		}
		if sum == nil {
			sum = newSchema(target)
		}
		sum.all = sum.all || p.tables.all
		for table, rule := range p.tables.exact {
			if _, known := sum.exact[table]; !known {
				sum.exact[table] = rule
			}
		}
		sum.regexes = append(sum.regexes, p.tables.regexes...)
	}
	return sum
}

func (s *schema) clone() *schema {
	out := newSchema(s.target)
	out.all = s.all
	for name, t := range s.exact {
		out.exact[name] = t
	}
	out.regexes = append(out.regexes, s.regexes...)
	return out
}

// table returns what the rules say of a table: a name goes before a regular expression, and that before the whole schema.
func (s *schema) table(name string) (Choice, bool) {
	if t, ok := s.exact[name]; ok {
		return t.named, true
	}
	if len(s.exact) == 0 && len(s.regexes) == 0 {
		return Choice{Target: name}, s.all
	}
	c := s.found.get(name, func() *Choice { return s.search(name) })
	if c == nil {
		return Choice{}, false
	}
	return *c, true
}

func (s *schema) search(name string) *Choice {
	if c := s.shadow(name); c != nil {
		return c
	}
	return s.direct(name)
}

// direct is what the rules say of the name itself.
func (s *schema) direct(name string) *Choice {
	if t, ok := s.exact[name]; ok {
		return &t.named
	}
	for _, t := range s.regexes {
		if target, ok := t.target(name); ok {
			return &Choice{Rule: t.rule, Target: target}
		}
	}
	if s.all {
		return &Choice{Target: name}
	}
	return nil
}

// cache remembers what was computed for names. It starts over when it is full.
type cache[T any] struct {
	mu    sync.RWMutex
	known map[string]T
}

func (c *cache[T]) get(name string, compute func() T) T {
	c.mu.RLock()
	v, ok := c.known[name]
	c.mu.RUnlock()
	if ok {
		return v
	}
	v = compute()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxCached || c.known == nil {
		c.known = map[string]T{}
	}
	c.known[name] = v
	return v
}
