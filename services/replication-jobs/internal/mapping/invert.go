package mapping

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"
)

// Invert returns the rules by which a job replicates back what a job with the given rules has brought to its target. Row filters stay: their
// columns have the same names at both ends. Its error names the rule that has no inverse. Columns returns those that a table of the source has, in its
// order; it is asked about tables whose columns the rules choose.
func Invert(
	do, ignore []*replicationv1.SchemaRule, columns func(schema, table string) ([]string, error),
) (back, backIgnore []*replicationv1.SchemaRule, err error) {
	v := inversion{do: do, origin: map[string]string{}, columns: columns}
	for i, rule := range do {
		inverse, err := v.schema(rule, fmt.Sprintf("replicate_do_db[%d]", i))
		if err != nil {
			return nil, nil, err
		}
		back = append(back, inverse)
	}
	for i, rule := range ignore {
		inverse, err := v.ignored(rule, fmt.Sprintf("replicate_ignore_db[%d]", i))
		if err != nil {
			return nil, nil, err
		}
		backIgnore = append(backIgnore, inverse)
	}
	return back, backIgnore, nil
}

// inversion is an inversion under way.
type inversion struct {
	do      []*replicationv1.SchemaRule
	origin  map[string]string // of the schemas of the target: what they are called at the source
	columns func(schema, table string) ([]string, error)
}

func (v *inversion) schema(rule *replicationv1.SchemaRule, at string) (*replicationv1.SchemaRule, error) {
	if rule.GetTableSchemaRegex() != "" && rule.GetTableSchemaRename() != "" {
		return nil, fmt.Errorf("%s renames what a regular expression finds, which has no inverse", at)
	}
	inverse := &replicationv1.SchemaRule{TableSchemaRegex: rule.GetTableSchemaRegex()}
	if name := rule.GetTableSchema(); name != "" {
		target := v.target(name)
		if other, taken := v.origin[target]; taken && other != name {
			return nil, fmt.Errorf("%s and another rule bring the schemas %s and %s together as %s, which has no inverse", at, other, name, target)
		}
		v.origin[target] = name
		inverse.TableSchema, inverse.TableSchemaRename = target, renamed(target, name)
	}
	for i, table := range rule.GetTables() {
		if table.GetTableRegex() != "" && table.GetTableRename() != "" {
			return nil, fmt.Errorf("%s.tables[%d] renames what a regular expression finds, which has no inverse", at, i)
		}
		t := proto.CloneOf(table)
		var err error
		if t.ColumnMapFrom, err = v.order(rule, table); err != nil {
			return nil, fmt.Errorf("%s.tables[%d] %w", at, i, err)
		}
		if name := table.GetTableName(); name != "" {
			t.TableName = cmp.Or(table.GetTableRename(), name)
			t.TableRename = renamed(t.TableName, name)
		}
		inverse.Tables = append(inverse.Tables, t)
	}
	return inverse, nil
}

// order returns the columns of a table in the order of the source, where the rule has brought all of them into another one.
func (v *inversion) order(schema *replicationv1.SchemaRule, table *replicationv1.TableRule) ([]string, error) {
	if len(table.GetColumnMapFrom()) == 0 {
		return nil, nil
	}
	if schema.GetTableSchema() == "" || table.GetTableName() == "" {
		return nil, errors.New("chooses columns of what a regular expression finds, which has no inverse")
	}
	all, err := v.columns(schema.GetTableSchema(), table.GetTableName())
	if err != nil {
		return nil, fmt.Errorf("chooses columns, and those of the source are not known: %w", err)
	}
	if len(all) != len(table.GetColumnMapFrom()) {
		return nil, errors.New("chooses some of the columns: what is written to the target has no values for the others")
	}
	return all, nil
}

// target is what a schema is called at the target: the first rule that names it says so.
func (v *inversion) target(schema string) string {
	i := slices.IndexFunc(v.do, func(r *replicationv1.SchemaRule) bool { return r.GetTableSchema() == schema })
	if i < 0 {
		return schema
	}
	return cmp.Or(v.do[i].GetTableSchemaRename(), schema)
}

// renamed is the new name that a rule needs; none where it is the same.
func renamed(from, to string) string {
	if from == to {
		return ""
	}
	return to
}

func (v *inversion) ignored(rule *replicationv1.SchemaRule, at string) (*replicationv1.SchemaRule, error) {
	inverse := proto.CloneOf(rule)
	if inverse.GetTableSchemaRegex() != "" {
		if slices.ContainsFunc(v.do, renames) {
			return nil, fmt.Errorf("%s is a regular expression over names that replicate_do_db changes, which has no inverse", at)
		}
		return inverse, nil
	}
	inverse.TableSchema = v.target(rule.GetTableSchema())
	for i, table := range inverse.GetTables() {
		switch {
		case table.GetTableName() != "":
			table.TableName = v.targetTable(rule.GetTableSchema(), table.GetTableName())
		case slices.ContainsFunc(v.do, renames):
			return nil, fmt.Errorf("%s.tables[%d] is a regular expression over names that replicate_do_db changes, which has no inverse", at, i)
		}
	}
	return inverse, nil
}

func renames(rule *replicationv1.SchemaRule) bool {
	return rule.GetTableSchemaRename() != "" ||
		slices.ContainsFunc(rule.GetTables(), func(t *replicationv1.TableRule) bool { return t.GetTableRename() != "" })
}

func (v *inversion) targetTable(schema, table string) string {
	for _, rule := range v.do {
		for _, t := range rule.GetTables() {
			if rule.GetTableSchema() == schema && t.GetTableName() == table {
				return cmp.Or(t.GetTableRename(), table)
			}
		}
	}
	return table
}
