// Package filter decides which schemas and tables a job replicates, and which rule speaks of each.
package filter

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// TableRule names tables of a schema, by name or by regular expression, and says what becomes of them.
type TableRule struct {
	// Name and Regex exclude each other. A regular expression (RE2, not anchored) takes every table that it finds a match in.
	Name, Regex string
	// Rename is the name at the target, "" for the same. With Regex it is a template in which ${1} or ${name} stand for groups.
	Rename string
	// Columns are those to replicate, in the order of the target; none means all.
	Columns []string
	// Where is the condition that rows must meet, "" for all rows.
	Where string
}

// SchemaRule names schemas and, where they are not meant whole, some of their tables.
type SchemaRule struct {
	// Schema and Regex exclude each other; see TableRule.
	Schema, Regex string
	// Rename is the name at the target; see TableRule.
	Rename string
	// Tables are the tables to take; none means all.
	Tables []TableRule
}

// RuleError says what is wrong with the rules of a job.
type RuleError struct {
	// Field is the place in the rules, such as replicate_do_db[0].table_schema.
	Field string
	// Problem begins with a verb: "is empty".
	Problem string
}

func (e *RuleError) Error() string { return e.Field + " " + e.Problem }

// Wrong returns a *RuleError.
func Wrong(field, format string, args ...any) error {
	return &RuleError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// Selection is a compiled choice of schemas and tables. The zero value selects everything but the system schemas.
// It is safe for concurrent use.
type Selection struct {
	do, ignore rules
}

// systemSchemas belong to the servers and to replication tools, and never replicate.
var systemSchemas = []string{"mysql", "sys", "information_schema", "performance_schema", "opsdeck", "dtle"}

// New compiles the rules of a job: what ignore names is left out, of the rest do chooses; an empty do chooses everything.
func New(do, ignore []SchemaRule) (*Selection, error) {
	s := &Selection{}
	var err error
	if s.do, err = compile("replicate_do_db", do); err != nil {
		return nil, err
	}
	if s.ignore, err = compile("replicate_ignore_db", ignore); err != nil {
		return nil, err
	}
	if !s.ignore.plain() {
		return nil, Wrong("replicate_ignore_db", "says more than what to leave out: renames, columns and filters belong into replicate_do_db")
	}
	return s, nil
}

// Schema reports whether the schema itself is replicated, which is what counts for CREATE, ALTER and DROP DATABASE. A schema of
// which only some tables are ignored is replicated.
func (s *Selection) Schema(name string) bool {
	if System(name) {
		return false
	}
	if ignored, ok := s.ignore.schema(name); ok && ignored.all {
		return false
	}
	_, chosen := s.do.schema(name)
	return chosen || s.do.none()
}

// Table reports whether the table is replicated.
func (s *Selection) Table(schema, table string) bool {
	_, ok := s.Find(schema, table)
	return ok
}

// Find returns the rule that takes a table, nil where it comes with a schema that is taken whole; ok is false for a table that is
// not replicated.
func (s *Selection) Find(schema, table string) (choice Choice, ok bool) {
	if System(schema) {
		return Choice{}, false
	}
	if ignored, found := s.ignore.schema(schema); found {
		if _, hit := ignored.table(table); hit || ignored.all {
			return Choice{}, false
		}
	}
	chosen, found := s.do.schema(schema)
	if !found {
		return Choice{Target: table}, s.do.none()
	}
	return chosen.table(table)
}

// SchemaRename returns the name of a schema at the target, as its rule says: a name before a regular expression, the first of several.
func (s *Selection) SchemaRename(name string) string {
	if chosen, ok := s.do.schema(name); ok {
		return chosen.target
	}
	return name
}

// Plain reports whether every replicated table keeps its name, its columns and all its rows.
func (s *Selection) Plain() bool { return s.do.plain() }

// Named yields the schemas that replicate_do_db names without a regular expression, with the tables that it names in them.
func (s *Selection) Named() iter.Seq2[string, []string] { return s.do.named() }

// Missing returns the chosen schemas and tables, as schema or schema.table, that exists denies; sorted. Regular expressions name
// nothing that must exist.
func (s *Selection) Missing(schemaExists func(schema string) bool, tableExists func(schema, table string) bool) []string {
	var out []string
	for schema, tables := range s.Named() {
		if !schemaExists(schema) {
			out = append(out, schema)
			continue
		}
		for _, table := range tables {
			if s.Table(schema, table) && !tableExists(schema, table) {
				out = append(out, schema+"."+table)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// System reports whether a schema is one of the servers' own, or of a replication tool.
func System(schema string) bool {
	return slices.ContainsFunc(systemSchemas, func(s string) bool { return strings.EqualFold(s, schema) })
}

// pattern is the name or the regular expression of a rule.
type pattern struct {
	name   string
	regex  *regexp.Regexp
	rename string
}

// newPattern compiles one; what is the beginning of the fields' names, table_schema or table.
func newPattern(field, nameField, what, name, regex, rename string) (pattern, error) {
	p := pattern{name: name, rename: rename}
	switch {
	case name == "" && regex == "":
		return p, Wrong(field+"."+nameField, "is empty: give a name, or %s_regex", what)
	case name != "" && regex != "":
		return p, Wrong(field+"."+what+"_regex", "contradicts %s: give one of them", nameField)
	case name != "":
		return p, nil
	}
	var err error
	if p.regex, err = regexp.Compile(regex); err != nil {
		return p, Wrong(field+"."+what+"_regex", "is not a regular expression of RE2: %v", err)
	}
	return p, p.checkTemplate(field + "." + what + "_rename")
}

// reference is ${name} or $name in a template.
var reference = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)

// checkTemplate refuses references to groups that the expression does not have, which would vanish from the name.
func (p pattern) checkTemplate(field string) error {
	for _, m := range reference.FindAllStringSubmatch(strings.ReplaceAll(p.rename, "$$", ""), -1) {
		group := m[1] + m[2]
		if p.regex.SubexpIndex(group) >= 0 {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(group, "%d", &n); err != nil || fmt.Sprint(n) != group || n > p.regex.NumSubexp() {
			return Wrong(field, "names the group %s, which the regular expression does not have (write ${1}x for group 1 followed by x)", m[0])
		}
	}
	return nil
}

// target returns the name at the target for a name that the pattern matches.
func (p pattern) target(name string) (string, bool) {
	if p.regex == nil {
		if p.name != name {
			return "", false
		}
		if p.rename == "" {
			return name, true
		}
		return p.rename, true
	}
	match := p.regex.FindStringSubmatchIndex(name)
	if match == nil {
		return "", false
	}
	if p.rename == "" {
		return name, true
	}
	return string(p.regex.ExpandString(nil, p.rename, name, match)), true
}

// maxName is the length of a name that the servers take, in characters.
const maxName = 64

// checkTarget refuses a new name that cannot be one. What a template makes is checked when it is made.
func (p pattern) checkTarget(field string, schema bool) error {
	if p.rename == "" || p.regex != nil {
		return nil
	}
	if err := CheckName(p.rename); err != nil {
		return Wrong(field, "cannot be a name: %v", err)
	}
	if schema && System(p.rename) {
		return Wrong(field, "is %s, a schema of the server or of a replication tool", p.rename)
	}
	return nil
}

// CheckName refuses what no server takes as the name of a schema or a table.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("the name %q is longer than %d characters", name, maxName)
	case strings.ContainsAny(name, "\x00/\\") || strings.HasSuffix(name, " "):
		return fmt.Errorf("the name %q has a character that names cannot have, or ends with a blank", name)
	}
	return nil
}
