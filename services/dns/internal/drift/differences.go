package drift

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// maxDrift is how many differing sets of a domain are remembered.
const maxDrift = 1000

// differences compares the records of a domain with the temporary table. Disabled records count where the server keeps them. The serial of
// the SOA does not count.
func differences(ctx context.Context, tx pgx.Tx, domain int64, keepsDisabled bool) ([]zone.Drifted, error) {
	rows, _ := tx.Query(ctx, `
		WITH wanted AS (
			SELECT name, type, value, ttl, disabled FROM dns.records WHERE domain_id = $1 AND type <> 'SOA' AND ($2 OR NOT disabled)
		), found AS (
			SELECT name, type, value, ttl, disabled FROM pg_temp.dns_found WHERE type <> 'SOA'
		)
		SELECT name, type FROM (TABLE wanted EXCEPT TABLE found) AS lacking
		UNION
		SELECT name, type FROM (TABLE found EXCEPT TABLE wanted) AS surplus
		UNION
		SELECT name, type FROM dns.records WHERE domain_id = $1 AND type = 'SOA'
		ORDER BY name, type LIMIT $3`, domain, keepsDisabled, maxDrift+1) // the error comes again below
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[rrset.Key])
	if err != nil {
		return nil, pg.Fault(err, "DRIFT", "compare domain %d", domain)
	}
	wanted, err := setsAt(ctx, tx, `
		SELECT r.name, r.type, r.ttl, r.value, r.disabled FROM dns.records r
		JOIN unnest($1::text[], $2::text[]) AS k (name, type) ON reverse(r.name) COLLATE "C" = reverse(k.name) AND r.type = k.type
		WHERE r.domain_id = $3`, keys, domain)
	if err != nil {
		return nil, err
	}
	found, err := setsAt(ctx, tx, `
		SELECT r.name, r.type, r.ttl, r.value, r.disabled FROM pg_temp.dns_found r
		JOIN unnest($1::text[], $2::text[]) AS k (name, type) ON r.name = k.name AND r.type = k.type`, keys)
	if err != nil {
		return nil, err
	}
	var drifted []zone.Drifted
	for _, key := range keys {
		w, f := wanted[key], found[key]
		if key.Type == "SOA" && w.Equal(f) {
			continue
		}
		drifted = append(drifted, zone.Drifted{Key: key, Wanted: w, Found: f})
	}
	return drifted[:min(len(drifted), maxDrift)], nil
}

// setsAt returns the sets with these keys that a statement selects.
func setsAt(ctx context.Context, tx pgx.Tx, statement string, keys []rrset.Key, more ...any) (map[rrset.Key]*rrset.Set, error) {
	names, types := make([]string, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		names[i], types[i] = key.Name, key.Type
	}
	rows, _ := tx.Query(ctx, statement, append([]any{names, types}, more...)...) // the error comes again below
	sets := map[rrset.Key]*rrset.Set{}
	var key rrset.Key
	var record rrset.Record
	var ttl int64
	_, err := pgx.ForEachRow(rows, []any{&key.Name, &key.Type, &ttl, &record.Value, &record.Disabled}, func() error {
		if sets[key] == nil {
			sets[key] = &rrset.Set{Key: key, TTL: uint32(ttl)}
		}
		sets[key].Records = append(sets[key].Records, record)
		return nil
	})
	for _, s := range sets {
		s.Sort()
	}
	return sets, pg.Fault(err, "DRIFT", "read sets that differ")
}
