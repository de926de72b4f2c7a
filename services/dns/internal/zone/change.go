package zone

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Kinds of changes.
const (
	Records = "records" // record sets change
	Create  = "create"  // a zone is made
	Rename  = "rename"  // a zone with the same records takes the place of another
	Delete  = "delete"  // a zone goes
	Import  = "import"  // a zone that the server had became a domain; nothing is pushed
	Adopt   = "adopt"   // what the server holds became what is wanted; nothing is pushed
	Correct = "correct" // the server is made to hold what is wanted; the records stay as they are
	Restore = "restore" // a zone that the server has no more is made again; the records stay as they are
)

// States of changes.
const (
	Pending  = "pending"  // the server does not know yet
	Applied  = "applied"  // the server serves it
	Conflict = "conflict" // undone, because the server holds something else than was known
	Failed   = "failed"   // undone, because the server refused it
)

// Change is something that happens to a domain, and to the zone on its server.
type Change struct {
	ID        int64
	Domain    int64
	Server    int64
	Parent    *int64
	Kind      string
	State     string
	Zone      string // at the server, when the change is pushed
	NewZone   string // Rename
	Sets      []rrset.Change
	Reshapes  bool   // whether more of the zone than the sets is altered; see Edit.reshapes
	Tenant    string // of the server
	By        string // tenant:username or the name of a service
	CreatedAt time.Time
	Attempts  int
	Error     string
	// From is the serial at which the zone held all changes before this one, and Serial that at which it held this one too; 0: not known.
	From, Serial uint32

	// Written says whether the rows are what they are to be; they are written while the server is told.
	Written bool

	undo    undo
	rows    *delta // of a change that was made here and is not written
	encoded func() (sets, undo []byte, err error)
}

// encode begins to put what is large of a change into the form in which it is stored.
func (c *Change) encode() {
	var sets, undo []byte
	var group errgroup.Group
	group.Go(func() error {
		sets = encodeChanges(c.Sets)
		return nil
	})
	group.Go(func() (err error) {
		undo, err = json.Marshal(c.undo)
		return err
	})
	c.encoded = func() ([]byte, []byte, error) {
		err := group.Wait()
		return sets, undo, err
	}
}

// log writes a change down, to be pushed when it is pending.
func (c *Change) log(ctx context.Context, tx pgx.Tx) error {
	if c.encoded == nil {
		c.encode()
	}
	sets, before, err := c.encoded()
	if err != nil {
		return fmt.Errorf("encode a change of %s: %w", c.Zone, err)
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO dns.changes (domain_id, parent, kind, state, zone, new_zone, sets, undo, set_count, tenant, changed_by, created_at, reshapes, written, finished_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, CASE WHEN $4 <> 'pending' THEN $12::timestamptz END)
		RETURNING id`,
		c.Domain, c.Parent, c.Kind, c.State, c.Zone, c.NewZone, sets, before, len(c.Sets), c.Tenant, c.By, c.CreatedAt, c.Reshapes, c.rows == nil).Scan(&c.ID)
	return pg.Fault(err, "CHANGE", "log a change of %s", c.Zone)
}

// images are the columns that make a change large.
const images = `c.sets, c.undo`

var changeColumns = selectChanges(images)

func selectChanges(images string) string {
	return `
	SELECT c.id, c.domain_id, coalesce(d.server_id, 0), c.parent, c.kind, c.state, c.zone, c.new_zone, ` + images + `, c.reshapes, c.tenant, c.changed_by,
		c.created_at, c.attempts, c.error, c.written, c.serial,
		coalesce((SELECT p.serial FROM dns.changes p WHERE p.domain_id = c.domain_id AND p.id < c.id ORDER BY p.id DESC LIMIT 1), 0)
	FROM dns.changes c LEFT JOIN dns.domains d ON d.id = c.domain_id `
}

func scanChange(row pgx.CollectableRow) (Change, error) {
	var c Change
	var sets, before []byte
	err := row.Scan(&c.ID, &c.Domain, &c.Server, &c.Parent, &c.Kind, &c.State, &c.Zone, &c.NewZone, &sets, &before, &c.Reshapes, &c.Tenant, &c.By,
		&c.CreatedAt, &c.Attempts, &c.Error, &c.Written, &c.Serial, &c.From)
	if err != nil || sets == nil {
		return c, err
	}
	if c.Sets, err = decodeChanges(sets); err != nil {
		return c, err
	}
	if err := json.Unmarshal(before, &c.undo); err != nil {
		return c, fmt.Errorf("decode how to undo change %d: %w", c.ID, err)
	}
	return c, nil
}

// NextPending returns the oldest change of a domain that its server does not know; ok is false when there is none. What is large of it is not read
// when it is the caller's own, which was written a moment ago.
func NextPending(ctx context.Context, db Querier, domain int64, own Change) (c Change, ok bool, err error) {
	const ofOthers = `CASE WHEN c.id <> $2 THEN c.sets END, CASE WHEN c.id <> $2 THEN c.undo END`
	rows, _ := db.Query(ctx, selectChanges(ofOthers)+`WHERE c.domain_id = $1 AND c.state = 'pending' ORDER BY c.id LIMIT 1`, domain, own.ID) // the error comes again below
	all, err := pgx.CollectRows(rows, scanChange)
	if err != nil || len(all) == 0 {
		return c, false, pg.Fault(err, "CHANGE", "read pending changes")
	}
	c = all[0]
	if c.ID == own.ID {
		c.Sets, c.undo = own.Sets, own.undo
	}
	return c, true, nil
}

// pendingAfter returns the pending changes of a domain that are younger than one, the oldest first.
func pendingAfter(ctx context.Context, db Querier, domain, id int64) ([]Change, error) {
	rows, _ := db.Query(ctx, changeColumns+`WHERE c.domain_id = $1 AND c.id > $2 AND c.state = 'pending' ORDER BY c.id`, domain, id) // the error comes again below
	all, err := pgx.CollectRows(rows, scanChange)
	return all, pg.Fault(err, "CHANGE", "read pending changes")
}

// changesAfter returns the changes of a domain that are younger than one, the oldest first.
func changesAfter(ctx context.Context, db Querier, domain, id int64) ([]Change, error) {
	rows, _ := db.Query(ctx, changeColumns+`WHERE c.domain_id = $1 AND c.id > $2 ORDER BY c.id`, domain, id) // the error comes again below
	all, err := pgx.CollectRows(rows, scanChange)
	return all, pg.Fault(err, "CHANGE", "read the latest changes")
}

// FindChange returns a change of a domain. Errors: CHANGE_NOT_FOUND.
func FindChange(ctx context.Context, db Querier, domain, id int64) (Change, error) {
	rows, _ := db.Query(ctx, changeColumns+`WHERE c.domain_id = $1 AND c.id = $2`, domain, id) // the error comes again below
	c, err := pgx.CollectExactlyOneRow(rows, scanChange)
	return c, pg.Fault(err, "CHANGE_NOT_FOUND", "there is no change %d of this domain", id)
}

// StateOf returns how far a change is.
func StateOf(ctx context.Context, db Querier, id int64) (state, text string, err error) {
	err = db.QueryRow(ctx, `SELECT state, error FROM dns.changes WHERE id = $1`, id).Scan(&state, &text)
	return state, text, pg.Fault(err, "CHANGE_NOT_FOUND", "there is no change %d", id)
}

// Claim counts a try to push a change, before it is made. It is false when the change is pending no more.
func Claim(ctx context.Context, db Querier, id int64) (bool, error) {
	tag, err := db.Exec(ctx, `UPDATE dns.changes SET attempts = attempts + 1 WHERE id = $1 AND state = 'pending'`, id)
	return tag.RowsAffected() == 1, pg.Fault(err, "CHANGE", "claim change %d", id)
}

// Wait notes why a change could not be pushed yet.
func Wait(ctx context.Context, db Querier, id int64, why string) error {
	_, err := db.Exec(ctx, `UPDATE dns.changes SET error = $2 WHERE id = $1 AND state = 'pending'`, id, why)
	return pg.Fault(err, "CHANGE", "note why change %d waits", id)
}

// HasPending reports whether a server does not know all changes of a domain.
func HasPending(ctx context.Context, db Querier, domain int64) (pending bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM dns.changes WHERE domain_id = $1 AND state = 'pending')`, domain).Scan(&pending)
	return pending, pg.Fault(err, "CHANGE", "look for pending changes")
}

// DeleteOld removes finished changes from before a time; they cannot be rolled back any more.
func DeleteOld(ctx context.Context, db Querier, before time.Time) error {
	_, err := db.Exec(ctx, `DELETE FROM dns.changes WHERE state <> 'pending' AND finished_at < $1`, before)
	return pg.Fault(err, "CHANGE", "delete old changes")
}
