package zone

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/services/dns/internal/audit"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

const (
	// shownSets is how many record sets an event names.
	shownSets = 100
	// singleOperations is up to how many records a change did the same to have operations of their own in the audit.
	singleOperations = 100
	// longDetail is how many bytes of records others are put into one operation: below the most that one keeps, and so few that PostgreSQL does not try to
	// compress the row, which takes longer than to store it.
	longDetail = 1800
)

// Result is an edit that was written.
type Result struct {
	Change  int64 // 0: nothing changed
	Added   []Row // with their ids, in the order in which they were added
	Changed []Row
}

// Finish checks an edit and writes it down, with its audit, its event, its push and the PTR records that follow it. Its rows are written after the
// commit (Changer.write), unless there is no push beside which that could be done. Errors: RECORD_INVALID,
// CHANGED_MEANWHILE, PTR_ZONE_UNKNOWN.
func (e *Edit) Finish(ctx context.Context) (Result, error) {
	d := e.delta()
	if d.empty() {
		return Result{}, nil
	}
	touched := d.touched(e.before)
	var changes []rrset.Change
	var beside errgroup.Group // of many records, the rules have no more to do than this
	beside.Go(func() error { return d.number(ctx, e.tx.Tx) })
	e.keys() // once, for both that follow
	beside.Go(func() error {
		changes = e.Changes()
		return nil
	})
	found := e.together(touched)
	if err := beside.Wait(); err != nil {
		return Result{}, err
	}
	if err := e.check(ctx, touched, found); err != nil {
		return Result{}, err
	}
	change := &Change{
		Domain: e.Domain.ID, Server: e.Domain.ServerID, Parent: e.parent, Tenant: e.Domain.Tenant,
		Kind: e.kind, State: Pending, Zone: e.Domain.Name,
		Sets: changes, undo: d.undo(e.before),
	}
	if e.kind == Adopt {
		change.State = Applied
	}
	var err error
	if change.Reshapes, err = e.reshapes(ctx, change.Sets, touched); err != nil {
		return Result{}, err
	}
	if e.atOnce || change.State != Pending || len(change.Sets) == 0 {
		err = d.write(ctx, e.tx.Tx, e.Domain.ID)
	} else {
		e.leave(change, &d)
	}
	if err != nil {
		return Result{}, err
	}
	result := Result{Added: d.added, Changed: d.changed}
	if len(change.Sets) > 0 {
		if err := e.record(ctx, d, change); err != nil {
			return Result{}, err
		}
		result.Change = change.ID
	}
	return result, e.follow(ctx, d, &change.ID)
}

// record writes down who changed what.
func (e *Edit) record(ctx context.Context, d delta, change *Change) error {
	change.encode() // while the audit is written
	if err := e.tx.Audit(ctx, e.Domain.Tenant, e.operations(d)...); err != nil {
		return err
	}
	if err := e.tx.Log(ctx, change); err != nil {
		return err
	}
	return e.tx.TellSets(ctx, e.Domain, change)
}

// TellSets publishes which record sets of a domain a change is about.
func (t *Tx) TellSets(ctx context.Context, d Domain, change *Change) error {
	return t.Publish(ctx, d.Tenant, "records.changed", strconv.FormatInt(d.ID, 10), &eventv1.DnsRecordsChanged{
		DomainId: d.ID, Domain: Shown(d.Name), ChangedBy: t.By.Name, ChangeId: change.ID, Count: int64(len(change.Sets)), Sets: keys(change.Sets),
	})
}

// keys names the sets of changes for an event, the first hundred.
func keys(changes []rrset.Change) []string {
	names := make([]string, 0, min(len(changes), shownSets))
	for _, c := range changes[:min(len(changes), shownSets)] {
		names = append(names, c.Key().String())
	}
	return names
}

func (e *Edit) operations(d delta) []audit.Operation {
	var deleted, enabled, disabled, updated, added []string
	for _, r := range d.removed {
		deleted = append(deleted, text(r))
	}
	for _, r := range d.changed {
		was := e.before[r.ID]
		switch {
		case was.Entry() == r.Entry():
			// only whether a PTR follows it
		case was.Disabled != r.Disabled && !r.Disabled:
			enabled = append(enabled, text(r))
		case was.Disabled != r.Disabled:
			disabled = append(disabled, text(r))
		default:
			updated = append(updated, text(was)+" to "+text(r))
		}
	}
	for _, r := range d.added {
		added = append(added, text(r))
	}
	return slices.Concat(told(audit.Deleted, "deleted", deleted), told(audit.Enabled, "enabled", enabled), told(audit.Disabled, "disabled", disabled),
		told(audit.Updated, "updated", updated), told(audit.Added, "added", added))
}

// told returns the operations for what was done to records: one for each of up to a hundred, and of more than that as few as hold them.
func told(kind, verb string, records []string) []audit.Operation {
	var all []audit.Operation
	tell := func(detail string) {
		all = append(all, audit.Operation{Target: audit.Record, Type: kind, Detail: verb + " domain " + detail})
	}
	if len(records) <= singleOperations {
		for _, r := range records {
			tell("record " + r)
		}
		return all
	}
	for from := 0; from < len(records); {
		to, size := from+1, len(records[from])
		for to < len(records) && size+len(records[to]) <= longDetail {
			size += len(records[to]) + len("; ")
			to++
		}
		tell("records " + strings.Join(records[from:to], "; "))
		from = to
	}
	return all
}

// text is a record in the audit.
func text(r Row) string {
	return Shown(r.Name) + " " + strconv.FormatInt(r.TTL, 10) + " " + r.Type + " " + r.Value
}
