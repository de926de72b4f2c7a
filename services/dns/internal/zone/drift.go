package zone

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Drifted is a set that the server holds otherwise than wanted.
type Drifted struct {
	Key    rrset.Key
	Wanted *rrset.Set
	Found  *rrset.Set
	Seen   time.Time
}

// NoteDrift remembers sets as drifted, and when each was first seen so.
func NoteDrift(ctx context.Context, tx pgx.Tx, domain int64, now time.Time, drifted []Drifted) error {
	if len(drifted) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, d := range drifted {
		wanted, err := encodeImage(d.Wanted)
		if err != nil {
			return err
		}
		found, err := encodeImage(d.Found)
		if err != nil {
			return err
		}
		batch.Queue(`
			INSERT INTO dns.drift (domain_id, name, type, wanted, found, seen_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (domain_id, name, type) DO UPDATE SET wanted = excluded.wanted, found = excluded.found`,
			domain, d.Key.Name, d.Key.Type, wanted, found, now)
	}
	return pg.Fault(tx.SendBatch(ctx, batch).Close(), "DRIFT", "note drift")
}

// ReplaceDrift is NoteDrift for all that is known to be drifted of a domain: other sets are so no more.
func ReplaceDrift(ctx context.Context, tx pgx.Tx, domain int64, now time.Time, drifted []Drifted) error {
	names, types := make([]string, len(drifted)), make([]string, len(drifted))
	for i, d := range drifted {
		names[i], types[i] = d.Key.Name, d.Key.Type
	}
	_, err := tx.Exec(ctx, `
		DELETE FROM dns.drift WHERE domain_id = $1 AND NOT (name, type) IN (SELECT * FROM unnest($2::text[], $3::text[]))`, domain, names, types)
	if err != nil {
		return pg.Fault(err, "DRIFT", "forget drift")
	}
	return NoteDrift(ctx, tx, domain, now, drifted)
}

// ListDrift returns what is known to be drifted of a domain, by name and type.
func ListDrift(ctx context.Context, db Querier, domain int64) ([]Drifted, error) {
	rows, _ := db.Query(ctx, `
		SELECT name, type, wanted, found, seen_at FROM dns.drift WHERE domain_id = $1 ORDER BY name, type`, domain) // the error comes again below
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Drifted, err error) {
		var wanted, found *Image
		if err := row.Scan(&d.Key.Name, &d.Key.Type, &wanted, &found, &d.Seen); err != nil {
			return d, err
		}
		d.Wanted, d.Found = wanted.Set(d.Key), found.Set(d.Key)
		return d, nil
	})
	return all, pg.Fault(err, "DRIFT", "read drift")
}

// forgetDrift forgets the drift of sets that have changed. Hardly ever there is any.
func forgetDrift(ctx context.Context, tx pgx.Tx, domain int64, changes []rrset.Change) error {
	rows, _ := tx.Query(ctx, `SELECT name, type FROM dns.drift WHERE domain_id = $1`, domain) // the error comes again below
	drifted, err := pgx.CollectRows(rows, pgx.RowToStructByPos[rrset.Key])
	if err != nil || len(drifted) == 0 {
		return pg.Fault(err, "DRIFT", "read drift")
	}
	names, types := make([]string, len(changes)), make([]string, len(changes))
	for i, c := range changes {
		names[i], types[i] = c.Key().Name, c.Key().Type
	}
	_, err = tx.Exec(ctx, `
		DELETE FROM dns.drift WHERE domain_id = $1 AND (name, type) IN (SELECT * FROM unnest($2::text[], $3::text[]))`, domain, names, types)
	return pg.Fault(err, "DRIFT", "forget drift")
}

// encodeImage is null for no set.
func encodeImage(s *rrset.Set) ([]byte, error) {
	if s == nil {
		return nil, nil
	}
	return json.Marshal(ImageOf(s))
}
