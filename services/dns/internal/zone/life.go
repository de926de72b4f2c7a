package zone

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/audit"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Create stores a new domain with its first records. kind is Create, to make the zone on the server, or Import for one that is there. d
// has what is known of the domain; the rest is filled in. Errors: DOMAIN_EXISTS.
func (t *Tx) Create(ctx context.Context, d Domain, kind string, entries []rrset.Entry) (Domain, error) {
	d.Creator, d.CreatorTenant, d.CreatedAt = t.By.User, t.By.Tenant, t.now
	err := t.QueryRow(ctx, `
		INSERT INTO dns.domains (server_id, name, default_ttl, creator_tenant, creator, created_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		d.ServerID, d.Name, d.DefaultTTL, d.CreatorTenant, d.Creator, d.CreatedAt).Scan(&d.ID)
	if err != nil {
		return d, pg.Fault(err, "DOMAIN_EXISTS", "there is a domain %s on this server already", Shown(d.Name))
	}
	e := t.edit(d, kind, nil)
	e.Add(entries...)
	rows := e.delta()
	if err := rows.write(ctx, t.Tx, d.ID); err != nil {
		return d, err
	}
	change := &Change{Domain: d.ID, Server: d.ServerID, Tenant: d.Tenant, Kind: kind, State: Pending, Zone: d.Name, Sets: e.Changes()}
	verb := "added domain "
	event := "domain.created"
	if kind == Import {
		change.State = Applied
		change.Sets = nil // nothing that could be rolled back: the server had it before
		verb, event = "imported domain ", "domain.imported"
	}
	if err := t.Log(ctx, change); err != nil {
		return d, err
	}
	return d, t.tell(ctx, d, change.ID, event, audit.Operation{Target: audit.Domain, Type: audit.Added, Detail: verb + Shown(d.Name)})
}

// tell writes down and publishes what happened to a domain.
func (t *Tx) tell(ctx context.Context, d Domain, change int64, event string, operation audit.Operation) error {
	if err := t.Audit(ctx, d.Tenant, operation); err != nil {
		return err
	}
	return t.Publish(ctx, d.Tenant, event, strconv.FormatInt(d.ID, 10), &eventv1.DnsDomainChanged{
		ServerId: d.ServerID, DomainId: d.ID, Name: Shown(d.Name), ChangedBy: t.By.Name, ChangeId: change,
	})
}

// Rename gives a locked domain another name: its records move, and names in their values that lie in the old zone move with them. Errors:
// DOMAIN_EXISTS, DOMAIN_TOO_LARGE, RECORD_INVALID.
func (t *Tx) Rename(ctx context.Context, d Domain, name string, limit int) (Domain, error) {
	rows, err := AllRows(ctx, t, d, limit)
	if err != nil {
		return d, err
	}
	renamed := d
	renamed.Name = name
	e := t.edit(renamed, Rename, nil)
	moved := make([]rrset.Entry, len(rows))
	for i, r := range rows {
		e.before[r.ID] = r
		moved[i] = move(r.Entry(), d.Name, name)
	}
	if err := checkMoved(renamed, moved); err != nil {
		return d, err
	}
	for i, r := range rows {
		r.set(moved[i])
		e.put(r)
	}
	changed := e.delta()
	if err := changed.write(ctx, t.Tx, d.ID); err != nil {
		return d, err
	}
	if _, err := t.Exec(ctx, `UPDATE dns.domains SET name = $2, checked_serial = NULL WHERE id = $1`, d.ID, name); err != nil {
		return d, pg.Fault(err, "DOMAIN_EXISTS", "there is a domain %s on this server already", Shown(name))
	}
	sets, _ := rrset.Collect(moved)
	change := &Change{Domain: d.ID, Server: d.ServerID, Tenant: d.Tenant, Kind: Rename, State: Pending, Zone: d.Name, NewZone: name, undo: changed.undo(e.before)}
	for i := range sets {
		change.Sets = append(change.Sets, rrset.Change{After: &sets[i]})
	}
	if err := t.Log(ctx, change); err != nil {
		return d, err
	}
	operation := audit.Operation{Target: audit.Domain, Type: audit.Updated, Detail: "renamed domain " + Shown(d.Name) + " to " + Shown(name)}
	if err := t.tell(ctx, renamed, change.ID, "domain.renamed", operation); err != nil {
		return d, err
	}
	return renamed, e.follow(ctx, changed, &change.ID)
}

// checkMoved holds every rule against the records of a renamed domain: names have become longer or shorter.
func checkMoved(d Domain, entries []rrset.Entry) error {
	drafts := make([]rrset.Draft, len(entries))
	for i, e := range entries {
		ttl := int64(e.TTL)
		drafts[i] = rrset.Draft{Name: e.Name, Type: e.Type, Value: e.Value, TTL: &ttl, Disabled: e.Disabled}
	}
	if _, err := Parse(d, drafts); err != nil {
		return err
	}
	sets, problems := rrset.Collect(entries)
	return Invalid(append(problems, rrset.CheckZone(d.Name, sets)...))
}

// move returns a record of one zone as a record of another.
func move(e rrset.Entry, from, to string) rrset.Entry {
	e.Name = moveName(e.Name, from, to)
	switch e.Type {
	case "CNAME", "MX", "NS", "PTR", "SRV", "SOA":
		fields := strings.Split(e.Value, " ")
		for i := range fields {
			fields[i] = moveName(fields[i], from, to)
		}
		e.Value = strings.Join(fields, " ")
	}
	return e
}

func moveName(name, from, to string) string {
	if !rrset.InZone(name, from) {
		return name
	}
	return strings.TrimSuffix(name, from) + to
}

// Restore has the zone of a locked domain made again, with all its records, on a server that has it no more, and returns how many sets it gets.
// Errors: DOMAIN_TOO_LARGE.
func (t *Tx) Restore(ctx context.Context, d Domain, limit int) (sets int, err error) {
	e := t.edit(d, Restore, nil)
	if err := e.LoadAll(ctx, limit); err != nil {
		return 0, err
	}
	change := &Change{Domain: d.ID, Server: d.ServerID, Tenant: d.Tenant, Kind: Restore, State: Pending, Zone: d.Name}
	for _, key := range e.Keys() {
		change.Sets = append(change.Sets, rrset.Change{After: e.Set(key)})
	}
	if err := t.Log(ctx, change); err != nil {
		return 0, err
	}
	operation := audit.Operation{Target: audit.Domain, Type: audit.Updated, Detail: "made the zone " + Shown(d.Name) + " again on its server"}
	if err := t.Audit(ctx, d.Tenant, operation); err != nil {
		return 0, err
	}
	return len(change.Sets), t.TellSets(ctx, d, change)
}

// Delete makes a locked domain go, with the PTR records in other domains that follow its addresses. It is out of sight at once, and forgotten
// when the server has removed the zone.
func (t *Tx) Delete(ctx context.Context, d Domain) error {
	if _, err := t.Exec(ctx, `UPDATE dns.domains SET deleting = true WHERE id = $1`, d.ID); err != nil {
		return pg.Fault(err, "DOMAIN", "delete the domain %s", Shown(d.Name))
	}
	change := &Change{Domain: d.ID, Server: d.ServerID, Tenant: d.Tenant, Kind: Delete, State: Pending, Zone: d.Name}
	if err := t.Log(ctx, change); err != nil {
		return err
	}
	operation := audit.Operation{Target: audit.Domain, Type: audit.Deleted, Detail: "deleted domain " + Shown(d.Name)}
	if err := t.tell(ctx, d, change.ID, "domain.deleted", operation); err != nil {
		return err
	}
	rows, _ := t.Query(ctx, `
		SELECT p.domain_id, array_agg(p.id) FROM dns.records a JOIN dns.records p ON p.ptr_of = a.id
		WHERE a.domain_id = $1 AND p.domain_id <> $1 GROUP BY p.domain_id ORDER BY p.domain_id`, d.ID) // the error comes again below
	type removal struct {
		Domain int64
		IDs    []int64
	}
	removals, err := pgx.CollectRows(rows, pgx.RowToStructByPos[removal])
	if err != nil {
		return pg.Fault(err, "RECORDS", "look for PTR records")
	}
	for _, r := range removals {
		if err := t.take(ctx, Ref{Server: d.ServerID, Domain: r.Domain}, step{remove: r.IDs}, &change.ID); err != nil {
			return err
		}
	}
	return nil
}
