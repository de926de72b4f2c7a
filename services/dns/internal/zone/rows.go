package zone

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Row is a record as it is stored.
type Row struct {
	ID        int64     `db:"id" json:"id"`
	Name      string    `db:"name" json:"name"`
	Type      string    `db:"type" json:"type"`
	Value     string    `db:"value" json:"value"`
	TTL       int64     `db:"ttl" json:"ttl"`
	Disabled  bool      `db:"disabled" json:"disabled,omitempty"`
	Creator   string    `db:"creator" json:"creator"`
	CreatedAt time.Time `db:"created_at" json:"created_at"`
	PTROf     *int64    `db:"ptr_of" json:"ptr_of,omitempty"`

	wantPTR *bool // set by an edit: whether a PTR is to follow; nil: as before
	order   int   // of new records in an edit
}

// Key returns the key of the set that the record belongs to.
func (r Row) Key() rrset.Key { return rrset.Key{Name: r.Name, Type: r.Type} }

// Entry returns the record in the vocabulary of the rules.
func (r Row) Entry() rrset.Entry {
	return rrset.Entry{Key: r.Key(), TTL: uint32(r.TTL), Record: rrset.Record{Value: r.Value, Disabled: r.Disabled}}
}

func (r *Row) set(e rrset.Entry) {
	r.Name, r.Type, r.Value, r.TTL, r.Disabled = e.Name, e.Type, e.Value, int64(e.TTL), e.Disabled
}

// same reports whether two rows of one record hold the same.
func (r Row) same(o Row) bool {
	return r.Entry() == o.Entry() && (r.PTROf == nil) == (o.PTROf == nil) && (r.PTROf == nil || *r.PTROf == *o.PTROf)
}

// Entries returns the records of rows.
func Entries(rows []Row) []rrset.Entry {
	entries := make([]rrset.Entry, len(rows))
	for i, r := range rows {
		entries[i] = r.Entry()
	}
	return entries
}

// rowsAt returns the records that stand at any of the names. A domain with fewer records than names is read as a whole.
func rowsAt(ctx context.Context, db Querier, d Domain, names []string) ([]Row, error) {
	if d.RecordCount < int64(len(names)) {
		return rowsAmong(ctx, db, d, names)
	}
	rows, _ := db.Query(ctx, `
		SELECT id, name, type, value, ttl, disabled, creator, created_at, ptr_of FROM dns.records
		WHERE domain_id = $1 AND reverse(name) COLLATE "C" = ANY ($2)`, d.ID, backwards(names)) // the error comes again below
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[Row])
	return all, pg.Fault(err, "RECORDS", "read records")
}

func rowsAmong(ctx context.Context, db Querier, d Domain, names []string) ([]Row, error) {
	all, err := AllRows(ctx, db, d, len(names))
	if err != nil {
		return nil, err
	}
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	return slices.DeleteFunc(all, func(r Row) bool { return !wanted[r.Name] }), nil
}

// backwards are canonical names, which are ASCII, read from the end: so the index has them.
func backwards(names []string) []string {
	turned := make([]string, len(names))
	for i, name := range names {
		turned[i] = backward(name)
	}
	return turned
}

func backward(name string) string {
	text := []byte(name)
	slices.Reverse(text)
	return string(text)
}

// AllRows returns the records of a domain, at most limit. Errors: DOMAIN_TOO_LARGE when there are more.
func AllRows(ctx context.Context, db Querier, d Domain, limit int) ([]Row, error) {
	rows, _ := db.Query(ctx, `
		SELECT id, name, type, value, ttl, disabled, creator, created_at, ptr_of FROM dns.records
		WHERE domain_id = $1 LIMIT $2`, d.ID, limit+1) // the error comes again below
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[Row])
	if err != nil {
		return nil, pg.Fault(err, "RECORDS", "read the records of %s", d.Name)
	}
	if len(all) > limit {
		return nil, fault.Precondition("DOMAIN_TOO_LARGE", "the domain %s has more than %d records: this cannot be done with it as a whole", Shown(d.Name), limit).
			Chinese("域 %s 的记录超过 %d 条，不能整体处理", Shown(d.Name), limit)
	}
	return all, nil
}

// namesOf returns the names at which the records with these ids stand. Errors: RECORD_NOT_FOUND.
func namesOf(ctx context.Context, db Querier, d Domain, ids []int64) ([]string, error) {
	rows, _ := db.Query(ctx, `SELECT id, name FROM dns.records WHERE domain_id = $1 AND id = ANY ($2)`, d.ID, ids) // the error comes again below
	found := map[int64]string{}
	var id int64
	var name string
	_, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		found[id] = name
		return nil
	})
	if err != nil {
		return nil, pg.Fault(err, "RECORDS", "look for records")
	}
	var names []string
	for _, id := range ids {
		name, ok := found[id]
		if !ok {
			return nil, recordNotFound(d, id)
		}
		names = append(names, name)
	}
	return names, nil
}

func recordNotFound(d Domain, id int64) error {
	return fault.NotFound("RECORD_NOT_FOUND", "the domain %s has no record %d", Shown(d.Name), id).Chinese("域 %s 没有记录 %d", Shown(d.Name), id)
}

// aliases returns those of the names at which an enabled CNAME stands.
func aliases(ctx context.Context, db Querier, domain int64, names []string) (map[string]bool, error) {
	rows, _ := db.Query(ctx, `
		SELECT DISTINCT name FROM dns.records WHERE domain_id = $1 AND reverse(name) COLLATE "C" = ANY ($2) AND type = 'CNAME' AND NOT disabled`,
		domain, backwards(names)) // the error comes again below
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	set := make(map[string]bool, len(found))
	for _, name := range found {
		set[name] = true
	}
	return set, pg.Fault(err, "RECORDS", "look for aliases")
}

// pointers returns the enabled NS, MX and SRV records that point to any of the names.
func pointers(ctx context.Context, db Querier, domain int64, targets []string) ([]Row, error) {
	rows, _ := db.Query(ctx, `
		SELECT id, name, type, value, ttl, disabled, creator, created_at, ptr_of FROM dns.records
		WHERE domain_id = $1 AND target = ANY ($2) AND target IS NOT NULL AND NOT disabled`, domain, targets) // the error comes again below
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[Row])
	return all, pg.Fault(err, "RECORDS", "look for records that point to a name")
}

// delta is how the rows of a domain change.
type delta struct{ added, changed, removed []Row }

// write makes a delta. Rows that are added and have no id get one, in order.
func (d *delta) write(ctx context.Context, tx pgx.Tx, domain int64) error {
	if len(d.removed) > 0 {
		ids := make([]int64, len(d.removed))
		for i, r := range d.removed {
			ids[i] = r.ID
		}
		if _, err := tx.Exec(ctx, `DELETE FROM dns.records WHERE domain_id = $1 AND id = ANY ($2)`, domain, ids); err != nil {
			return pg.Fault(err, "RECORDS", "delete records")
		}
	}
	if err := update(ctx, tx, domain, d.changed); err != nil {
		return err
	}
	if err := d.insert(ctx, tx, domain); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE dns.domains SET record_count = record_count + $2 WHERE id = $1`, domain, len(d.added)-len(d.removed))
	return pg.Fault(err, "RECORDS", "count records")
}

func update(ctx context.Context, tx pgx.Tx, domain int64, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	ids, names, types, values := make([]int64, n), make([]string, n), make([]string, n), make([]string, n)
	ttls, disabled, follows := make([]int64, n), make([]bool, n), make([]*int64, n)
	for i, r := range rows {
		ids[i], names[i], types[i], values[i], ttls[i], disabled[i], follows[i] = r.ID, r.Name, r.Type, r.Value, r.TTL, r.Disabled, r.PTROf
	}
	_, err := tx.Exec(ctx, `
		UPDATE dns.records r
		SET name = n.name, type = n.type, value = n.value, ttl = n.ttl, disabled = n.disabled, ptr_of = n.ptr_of
		FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bool[], $8::bigint[])
			AS n (id, name, type, value, ttl, disabled, ptr_of)
		WHERE r.domain_id = $1 AND r.id = n.id`, domain, ids, names, types, values, ttls, disabled, follows)
	return pg.Fault(err, "RECORD_EXISTS", "store changed records")
}

// number gives new rows their ids, which COPY would not tell.
func (d *delta) number(ctx context.Context, tx pgx.Tx) error {
	var missing []*Row
	for i := range d.added {
		if d.added[i].ID == 0 {
			missing = append(missing, &d.added[i])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var ids []int64
	err := tx.QueryRow(ctx, `SELECT array_agg(nextval('dns.records_id_seq')) FROM generate_series(1, $1)`, len(missing)).Scan(&ids)
	if err != nil {
		return pg.Fault(err, "RECORDS", "number new records")
	}
	for i, r := range missing {
		r.ID = ids[i]
	}
	return nil
}
