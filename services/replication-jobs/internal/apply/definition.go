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

// definition is a DDL statement to be executed.
type definition struct {
	*binlog.Definition
	statement ddl.Statement // what the selection leaves of it
	gtid      string
	// more is set when rows of the same source transaction follow, so that the position may not yet move.
	more bool
	// change is what the statement does to the tables that are mapped.
	change mapping.Change
	// projected is set when the table has only some of the source's columns at the target, and none of the indexes over others.
	projected bool
	// replaces is set when an operator has written the statement in place of the source's.
	replaces bool
}

// StoppedError says that a job stands at a statement that it cannot carry over, which only an operator can help.
type StoppedError struct {
	// Position is where the statement ends in the source's binary log, as file:offset.
	Position string
	Err      error
}

func (e *StoppedError) Error() string { return e.Err.Error() }

func (e *StoppedError) Unwrap() error { return e.Err }

// define executes a statement between the transactions before and after it.
func (b *builder) define(ctx context.Context, t *binlog.Transaction, at mysql.Point) error {
	for _, decision := range b.applier.cfg.Decisions {
		if decision.Position == t.Definition.Position.String() {
			return b.decided(ctx, t, decision, at)
		}
	}
	if t.Definition.Problem != nil {
		return b.stop(ctx, t, t.Definition.Problem)
	}
	if kind, known := kinds[t.Definition.What]; known && slices.Contains(b.applier.cfg.Objects, kind) {
		return b.object(ctx, t, at)
	}
	statement, ok, err := t.Definition.Restrict(b.applier.cfg.Mapping)
	if err != nil {
		return b.stop(ctx, t, err)
	}
	b.passed(t.Definition)
	if ok {
		if statement, ok, err = b.left(ctx, t, statement, at); err != nil {
			return err
		}
	}
	if !ok {
		return b.pass(t, at)
	}
	return b.mapped(ctx, t, statement, at)
}

// passed tells of a statement about what is not replicated. An object counts by its own schema, the rest, such as a user, by the session's.
func (b *builder) passed(d *binlog.Definition) {
	chosen := b.applier.cfg.Mapping.Schema
	var names []string
	for _, o := range d.Objects {
		if chosen(o.Schema) {
			names = append(names, o.Schema+"."+o.Table)
		}
	}
	switch { // Not the text: it may hold a password.
	case d.What == "":
	case len(names) > 0:
		b.applier.event("ddl_ignored", "a statement that concerns the %s %s, at %s, is not replicated", d.What, strings.Join(names, ", "), d.Position)
	case len(d.Objects) == 0 && (d.Session.Schema == "" || chosen(d.Session.Schema)):
		b.applier.event("ddl_ignored", "a statement that concerns a %s, at %s, is not replicated", d.What, d.Position)
	}
}

// pass leaves a statement out.
func (b *builder) pass(t *binlog.Transaction, at mysql.Point) error {
	if !t.Last {
		return nil
	}
	b.batch = newBatch(&b.flight)
	b.batch.time, b.batch.end = t.Timestamp, t.Position
	return b.finish(t, at)
}

// mapped executes what the job's mapping makes of a statement.
func (b *builder) mapped(ctx context.Context, t *binlog.Transaction, statement ddl.Statement, at mysql.Point) error {
	statement, err := b.ownTables(statement)
	if err != nil {
		return err
	}
	if statement.Kind == ddl.Ignored {
		return b.pass(t, at)
	}
	alters := statement.Kind == ddl.DropIndex || statement.Kind == ddl.AlterTable
	projected := alters && b.applier.cfg.Mapping.Columns(statement.Tables[0]) != nil
	statement, change, err := b.register.Apply(statement)
	if err != nil {
		return b.stop(ctx, t, err)
	}
	if statement.Kind == ddl.Ignored {
		statement = ddl.Statement{} // nothing to execute, but something to remember
	} else if statement, err = statement.Rename(b.applier.cfg.Mapping); err != nil {
		return b.stop(ctx, t, err)
	}
	return b.execute(ctx, t, &definition{statement: statement, change: change, projected: projected}, at)
}

// ownTables replaces the DROP DATABASE of a schema that shares its place at the target with other ones by a DROP TABLE of what is its own.
func (b *builder) ownTables(statement ddl.Statement) (ddl.Statement, error) {
	if statement.Kind != ddl.DropDatabase {
		return statement, nil
	}
	shared, err := b.register.Shared(statement.Schema)
	if err != nil || !shared {
		return statement, err
	}
	var names []ddl.Name
	for _, t := range b.register.Tables(statement.Schema) {
		names = append(names, t.Source)
	}
	left, _, err := drop(names)
	return left, err
}

// stop is the error for a statement that cannot be carried over. All that comes before the statement is committed first.
func (b *builder) stop(ctx context.Context, t *binlog.Transaction, cause error) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	return &StoppedError{Position: t.Definition.Position.String(), Err: &mysql.Error{Permanent: true, Err: cause, Sentence: fmt.Sprintf(
		"the statement at %s cannot be replicated: %s", t.Definition.Position, ddl.Excerpt(t.Definition.Text))}}
}

// decided does with a statement what an operator has said. What it did at the source is the truth for the register all the same.
func (b *builder) decided(ctx context.Context, t *binlog.Transaction, decision ddl.Decision, at mysql.Point) error {
	var change mapping.Change
	if original, ok, err := t.Definition.Restrict(b.applier.cfg.Mapping); t.Definition.Problem == nil && err == nil && ok {
		if _, change, err = b.register.Apply(original); err != nil {
			return b.stop(ctx, t, err)
		}
	}
	if decision.Replacement == "" {
		b.applier.event("ddl_skipped", "as decided, the statement at %s is left out: %s", decision.Position, ddl.Excerpt(t.Definition.Text))
		return b.execute(ctx, t, &definition{change: change, replaces: true}, at)
	}
	statement, err := ddl.ParseReplacement(decision.Replacement)
	if err != nil {
		return b.stop(ctx, t, err)
	}
	b.applier.event("ddl_replaced", "as decided, the statement at %s is replaced by %s", decision.Position, ddl.Excerpt(decision.Replacement))
	return b.execute(ctx, t, &definition{statement: statement, change: change, replaces: true}, at)
}

// execute has the executor run a definition, and waits for it.
func (b *builder) execute(ctx context.Context, t *binlog.Transaction, d *definition, at mysql.Point) error {
	d.Definition, d.gtid, d.more = t.Definition, t.GTID, !t.Last
	u := &unit{definition: d, first: true, last: true, alone: true, applied: progress.Applied{SourceTime: t.Timestamp}}
	if t.Last {
		u.applied.Transactions = 1
		if err := b.executes(t.GTID, at); err != nil {
			return err
		}
		u.applied.Position = b.position(t.Position)
	}
	if err := b.ready(ctx); err != nil {
		return err
	}
	if err := b.hand(ctx, u); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	b.tables.reset()
	return nil
}
