package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// nameObjects tells what the source has besides tables that the job leaves out.
func (r *run) nameObjects() error {
	all, err := objects.List(r.source, r.mapping)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if left := objects.Except(all, r.job.Objects); len(left) > 0 {
		r.report.event("warning", "not replicated, create on the target what is needed: "+objects.Describe(left))
	}
	if present := objects.Only(all, r.job.Objects); len(present) > 0 && !r.wantsCopy() {
		r.report.event("warning", "the job starts without a copy, only what changes of these is replicated, create them on the target: "+objects.Describe(present))
	}
	return nil
}

// createObjects creates what a copy has recorded besides tables. It may be interrupted at any moment and run again.
func (r *run) createObjects(ctx context.Context) error {
	if len(r.job.Objects) == 0 {
		return nil
	}
	c, err := mysql.Connect(ctx, r.job.Target)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	defer func() { _ = c.Close() }() // what matters is committed
	all, err := progress.LoadObjects(c, r.job.ID)
	if err != nil || len(all) == 0 {
		return err
	}
	waits := func() {
		r.report.event("ddl_waits", "waiting for a statement that an earlier run of the job has left running on the target")
	}
	// A later run waits for the end of this session before it changes an object, and this one finds out here that there is one.
	return apply.Exclusively(c, r.job.ID, waits, func() error {
		if err := progress.CheckOwner(c, r.job.ID, r.job.Epoch); err != nil {
			return err
		}
		kept := r.undecided(all)
		err := objects.Create(c, kept, r.mapping, r.report.event)
		var refused *objects.RefusedError
		if errors.As(err, &refused) && mysql.Code(err) != 0 {
			o := refused.Object
			place := ddl.ObjectPlace(o.Type, o.Schema, o.Name, o.Text)
			return &apply.StoppedError{Position: place, Err: fmt.Errorf("%w (its position, to have it left out, is %s)", err, place)}
		}
		if err != nil {
			return err
		}
		return r.created(ctx, kept)
	})
}

// undecided leaves out the objects that the operator has the job leave out, as the target refuses them.
func (r *run) undecided(all []progress.Object) []progress.Object {
	var kept []progress.Object
	for _, o := range all {
		place := ddl.ObjectPlace(o.Type, o.Schema, o.Name, o.Text)
		if slices.ContainsFunc(r.job.Decisions, func(d ddl.Decision) bool { return d.Position == place }) {
			r.report.event("ddl_skipped", fmt.Sprintf("as decided, the %s %s.%s is left out", strings.ToLower(o.Type), o.Schema, o.Name))
			continue
		}
		kept = append(kept, o)
	}
	return kept
}

// created records that all objects are there.
func (r *run) created(ctx context.Context, all []progress.Object) error {
	c, err := mysql.Connect(ctx, r.job.Target) // the session that created them is like their own
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	defer func() { _ = c.Close() }() // what matters is committed
	rec, err := progress.NewRecorder(c, r.job.ID, r.job.Epoch)
	if err != nil {
		return err
	}
	err = c.Transaction(func() error {
		if err := rec.Fence(); err != nil {
			return err
		}
		return rec.PutObjects(nil)
	})
	if err != nil {
		return mysql.Explain(err)
	}
	names := make([]objects.Object, len(all))
	for i, o := range all {
		names[i] = objects.Object{Kind: objects.Kind(o.Kind), Type: o.Type, Schema: o.Schema, Name: o.Name}
	}
	if len(names) > 0 {
		r.report.event("copy", "copied "+objects.Describe(names))
	}
	return nil
}
