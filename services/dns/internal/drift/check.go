// Package drift finds what name servers hold other than what is wanted, shows it, and ends it either way.
package drift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/push"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// shownSets is how many sets an event names.
const shownSets = 100

// errPending says that a domain cannot be compared while its server does not know all of its changes.
var errPending = errors.New("changes of the domain wait for the server")

// Checker compares domains with what their servers hold.
type Checker struct {
	Pool    *pgxpool.Pool
	Pusher  *push.Pusher
	Drivers push.Drivers
	Queue   *jobs.Client
	Log     *zap.Logger
	Full    time.Duration // a zone whose serial has not moved is read again after this
	Now     func() time.Time
}

// comparison is what a domain and its zone were found to be.
type comparison struct {
	serial  uint32 // of the zone, before it was read
	change  int64  // the youngest of the domain, 0 when there is none
	drifted []zone.Drifted
}

// agreed is the serial at which the zone held what is wanted; 0: at none.
func (c comparison) agreed() uint32 {
	if len(c.drifted) > 0 {
		return 0
	}
	return c.serial
}

// seen is what is known of a domain from its last comparison.
type seen struct {
	serial *int64
	at     *time.Time
}

// Check compares a domain with what its server holds, and remembers the difference. Nobody pushes in the meantime. Without force, a zone
// whose serial has not moved since the last comparison is not read.
func (c *Checker) Check(ctx context.Context, d zone.Domain, force bool) error {
	driver, err := c.Drivers.Driver(ctx, d.ServerID)
	if err != nil {
		return err
	}
	return c.Pusher.Alone(ctx, d.ID, func(ctx context.Context, conn *pgxpool.Conn) error {
		serial, found, err := driver.Serial(ctx, d.Name)
		if err != nil {
			return err
		}
		if !found {
			return c.missing(ctx, conn, d)
		}
		if !force {
			known, err := last(ctx, conn, d.ID)
			if err != nil || !c.outdated(known, serial) {
				return err
			}
		}
		now, err := compare(ctx, conn, driver, d)
		if err != nil {
			return err
		}
		now.serial = serial
		return c.note(ctx, conn, d, now)
	})
}

func (c *Checker) outdated(known seen, serial uint32) bool {
	return known.serial == nil || *known.serial != int64(serial) || known.at == nil || c.Now().Sub(*known.at) > c.Full
}

func last(ctx context.Context, db zone.Querier, domain int64) (s seen, err error) {
	err = db.QueryRow(ctx, `SELECT checked_serial, checked_at FROM dns.domains WHERE id = $1`, domain).Scan(&s.serial, &s.at)
	return s, pg.Fault(err, "DOMAIN_NOT_FOUND", "there is no domain %d", domain)
}

// missing notes that the server has no such zone.
func (c *Checker) missing(ctx context.Context, conn *pgxpool.Conn, d zone.Domain) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if pending, err := zone.HasPending(ctx, tx, d.ID); err != nil || pending {
			return errors.Join(err, pendingError(pending))
		}
		var before bool
		if err := tx.QueryRow(ctx, `SELECT zone_missing FROM dns.domains WHERE id = $1 FOR UPDATE`, d.ID).Scan(&before); err != nil {
			return pg.Fault(err, "DOMAIN_NOT_FOUND", "there is no domain %d", d.ID)
		}
		_, err := tx.Exec(ctx, `UPDATE dns.domains SET zone_missing = true, checked_serial = NULL, checked_at = $2 WHERE id = $1`, d.ID, c.Now())
		if err != nil || before {
			return pg.Fault(err, "DRIFT", "note that the zone %s is missing", d.Name)
		}
		return c.publish(ctx, tx, d, &eventv1.DnsDriftFound{ZoneMissing: true})
	})
}

func pendingError(pending bool) error {
	if pending {
		return errPending
	}
	return nil
}

// note remembers the outcome of a comparison, and tells when there is drift that was not known.
func (c *Checker) note(ctx context.Context, conn *pgxpool.Conn, d zone.Domain, now comparison) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		known, err := zone.ListDrift(ctx, tx, d.ID)
		if err != nil {
			return err
		}
		if err := zone.ReplaceDrift(ctx, tx, d.ID, c.Now(), now.drifted); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE dns.domains SET zone_missing = false, checked_serial = $2, checked_at = $3 WHERE id = $1`, d.ID, now.serial, c.Now())
		if err != nil {
			return pg.Fault(err, "DRIFT", "note the drift of %s", d.Name)
		}
		if _, err := tx.Exec(ctx, `UPDATE dns.changes SET serial = $2 WHERE id = $1`, now.change, now.agreed()); err != nil {
			return pg.Fault(err, "CHANGE", "note the serial of %s", d.Name)
		}
		event := &eventv1.DnsDriftFound{Count: int64(len(now.drifted))}
		news := false
		for _, found := range now.drifted {
			news = news || !slices.ContainsFunc(known, func(k zone.Drifted) bool { return k.Key == found.Key })
			if len(event.GetSets()) < shownSets {
				event.Sets = append(event.Sets, found.Key.String())
			}
		}
		if !news {
			return nil
		}
		return c.publish(ctx, tx, d, event)
	})
}

func (c *Checker) publish(ctx context.Context, tx pgx.Tx, d zone.Domain, event *eventv1.DnsDriftFound) error {
	event.DomainId, event.Domain = d.ID, zone.Shown(d.Name)
	return bus.Publish(ctx, tx, c.Queue, bus.Event{
		Type: "opsdeck.dns.drift.found", Subject: strconv.FormatInt(d.ID, 10), Tenant: d.Tenant, Data: event,
	})
}

// compare returns the sets that the server holds otherwise than wanted, at most maxDrift. What it holds goes through a temporary table, so
// that neither side has to fit into memory.
func compare(ctx context.Context, conn *pgxpool.Conn, driver nameserver.Driver, d zone.Domain) (found comparison, err error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead}
	err = pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		if pending, err := zone.HasPending(ctx, tx, d.ID); err != nil || pending {
			return errors.Join(err, pendingError(pending))
		}
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(id), 0) FROM dns.changes WHERE domain_id = $1`, d.ID).Scan(&found.change); err != nil {
			return pg.Fault(err, "CHANGE", "look for changes of %s", d.Name)
		}
		_, err := tx.Exec(ctx, `
			CREATE TEMPORARY TABLE dns_found (name text COLLATE "C", type text COLLATE "C", value text COLLATE "C", ttl bigint, disabled boolean)
			ON COMMIT DROP`)
		if err != nil {
			return fmt.Errorf("table for what the server holds: %w", err)
		}
		if err := receive(ctx, tx, driver, d.Name); err != nil {
			return err
		}
		found.drifted, err = differences(ctx, tx, d.ID, driver.KeepsDisabled())
		return err
	})
	return found, err
}

// receive copies what the server holds into the temporary table as it arrives.
func receive(ctx context.Context, tx pgx.Tx, driver nameserver.Driver, name string) error {
	ctx, cancel := context.WithCancel(ctx)
	rows := make(chan []any, 256)
	ended := make(chan error, 1)
	go func() {
		defer close(rows)
		ended <- driver.Transfer(ctx, name, func(set rrset.Set) error {
			if !set.Managed() {
				return nil
			}
			for _, e := range set.Entries() {
				select {
				case rows <- []any{e.Name, e.Type, e.Value, int64(e.TTL), e.Disabled}:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	}()
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "dns_found"}, []string{"name", "type", "value", "ttl", "disabled"},
		pgx.CopyFromFunc(func() ([]any, error) {
			row := <-rows // nil when it is closed: the end
			return row, nil
		}))
	cancel() // an end of the copy before that of the transfer
	for range rows {
	}
	if transfer := <-ended; transfer != nil && !errors.Is(transfer, context.Canceled) {
		return transfer
	}
	return err
}
