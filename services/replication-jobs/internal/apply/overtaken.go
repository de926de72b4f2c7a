package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// TornError says that a statement moves rows between tables of which a copy has seen some before it and some after it, so that what was copied
// of these tables belongs to no moment. All before the statement is applied; once the tables were copied again the job goes on with it.
type TornError struct {
	// Tables are those to be copied again, by their names at the source.
	Tables []ddl.Name
	// Position is where the statement ends in the source's binary log, as file:offset.
	Position string
}

func (e *TornError) Error() string {
	names := make([]string, len(e.Tables))
	for i, name := range e.Tables {
		names[i] = name.Schema + "." + name.Table
	}
	return fmt.Sprintf("the statement at %s moves rows of %s between two snapshots of the copy, which is to be done again", e.Position, strings.Join(names, ", "))
}

// uncopied is the selection without what a copy has seen in its later state.
type uncopied struct {
	*mapping.Mapping
	handover *progress.Handover
	at       mysql.Point
}

// Schema implements ddl.Selection.
func (u uncopied) Schema(name string) bool {
	return u.Mapping.Schema(name) && u.handover.Schema(u.at) != progress.Skip
}

// Table implements ddl.Selection.
func (u uncopied) Table(schema, table string) bool {
	return u.Mapping.Table(schema, table) && u.handover.Mode(schema, table, u.at) != progress.Skip
}

// mode says how an event of a table is to be applied. The copy has nothing to say of one that is not replicated.
func (u uncopied) mode(name ddl.Name) progress.Mode {
	if !u.Mapping.Table(name.Schema, name.Table) {
		return progress.Strict
	}
	return u.handover.Mode(name.Schema, name.Table, u.at)
}

// left is what of a statement of replicated tables is to be executed, where a copy has seen some of them in a later state; ok is false when nothing is.
func (b *builder) left(ctx context.Context, t *binlog.Transaction, statement ddl.Statement, at mysql.Point) (left ddl.Statement, ok bool, err error) {
	if b.handover == nil {
		return statement, true, nil
	}
	u := uncopied{Mapping: b.applier.cfg.Mapping, handover: b.handover, at: at}
	torn := u.torn(statement)
	if !u.whole(statement) {
		children, err := b.children(ctx, u, statement)
		if err != nil {
			return statement, false, err
		}
		torn = append(torn, children...)
	}
	if len(torn) > 0 {
		if err := b.settle(ctx); err != nil {
			return statement, false, err
		}
		return statement, false, &TornError{Tables: torn, Position: t.Definition.Position.String()}
	}
	switch {
	case !u.whole(statement):
		return drop(u.sources(statement))
	case len(statement.Renames) > 0:
		return statement, true, nil
	case statement.Kind == ddl.DropDatabase && !u.Schema(statement.Schema):
		return drop(b.handover.Behind(statement.Schema, at))
	}
	return statement.Restrict(u)
}

// torn names the tables to which a statement would bring rows, or a definition, that the target does not have as they were before it.
func (u uncopied) torn(statement ddl.Statement) []ddl.Name {
	var gain []ddl.Name
	switch {
	case !u.whole(statement):
		for _, pair := range statement.Renames {
			gain = append(gain, pair.To)
		}
	case statement.Like != nil && u.mode(*statement.Like) == progress.Skip:
		gain = statement.Tables[:1]
	case exchanges(statement) && slices.ContainsFunc(statement.Tables, func(n ddl.Name) bool { return u.mode(n) != progress.Strict }):
		gain = statement.Tables
	}
	return u.behind(gain)
}

// children are tables at the target whose foreign keys refer to what a rename takes away there. At the source they refer to the new name from then on.
func (b *builder) children(ctx context.Context, u uncopied, statement ddl.Statement) ([]ddl.Name, error) {
	var out []ddl.Name
	for _, parent := range u.sources(statement) {
		there, err := u.Target(parent)
		if err != nil {
			return nil, err
		}
		referring, err := b.tables.referring(ctx, there)
		if err != nil {
			return nil, err
		}
		for _, name := range u.behind(u.handover.Copied()) {
			there, err := u.Target(name)
			if err != nil {
				return nil, err
			}
			if slices.Contains(referring, there) {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// exchanges reports whether two tables exchange rows.
func exchanges(statement ddl.Statement) bool {
	return statement.Kind == ddl.AlterTable && len(statement.Renames) == 0 && len(statement.Tables) > 1
}

// whole reports whether a rename finds at the target what it found at the source, and may bring it to where it did there.
func (u uncopied) whole(statement ddl.Statement) bool {
	return !slices.ContainsFunc(statement.Renames, func(pair ddl.Rename) bool {
		return u.mode(pair.From) != progress.Strict || u.mode(pair.To) == progress.Skip
	})
}

// sources are the tables that a rename takes away at the target: what became of them was copied.
func (u uncopied) sources(statement ddl.Statement) []ddl.Name {
	var from []ddl.Name
	for _, pair := range statement.Renames {
		from = append(from, pair.From)
	}
	return u.behind(from)
}

// behind leaves those replicated tables that the target does not have in a later state.
func (u uncopied) behind(names []ddl.Name) []ddl.Name {
	return slices.DeleteFunc(slices.Clone(names), func(n ddl.Name) bool { return !u.Table(n.Schema, n.Table) })
}

func drop(tables []ddl.Name) (left ddl.Statement, ok bool, err error) {
	if len(tables) == 0 {
		return ddl.Statement{}, false, nil
	}
	names := make([]string, len(tables))
	for i, name := range tables {
		names[i] = name.String()
	}
	left, err = ddl.Parse("DROP TABLE IF EXISTS "+strings.Join(names, ", "), ddl.Session{})
	return left, err == nil, err
}
