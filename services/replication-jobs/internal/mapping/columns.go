package mapping

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/predicate"
)

// checkColumns refuses choices of columns that no table allows.
func checkColumns(do []filter.SchemaRule, conditions map[*filter.TableRule]*predicate.Condition) error {
	for i := range do {
		for j := range do[i].Tables {
			rule := &do[i].Tables[j]
			at := fmt.Sprintf("replicate_do_db[%d].tables[%d]", i, j)
			for k, name := range rule.Columns {
				if name == "" || slices.ContainsFunc(rule.Columns[:k], func(n string) bool { return strings.EqualFold(n, name) }) {
					return filter.Wrong(fmt.Sprintf("%s.column_map_from[%d]", at, k), "is empty or names a column again")
				}
			}
			if len(rule.Columns) == 0 || conditions[rule] == nil {
				continue
			}
			for _, name := range conditions[rule].Names {
				if !has(rule.Columns, name) {
					return filter.Wrong(at+".where", "uses column %s, which column_map_from leaves out", name)
				}
			}
		}
	}
	return nil
}

func has(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// Columns returns the columns of a table that are replicated, in the order of the target; nil for all.
func (m *Mapping) Columns(name ddl.Name) []string {
	if m.plain {
		return nil
	}
	return m.rule(name).Columns
}

// choose finds the columns of a rule among those that the table has.
func choose(name ddl.Name, chosen []string, all []mysql.Column) ([]int, error) {
	order := make([]int, len(chosen))
	for i, column := range chosen {
		order[i] = slices.IndexFunc(all, func(c mysql.Column) bool { return strings.EqualFold(c.Name, column) })
		if order[i] < 0 {
			return nil, refuse("column_map_from of table %s names column %s, which the table does not have", plainName(name), column)
		}
	}
	return order, nil
}

// CheckKey refuses a choice of columns that leaves out one by which the rows of the table are told apart.
func (r *Rows) CheckKey(t *mysql.Table) error {
	_, err := r.Place(t.Key())
	return err
}

// Place returns where the columns of a key, which are indexes at the source, are among those chosen. It refuses a choice that leaves one out.
func (r *Rows) Place(key []int) ([]int, error) {
	if r == nil || r.order == nil {
		return key, nil
	}
	var out []int
	for _, at := range key {
		place := slices.Index(r.order, at)
		if place < 0 {
			return nil, refuse("column_map_from of table %s leaves out column %s of its key", plainName(r.table), r.columns[at].Name)
		}
		out = append(out, place)
	}
	return out, nil
}

// Order returns the indexes of the source's columns in the order of the target.
func (r *Rows) Order(columns int) []int {
	if r != nil && r.order != nil {
		return r.order
	}
	all := make([]int, columns)
	for i := range all {
		all[i] = i
	}
	return all
}

// checkOrder compares the columns of the target's table with those chosen.
func (r *Rows) checkOrder(there []mysql.Column) error {
	if r.order == nil {
		return nil
	}
	chosen := make([]mysql.Column, len(r.order))
	for i, at := range r.order {
		chosen[i] = r.columns[at]
	}
	if !slices.EqualFunc(chosen, there, func(a, b mysql.Column) bool { return strings.EqualFold(a.Name, b.Name) }) {
		return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
			"the target's table for %s must have the columns of column_map_from in that order, %s, and has %s", plainName(r.table), names(chosen), names(there))}
	}
	return nil
}

// Types returns what is left of the types of the source's columns.
func (r *Rows) Types(source []byte) ([]byte, error) {
	if r == nil || r.order == nil {
		return source, nil
	}
	if len(source) != len(r.columns) {
		return nil, &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
			"the log has %d columns of table %s where %d are known (%s): create the job anew", len(source), plainName(r.table), len(r.columns), names(r.columns))}
	}
	out := make([]byte, len(r.order))
	for i, at := range r.order {
		out[i] = source[at]
	}
	return out, nil
}

func names(columns []mysql.Column) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return strings.Join(out, ", ")
}

// project leaves the chosen columns of the images of runs.
func (r *Rows) project(runs []Run) error {
	for _, run := range runs {
		for i := range run.Images {
			image := &run.Images[i]
			for _, at := range image.Missing {
				if slices.Contains(r.order, at) && !r.columns[at].Generated {
					return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
						"the log leaves out column %s of table %s: set binlog_row_image=FULL at the source", r.columns[at].Name, plainName(r.table))}
				}
			}
			values := make([]any, len(r.order))
			for k, at := range r.order {
				values[k] = image.Values[at]
			}
			*image = binlog.Image{Values: values}
		}
	}
	return nil
}
