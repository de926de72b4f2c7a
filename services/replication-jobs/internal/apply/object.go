package apply

import (
	"context"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// kinds are those of what statements define.
var kinds = map[string]objects.Kind{
	"view": objects.Views, "trigger": objects.Triggers, "procedure": objects.Routines, "function": objects.Routines, "package": objects.Routines,
	"event": objects.Events,
}

// object executes a statement about objects that are replicated. A copy creates them as its last snapshot has seen them.
func (b *builder) object(ctx context.Context, t *binlog.Transaction, at mysql.Point) error {
	if len(t.Definition.Objects) == 0 { // a loadable function
		b.passed(t.Definition)
		return b.pass(t, at)
	}
	if b.handover.Schema(at) == progress.Skip {
		return b.pass(t, at)
	}
	o, err := t.Definition.Object()
	if err != nil {
		return b.stop(ctx, t, err)
	}
	var chosen []ddl.Name
	for _, name := range o.Names {
		if b.chosen(o, name) {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return b.pass(t, at)
	}
	statement, err := o.Target(b.applier.cfg.Mapping, chosen)
	if err != nil {
		return b.stop(ctx, t, err)
	}
	return b.execute(ctx, t, &definition{statement: statement}, at)
}

// chosen reports whether an object is replicated: a view like a table, a trigger with its table where the statement names that, and else what is in
// a chosen schema.
func (b *builder) chosen(o ddl.Object, name ddl.Name) bool {
	m := b.applier.cfg.Mapping
	switch {
	case o.Type == "VIEW":
		return m.Table(name.Schema, name.Table)
	case o.On.Table != "":
		return m.Table(o.On.Schema, o.On.Table)
	}
	return m.Schema(name.Schema)
}
