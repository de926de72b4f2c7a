package zone

import (
	"context"
	"strconv"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/services/dns/internal/audit"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// shownSets is how many record sets an event names.
const shownSets = 100

// Result is an edit that was written.
type Result struct {
	Change  int64 // 0: nothing changed
	Added   []Row // with their ids, in the order in which they were added
	Changed []Row
}

// Finish checks an edit and writes it, with its audit, its event, its push and the PTR records that follow it. Errors: RECORD_INVALID,
// PTR_ZONE_UNKNOWN.
func (e *Edit) Finish(ctx context.Context) (Result, error) {
	d := e.delta()
	if d.empty() {
		return Result{}, nil
	}
	if err := e.check(ctx, d); err != nil {
		return Result{}, err
	}
	if err := d.write(ctx, e.tx.Tx, e.Domain.ID); err != nil {
		return Result{}, err
	}
	change := &Change{
		Domain: e.Domain.ID, Server: e.Domain.ServerID, Parent: e.parent, Tenant: e.Domain.Tenant,
		Kind: e.kind, State: Pending, Zone: e.Domain.Name,
		Sets: e.Changes(), undo: d.undo(e.before),
	}
	if e.kind == Adopt {
		change.State = Applied
	}
	var err error
	if change.Reshapes, err = e.reshapes(ctx, change.Sets, d); err != nil {
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
	if err := e.tx.Log(ctx, change); err != nil {
		return err
	}
	if err := e.tx.Audit(ctx, e.Domain.Tenant, e.operations(d)...); err != nil {
		return err
	}
	event := &eventv1.DnsRecordsChanged{
		DomainId: e.Domain.ID, Domain: Shown(e.Domain.Name), ChangedBy: e.tx.By.Name, ChangeId: change.ID, Count: int64(len(change.Sets)),
	}
	event.Sets = Keys(change.Sets)
	return e.tx.Publish(ctx, e.Domain.Tenant, "records.changed", strconv.FormatInt(e.Domain.ID, 10), event)
}

// Keys names the sets of changes for an event, the first hundred.
func Keys(changes []rrset.Change) []string {
	names := make([]string, 0, min(len(changes), shownSets))
	for _, c := range changes[:min(len(changes), shownSets)] {
		names = append(names, c.Key().String())
	}
	return names
}

func (e *Edit) operations(d delta) []audit.Operation {
	all := make([]audit.Operation, 0, len(d.added)+len(d.changed)+len(d.removed))
	for _, r := range d.removed {
		all = append(all, audit.Operation{Target: audit.Record, Type: audit.Deleted, Detail: "deleted domain record " + text(r)})
	}
	for _, r := range d.changed {
		was := e.before[r.ID]
		switch {
		case was.Entry() == r.Entry():
			// only whether a PTR follows it
		case was.Disabled != r.Disabled && !r.Disabled:
			all = append(all, audit.Operation{Target: audit.Record, Type: audit.Enabled, Detail: "enabled domain record " + text(r)})
		case was.Disabled != r.Disabled:
			all = append(all, audit.Operation{Target: audit.Record, Type: audit.Disabled, Detail: "disabled domain record " + text(r)})
		default:
			all = append(all, audit.Operation{Target: audit.Record, Type: audit.Updated, Detail: "updated domain record " + text(was) + " to " + text(r)})
		}
	}
	for _, r := range d.added {
		all = append(all, audit.Operation{Target: audit.Record, Type: audit.Added, Detail: "added domain record " + text(r)})
	}
	return all
}

// text is a record in the audit.
func text(r Row) string {
	return Shown(r.Name) + " " + strconv.FormatInt(r.TTL, 10) + " " + r.Type + " " + r.Value
}
