package zone

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/pg"
)

// writePatience bounds the writing of rows whose change is committed, also when the caller went away.
const writePatience = 30 * time.Second

// after is what the rows of a committed change will be: together with its sets and how to undo it, all of its delta.
type after struct {
	Creator string  `json:"creator,omitempty"` // of added rows
	IDs     []int64 `json:"ids,omitempty"`     // of the records of all After images, in their order
}

// leave lets the rows of a change be written after it is committed. d is numbered.
func (e *Edit) leave(c *Change, d *delta) {
	c.rows = d
	c.undo.After = after{Creator: e.tx.By.User, IDs: make([]int64, 0, len(d.added)+len(d.changed))}
	numbers := make([]int64, e.added+1) // of new rows, by their order
	for _, r := range d.added {
		numbers[r.order] = r.ID
	}
	for _, set := range c.Sets {
		rows := e.now[set.Key()]
		if len(rows) > 1 { // as few sets have
			rows = slices.Clone(rows)
			slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Value, b.Value) }) // as in the image
		}
		for _, r := range rows {
			c.undo.After.IDs = append(c.undo.After.IDs, cmp.Or(r.ID, numbers[r.order]))
		}
	}
}

// delta is how a change that was read changes the rows of its domain.
func (c *Change) delta() delta {
	rows := make(map[int64]Row, len(c.undo.Before)+len(c.undo.Added))
	for _, r := range c.undo.Before {
		rows[r.ID] = r
	}
	for _, id := range c.undo.Added {
		rows[id] = Row{ID: id, Creator: c.undo.After.Creator, CreatedAt: c.CreatedAt}
	}
	next := 0
	for _, set := range c.Sets {
		for _, entry := range set.After.Entries() {
			id := c.undo.After.IDs[next]
			next++
			if r, touched := rows[id]; touched {
				r.set(entry)
				rows[id] = r
			}
		}
	}
	d := delta{removed: c.undo.Removed}
	for _, r := range c.undo.Before {
		d.changed = append(d.changed, rows[r.ID])
	}
	for _, id := range c.undo.Added {
		d.added = append(d.added, rows[id])
	}
	return d
}

// write writes the rows of changes that were committed a moment ago, while their servers are told. Whoever changes one of the domains before has
// written them, and so has the push of a change whose process died.
func (c *Changer) write(ctx context.Context, changes []Change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writePatience)
	defer cancel()
	for _, change := range changes {
		if change.rows == nil {
			continue
		}
		err := pg.InTx(ctx, c.Pool, func(ctx context.Context, tx pgx.Tx) error {
			if err := hold(ctx, tx, change.Domain); err != nil {
				return err
			}
			var written bool
			if err := tx.QueryRow(ctx, `SELECT written FROM dns.changes WHERE id = $1`, change.ID).Scan(&written); err != nil || written {
				return pg.Fault(err, "CHANGE", "look whether change %d is written", change.ID)
			}
			return change.writeRows(ctx, tx, change.rows)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Change) writeRows(ctx context.Context, tx pgx.Tx, d *delta) error {
	if err := d.write(ctx, tx, c.Domain); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE dns.changes SET written = true WHERE id = $1`, c.ID) // last, for whoever pushes it wants this row too
	return pg.Fault(err, "CHANGE", "note that change %d is written", c.ID)
}

// CatchUp writes the rows of a domain's changes that were left, and returns by how many records it grew.
func CatchUp(ctx context.Context, tx pgx.Tx, domain int64) (grown int, err error) {
	if err := hold(ctx, tx, domain); err != nil {
		return 0, err
	}
	return catchUp(ctx, tx, domain)
}

// catchUp is CatchUp for who holds the domain.
func catchUp(ctx context.Context, tx pgx.Tx, domain int64) (grown int, err error) {
	rows, _ := tx.Query(ctx, changeColumns+`WHERE c.domain_id = $1 AND NOT c.written ORDER BY c.id`, domain) // the error comes again below
	left, err := pgx.CollectRows(rows, scanChange)
	if err != nil {
		return 0, pg.Fault(err, "CHANGE", "look for changes that are to be written")
	}
	for _, c := range left {
		d := c.delta()
		if err := c.writeRows(ctx, tx, &d); err != nil {
			return 0, err
		}
		grown += len(d.added) - len(d.removed)
	}
	return grown, nil
}

// hold locks a domain, deleted or not, until the transaction ends.
func hold(ctx context.Context, tx pgx.Tx, domain int64) error {
	_, err := tx.Exec(ctx, `SELECT FROM dns.domains WHERE id = $1 FOR UPDATE`, domain)
	return pg.Fault(err, "DOMAIN", "lock domain %d", domain)
}
