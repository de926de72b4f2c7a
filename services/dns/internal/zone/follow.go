package zone

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// follower is a PTR record that follows an address.
type follower struct {
	ID     int64 `db:"id"`
	Domain int64 `db:"domain_id"`
	PTROf  int64 `db:"ptr_of"`
}

// step is what happens to PTR records of one reverse zone.
type step struct {
	remove []int64
	add    []Row // the addresses to be followed
}

// follow lets PTR records follow the addresses that changed: in the same transaction, as changes of their own zones.
func (e *Edit) follow(ctx context.Context, d delta, parent *int64) error {
	steps, err := e.steps(ctx, d)
	if err != nil {
		return err
	}
	domains := make([]int64, 0, len(steps))
	for id := range steps {
		domains = append(domains, id)
	}
	slices.Sort(domains) // one order for everybody, so that two transactions do not wait for each other
	if *parent == 0 {
		parent = nil
	}
	for _, id := range domains {
		if err := e.tx.take(ctx, Ref{Server: e.Domain.ServerID, Domain: id}, *steps[id], parent); err != nil {
			return err
		}
	}
	return nil
}

// steps finds out what happens to which reverse zone.
func (e *Edit) steps(ctx context.Context, d delta) (map[int64]*step, error) {
	steps := map[int64]*step{}
	of := func(domain int64) *step {
		if steps[domain] == nil {
			steps[domain] = &step{}
		}
		return steps[domain]
	}
	followers, err := e.followers(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Concat(d.removed, d.changed) {
		if f, ok := followers[r.ID]; ok {
			of(f.Domain).remove = append(of(f.Domain).remove, f.ID)
		}
	}
	for _, rows := range [][]Row{d.changed, d.added} {
		for _, r := range rows {
			_, wanted := followers[r.ID]
			if r.wantPTR != nil {
				wanted = *r.wantPTR
			}
			if !wanted {
				continue
			}
			reverse, err := e.reverse(ctx, r)
			if err != nil {
				return nil, err
			}
			of(reverse).add = append(of(reverse).add, r)
		}
	}
	return steps, nil
}

// followers returns the PTR records of addresses that change or go, by the id of the address.
func (e *Edit) followers(ctx context.Context, d delta) (map[int64]follower, error) {
	var ids []int64
	for _, r := range slices.Concat(d.removed, d.changed) {
		if r.Type == "A" || r.Type == "AAAA" || e.before[r.ID].Type == "A" || e.before[r.ID].Type == "AAAA" {
			ids = append(ids, r.ID)
		}
	}
	found := map[int64]follower{}
	if len(ids) == 0 {
		return found, nil
	}
	rows, _ := e.tx.Query(ctx, `SELECT id, domain_id, ptr_of FROM dns.records WHERE ptr_of = ANY ($1)`, ids) // the error comes again below
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[follower])
	for _, f := range all {
		found[f.PTROf] = f
	}
	return found, pg.Fault(err, "RECORDS", "look for PTR records")
}

// reverse returns the managed domain for the PTR of an address. Errors: PTR_ZONE_UNKNOWN, RECORD_INVALID, FORBIDDEN.
func (e *Edit) reverse(ctx context.Context, r Row) (int64, error) {
	if r.Type != "A" && r.Type != "AAAA" {
		return 0, fault.Invalid("ptr", "only an A or AAAA is followed by a PTR, not the %s of %s", r.Type, Shown(r.Name)).
			Chinese("只有 A 和 AAAA 记录可以带 PTR，%s 的 %s 记录不可以", Shown(r.Name), r.Type)
	}
	d, err := Owning(ctx, e.tx, e.Domain.Tenant, e.Domain.ServerID, rrset.ReverseName(r.Value))
	if fault.Is(err, "DOMAIN_UNKNOWN") {
		return 0, fault.Precondition("PTR_ZONE_UNKNOWN", "no domain on this server holds %s, the reverse name of %s: add the reverse zone first",
			Shown(rrset.ReverseName(r.Value)), r.Value).Chinese("该服务器上没有 %s 的反向域，请先添加", r.Value)
	}
	if err != nil {
		return 0, err
	}
	return d.ID, e.tx.mayEdit(ctx, d)
}

// take makes a step in a reverse zone. The PTR records of addresses that somebody may change go with them, whoever made the reverse zone.
func (t *Tx) take(ctx context.Context, ref Ref, s step, parent *int64) error {
	d, err := lock(ctx, t, reach.Reach{Every: true}, ref)
	if fault.Is(err, "DOMAIN_NOT_FOUND") && len(s.add) == 0 {
		return nil // the reverse zone is being deleted, and the records with it
	}
	if err != nil {
		return err
	}
	e := t.edit(d, Records, parent)
	e.atOnce = true
	if len(s.remove) > 0 {
		if err := e.LoadIDs(ctx, s.remove...); err != nil {
			return err
		}
		for _, id := range s.remove {
			e.Remove(id)
		}
	}
	for _, r := range s.add {
		if err := e.addPTR(ctx, r); err != nil {
			return err
		}
	}
	_, err = e.Finish(ctx)
	return err
}

func (e *Edit) addPTR(ctx context.Context, address Row) error {
	key := rrset.Key{Name: rrset.ReverseName(address.Value), Type: "PTR"}
	if err := e.Load(ctx, key.Name); err != nil {
		return err
	}
	ttl := address.TTL
	for _, r := range e.now[key] {
		if r.Value == address.Name {
			return nil // somebody made it by hand: it is his
		}
		ttl = r.TTL
	}
	e.Add(rrset.Entry{Key: key, TTL: uint32(ttl), Record: rrset.Record{Value: address.Name, Disabled: address.Disabled}})
	last := &e.now[key][len(e.now[key])-1]
	last.PTROf = &address.ID
	return nil
}
