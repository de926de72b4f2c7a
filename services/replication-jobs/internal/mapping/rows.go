package mapping

import (
	"fmt"
	"slices"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/predicate"
)

// Rows is what becomes of the rows of one table. It is used by one goroutine. The nil Rows takes all as they are.
type Rows struct {
	table     ddl.Name
	columns   []mysql.Column // at the source
	order     []int          // of the chosen columns, as the target has them; nil for all
	predicate *predicate.Predicate
	values    []predicate.Value // of the predicate's columns, of the row at hand
}

// Rows returns what becomes of the rows of a table, which has the given columns at the source.
func (m *Mapping) Rows(name ddl.Name, columns []mysql.Column) (*Rows, error) {
	if m.plain {
		return nil, nil //nolint:nilnil // documented: a nil Rows is usable
	}
	choice, _ := m.Find(name.Schema, name.Table)
	condition := m.conditions[choice.Rule]
	if condition == nil && (choice.Rule == nil || len(choice.Rule.Columns) == 0) {
		return nil, nil //nolint:nilnil // see above
	}
	r := &Rows{table: name, columns: columns}
	var err error
	if len(choice.Rule.Columns) > 0 {
		if r.order, err = choose(name, choice.Rule.Columns, columns); err != nil {
			return nil, err
		}
	}
	if condition == nil {
		return r, nil
	}
	return r, r.filter(condition)
}

func (r *Rows) filter(condition *predicate.Condition) error {
	var err error
	if r.predicate, err = condition.Bind(r.columns); err != nil {
		return refuse("the filter of table %s: %v", plainName(r.table), err)
	}
	for _, at := range r.predicate.Columns {
		if r.columns[at].Generated {
			return refuse("the filter of table %s uses column %s, which is generated: the log need not hold it", plainName(r.table), r.columns[at].Name)
		}
	}
	r.values = make([]predicate.Value, len(r.predicate.Columns))
	return nil
}

// compileConditions reads the filters of the rules.
func (m *Mapping) compileConditions(do []filter.SchemaRule) error {
	m.conditions = map[*filter.TableRule]*predicate.Condition{}
	for i := range do {
		for j := range do[i].Tables {
			rule := &do[i].Tables[j]
			if rule.Where == "" {
				continue
			}
			var err error
			if m.conditions[rule], err = predicate.Parse(rule.Where); err != nil {
				return filter.Wrong(fmt.Sprintf("replicate_do_db[%d].tables[%d].where", i, j), "is refused: %v", err)
			}
		}
	}
	return nil
}

// Run is a number of changes of one kind that follow each other.
type Run struct {
	Kind   binlog.Kind
	Images []binlog.Image
	// Stays is set for deletes of rows that the source still has: they have left the filter, and must take nothing along.
	Stays bool
}

// Runs returns the changes that are left of an event's: a row that enters the filter by an update is inserted, and one that leaves it is
// deleted.
func (r *Rows) Runs(kind binlog.Kind, images []binlog.Image) ([]Run, error) {
	if r == nil {
		return []Run{{Kind: kind, Images: images}}, nil
	}
	out, err := r.filtered(kind, images)
	if err != nil || r.order == nil {
		return out, err
	}
	return out, r.project(out)
}

func (r *Rows) filtered(kind binlog.Kind, images []binlog.Image) ([]Run, error) {
	if r.predicate == nil {
		return []Run{{Kind: kind, Images: images}}, nil
	}
	var out []Run
	each := 1
	if kind == binlog.Update {
		each = 2
	}
	for i := 0; i+each <= len(images); i += each {
		change, err := r.change(kind, images[i:i+each])
		if err != nil {
			return nil, err
		}
		if last := len(out) - 1; last >= 0 && out[last].Kind == change.Kind && out[last].Stays == change.Stays {
			out[last].Images = append(out[last].Images, change.Images...)
		} else if len(change.Images) > 0 {
			out = append(out, change)
		}
	}
	return out, nil
}

// change returns what is left of one change, without images if nothing is.
func (r *Rows) change(kind binlog.Kind, images []binlog.Image) (Run, error) {
	before, err := r.match(images[0])
	if err != nil {
		return Run{}, err
	}
	after := before
	if kind == binlog.Update {
		if after, err = r.match(images[1]); err != nil {
			return Run{}, err
		}
	}
	switch {
	case before && after:
		return Run{Kind: kind, Images: images[:len(images):len(images)]}, nil
	case before:
		return Run{Kind: binlog.Delete, Images: images[:1:1], Stays: true}, nil
	case after:
		return Run{Kind: binlog.Insert, Images: images[1:2:2]}, nil
	}
	return Run{Kind: kind}, nil
}

func (r *Rows) match(image binlog.Image) (bool, error) {
	for i, at := range r.predicate.Columns {
		var err error
		if r.values[i], err = predicate.FromLog(image.Values[at], &r.columns[at]); err != nil {
			return false, r.explain(err)
		}
	}
	return r.decide()
}

// Projects reports whether the target has only some columns, or in another order.
func (r *Rows) Projects() bool { return r != nil && r.order != nil }

// CheckTarget refuses a table of the target that does not have the chosen columns, or whose columns would be compared in another way than those
// of the source: the filter is evaluated by the source's definitions for a copy, and by the target's for the binary log, which tells no
// collations.
func (r *Rows) CheckTarget(there []mysql.Column) error {
	if r == nil {
		return nil
	}
	if err := r.checkOrder(there); err != nil || r.predicate == nil {
		return err
	}
	for _, at := range r.predicate.Columns {
		want := r.columns[at]
		i := slices.IndexFunc(there, func(c mysql.Column) bool { return c.Name == want.Name })
		if i < 0 || there[i].DataType != want.DataType || there[i].Unsigned != want.Unsigned || there[i].Collation != want.Collation {
			return refuse("the filter of table %s uses column %s, which is not the same at the target", plainName(r.table), want.Name)
		}
	}
	return nil
}

// MatchCopied reports whether a row that a copy has read is replicated. place tells where in the row each column of the source is.
func (r *Rows) MatchCopied(row []gomysql.FieldValue, place map[int]int) (bool, error) {
	if r == nil || r.predicate == nil {
		return true, nil
	}
	for i, at := range r.predicate.Columns {
		var err error
		if r.values[i], err = predicate.FromField(&row[place[at]], &r.columns[at]); err != nil {
			return false, r.explain(err)
		}
	}
	return r.decide()
}

func (r *Rows) decide() (bool, error) {
	ok, err := r.predicate.Match(r.values)
	if err != nil {
		return false, r.explain(err)
	}
	return ok, nil
}

func (r *Rows) explain(err error) error {
	return &mysql.Error{Permanent: true, Err: err, Sentence: fmt.Sprintf("the filter of table %s fails for a row", plainName(r.table))}
}
