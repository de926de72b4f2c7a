// Package filter decides which schemas and tables a job replicates.
package filter

import (
	"fmt"
	"slices"
	"strings"
)

// TableRule names a table of a schema.
type TableRule struct {
	Name string
}

// SchemaRule names a schema and, where it is not meant whole, some of its tables.
type SchemaRule struct {
	Schema string
	Tables []TableRule
}

// Selection is a compiled choice of schemas and tables. The zero value selects everything but the system schemas.
type Selection struct {
	do, ignore map[string]tables
}

// tables are the chosen tables of a schema; nil means all of them.
type tables map[string]bool

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
	return s, nil
}

func compile(field string, rules []SchemaRule) (map[string]tables, error) {
	out := make(map[string]tables, len(rules))
	for i, r := range rules {
		if r.Schema == "" {
			return nil, fmt.Errorf("%s[%d].table_schema is empty: name a schema", field, i)
		}
		known, repeated := out[r.Schema]
		if len(r.Tables) == 0 || repeated && known == nil {
			out[r.Schema] = nil
			continue
		}
		if known == nil {
			known = tables{}
		}
		for j, t := range r.Tables {
			if t.Name == "" {
				return nil, fmt.Errorf("%s[%d].tables[%d].table_name is empty: name a table", field, i, j)
			}
			known[t.Name] = true
		}
		out[r.Schema] = known
	}
	return out, nil
}

// Schema reports whether the schema itself is replicated, which is what counts for CREATE, ALTER and DROP DATABASE. A schema of
// which only some tables are ignored is replicated.
func (s *Selection) Schema(name string) bool {
	if system(name) {
		return false
	}
	if ignored, ok := s.ignore[name]; ok && ignored == nil {
		return false
	}
	_, chosen := s.do[name]
	return chosen || len(s.do) == 0
}

// Table reports whether the table is replicated.
func (s *Selection) Table(schema, table string) bool {
	if !s.Schema(schema) {
		return false
	}
	if s.ignore[schema][table] {
		return false
	}
	chosen := s.do[schema]
	return chosen == nil || chosen[table]
}

// Whole reports whether a table that appears in the schema later is replicated whatever its name.
func (s *Selection) Whole(schema string) bool {
	return s.Schema(schema) && s.do[schema] == nil
}

// Missing returns the chosen schemas and tables, as schema or schema.table, that exists denies; sorted.
func (s *Selection) Missing(schemaExists func(schema string) bool, tableExists func(schema, table string) bool) []string {
	var out []string
	for schema, chosen := range s.do {
		if !schemaExists(schema) {
			out = append(out, schema)
			continue
		}
		for table := range chosen {
			if s.Table(schema, table) && !tableExists(schema, table) {
				out = append(out, schema+"."+table)
			}
		}
	}
	slices.Sort(out)
	return out
}

func system(schema string) bool {
	return slices.ContainsFunc(systemSchemas, func(s string) bool { return strings.EqualFold(s, schema) })
}
