package zone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	eventv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/event/v1"

	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/audit"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// service is who undoes changes.
const service = "dns"

// errSettled says that a change is pending no more: another replica settled it.
var errSettled = errors.New("the change is settled already")

// Settler writes down what became of changes.
type Settler struct {
	Queue *jobs.Client
	Now   func() time.Time
}

// Applied notes that the server serves a change. Sets of it that were drifted are so no more.
func (s Settler) Applied(ctx context.Context, tx pgx.Tx, c Change) error {
	if err := s.settle(ctx, tx, c, Applied, ""); err != nil {
		return ignoreSettled(err)
	}
	switch c.Kind {
	case Delete:
		_, err := tx.Exec(ctx, `DELETE FROM dns.domains WHERE id = $1`, c.Domain)
		return pg.Fault(err, "DOMAIN", "forget the domain %s", c.Zone)
	case Restore:
		if _, err := tx.Exec(ctx, `UPDATE dns.domains SET zone_missing = false WHERE id = $1`, c.Domain); err != nil {
			return pg.Fault(err, "DOMAIN", "note that the zone %s is there again", c.Zone)
		}
	}
	return forgetDrift(ctx, tx, c.Domain, c.Sets)
}

// Undone puts everything back as it was before a change that the server did not take, and with it the pending changes that were made on
// top of it, and those that came along with it.
func (s Settler) Undone(ctx context.Context, tx pgx.Tx, c Change, state, why string) error {
	if _, err := CatchUp(ctx, tx, c.Domain); err != nil {
		return err
	}
	later, err := pendingAfter(ctx, tx, c.Domain, c.ID)
	if err != nil {
		return err
	}
	if err := reshape(ctx, tx, c.Domain); err != nil {
		return err
	}
	for _, d := range slices.Backward(dependents(c, later)) {
		if err := s.undo(ctx, tx, d, state, fmt.Sprintf("change %d, which it was made on, was undone: %s", c.ID, why)); err != nil {
			return err
		}
	}
	return ignoreSettled(s.undo(ctx, tx, c, state, why))
}

func ignoreSettled(err error) error {
	if errors.Is(err, errSettled) {
		return nil
	}
	return err
}

// dependents returns those of later changes that build on a change: all of them when the zone itself was to change, else those that
// share a set with it or with one of its dependents.
func dependents(c Change, later []Change) []Change {
	shared := map[rrset.Key]bool{}
	for _, set := range c.Sets {
		shared[set.Key()] = true
	}
	var found []Change
	for _, l := range later {
		depends := c.Kind == Create || c.Kind == Rename || l.Kind == Rename ||
			slices.ContainsFunc(l.Sets, func(set rrset.Change) bool { return shared[set.Key()] })
		if l.Kind == Delete && c.Kind != Create && c.Kind != Rename || !depends {
			continue
		}
		for _, set := range l.Sets {
			shared[set.Key()] = true
		}
		found = append(found, l)
	}
	return found
}

// undo undoes one change, and the changes that came along with it, which wait for it.
func (s Settler) undo(ctx context.Context, tx pgx.Tx, c Change, state, why string) error {
	if err := s.settle(ctx, tx, c, state, why); err != nil {
		return err
	}
	if err := restore(ctx, tx, c); err != nil {
		return err
	}
	by := audit.Author{Tenant: c.Tenant, User: service, Name: service, At: s.Now()}
	detail := fmt.Sprintf("undid change %d (%s) of domain %s by %s: %s", c.ID, c.Kind, Shown(c.Zone), c.By, why)
	if err := audit.Write(ctx, tx, by, []audit.Operation{{Target: audit.Domain, Type: audit.Updated, Detail: detail}}); err != nil {
		return err
	}
	rows, _ := tx.Query(ctx, changeColumns+`WHERE c.parent = $1 AND c.state = 'pending' ORDER BY c.id`, c.ID) // the error comes again below
	children, err := pgx.CollectRows(rows, scanChange)
	if err != nil {
		return pg.Fault(err, "CHANGE", "read the changes that came with change %d", c.ID)
	}
	for _, child := range children {
		if err := s.Undone(ctx, tx, child, state, fmt.Sprintf("change %d, which it came along with, was undone: %s", c.ID, why)); err != nil {
			return err
		}
	}
	return nil
}

// restore puts the rows back.
func restore(ctx context.Context, tx pgx.Tx, c Change) (err error) {
	switch c.Kind {
	case Create:
		_, err = tx.Exec(ctx, `DELETE FROM dns.domains WHERE id = $1`, c.Domain)
		return pg.Fault(err, "DOMAIN", "forget the domain %s", c.Zone)
	case Delete:
		_, err = tx.Exec(ctx, `UPDATE dns.domains SET deleting = false WHERE id = $1`, c.Domain)
	case Rename:
		_, err = tx.Exec(ctx, `UPDATE dns.domains SET name = $2 WHERE id = $1`, c.Domain, c.Zone)
	}
	if err != nil {
		return pg.Fault(err, "DOMAIN", "bring back the domain %s", c.Zone)
	}
	d := c.undo.delta()
	if d.empty() {
		return nil
	}
	return d.write(ctx, tx, c.Domain)
}

// settle gives a pending change its state, when its rows are written, and tells.
func (s Settler) settle(ctx context.Context, tx pgx.Tx, c Change, state, why string) error {
	settled, err := s.mark(ctx, tx, c, state, why)
	if err == nil && !settled { // somebody may be writing its rows
		if _, err = CatchUp(ctx, tx, c.Domain); err == nil {
			settled, err = s.mark(ctx, tx, c, state, why)
		}
	}
	if err != nil {
		return err
	}
	if !settled {
		return errSettled
	}
	return bus.Publish(ctx, tx, s.Queue, bus.Event{
		Type: "opsdeck.dns.change." + state, Subject: strconv.FormatInt(c.ID, 10), Tenant: c.Tenant,
		Data: &eventv1.DnsChangeFinished{ChangeId: c.ID, DomainId: c.Domain, Domain: Shown(c.Zone), Reason: why},
	})
}

// mark is false when the change is pending no more, or not written yet.
func (s Settler) mark(ctx context.Context, tx pgx.Tx, c Change, state, why string) (bool, error) {
	tag, err := tx.Exec(ctx, `
		UPDATE dns.changes SET state = $2, error = $3, finished_at = $4, serial = $5 WHERE id = $1 AND state = 'pending' AND written`,
		c.ID, state, why, s.Now(), c.Serial)
	return tag.RowsAffected() == 1, pg.Fault(err, "CHANGE", "settle change %d", c.ID)
}
