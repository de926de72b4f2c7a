package zone

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"google.golang.org/protobuf/proto"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/bus"
	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/jobs"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/audit"
	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Pusher tells name servers what changed.
type Pusher interface {
	// Push pushes the pending changes of a domain, the oldest first, up to one that was committed just now. It returns an error when the server
	// cannot be told now; what became of the change is in its row.
	Push(ctx context.Context, change Change) error
	// Job is the queued push of a domain's changes, which makes up for a Push that nobody finished.
	Job(domain int64) (river.JobArgs, *river.InsertOpts)
}

// Changer changes domains.
type Changer struct {
	Pool   *pgxpool.Pool
	Queue  *jobs.Client
	Pusher Pusher
	Wait   time.Duration // how long a caller waits for the server
	Now    func() time.Time
}

// Actor is who changes something.
type Actor struct {
	Tenant string
	User   string // what answers and audit show
	Name   string // tenant:username, or the name of a service
}

// Caller returns the caller as an actor.
func Caller(ctx context.Context) Actor {
	p := authn.FromContext(ctx)
	return Actor{Tenant: p.Tenant, User: p.User, Name: p.Name()}
}

// Tx is a transaction that changes domains.
type Tx struct {
	pgx.Tx

	By Actor

	changer *Changer
	reach   reach.Reach
	now     time.Time
	pushes  []Change
}

// Outcome is what became of a transaction's changes.
type Outcome struct {
	Change  int64 // id of the first one; 0 when nothing changed
	Pending bool  // a server does not know yet
}

// Do runs work in a transaction and, after the commit, pushes its changes and waits for them. Errors: those of work; SET_CONFLICT and
// ZONE_CONFLICT when a server holds something else than was known, NAME_SERVER_REFUSED: in both cases the change has been undone.
func (c *Changer) Do(ctx context.Context, of reach.Reach, by Actor, work func(ctx context.Context, tx *Tx) error) (Outcome, error) {
	t := &Tx{By: by, changer: c, reach: of, now: c.Now()}
	err := pg.InTx(ctx, c.Pool, func(ctx context.Context, tx pgx.Tx) error {
		t.Tx = tx
		return work(ctx, t)
	})
	if err != nil {
		return Outcome{}, err
	}
	return c.await(ctx, t.pushes)
}

// await writes the rows of changes while it pushes them, and reports what became of them.
func (c *Changer) await(ctx context.Context, changes []Change) (Outcome, error) {
	if len(changes) == 0 {
		return Outcome{}, nil
	}
	written := make(chan error, 1)
	go func() { written <- c.write(ctx, changes) }()
	outcome, err := c.pushed(ctx, changes)
	return outcome, errors.Join(err, <-written)
}

func (c *Changer) pushed(ctx context.Context, changes []Change) (Outcome, error) {
	outcome := Outcome{Change: changes[0].ID}
	limited, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	for _, change := range changes {
		if change.State != Pending {
			continue
		}
		// What could not be pushed now is pushed by its job; the row says what happened to it in any case.
		_ = c.Pusher.Push(limited, change)
		state, text, err := StateOf(context.WithoutCancel(ctx), c.Pool, change.ID)
		switch {
		case err != nil:
			return outcome, err
		case state == Pending:
			outcome.Pending = true
		case state != Applied:
			return outcome, undone(change, state, text)
		}
	}
	return outcome, nil
}

// undone is what a caller hears whose change was undone.
func undone(c Change, state, text string) error {
	switch {
	case state == Failed:
		return fault.Unavailable("NAME_SERVER_REFUSED", "the name server refused the change, which was undone: %s", text).
			Chinese("DNS 服务器拒绝了该变更，变更已撤销：%s", text)
	case c.Kind == Create || c.Kind == Rename || c.Kind == Delete || c.Kind == Restore:
		return fault.Precondition("ZONE_CONFLICT", "the change was undone: %s", text).Chinese("变更已撤销：%s", text)
	}
	return fault.Precondition("SET_CONFLICT", "the change was undone, because the name server holds something else: %s", text).
		Chinese("DNS 服务器上的内容与已知内容不同，变更已撤销：%s", text)
}

// Edit locks a domain in reach for a change of its records, by a caller who may make one. Errors: DOMAIN_NOT_FOUND, FORBIDDEN.
func (t *Tx) Edit(ctx context.Context, ref Ref, kind string) (*Edit, error) {
	d, err := t.Lock(ctx, ref)
	if err != nil {
		return nil, err
	}
	return t.edit(d, kind, nil), nil
}

// View is Edit for somebody who only wants to see what an edit would do: it must not be finished. Errors: DOMAIN_NOT_FOUND.
func (t *Tx) View(ctx context.Context, ref Ref) (*Edit, error) {
	d, err := Find(ctx, t, t.reach, ref)
	if err != nil {
		return nil, err
	}
	return t.edit(d, Records, nil), nil
}

// Lock locks a domain in reach, for a caller who may change it. Errors: DOMAIN_NOT_FOUND, FORBIDDEN.
func (t *Tx) Lock(ctx context.Context, ref Ref) (Domain, error) {
	d, err := lock(ctx, t, t.reach, ref)
	if err != nil {
		return d, err
	}
	return d, t.mayEdit(ctx, d)
}

// mayEdit lets services edit what they reach: who may call them is their methods' rule.
func (t *Tx) mayEdit(ctx context.Context, d Domain) error {
	if authn.FromContext(ctx).Service != "" {
		return nil
	}
	return reach.Edit(ctx, d.CreatorTenant, d.Creator, Shown(d.Name))
}

func (t *Tx) edit(d Domain, kind string, parent *int64) *Edit {
	return &Edit{
		Domain: d, tx: t, kind: kind, parent: parent, loaded: map[string]bool{}, before: map[int64]Row{},
		now: map[rrset.Key][]Row{}, place: map[int64]rrset.Key{},
	}
}

// Log writes a change down, with its push, unless it is applied already.
func (t *Tx) Log(ctx context.Context, c *Change) error {
	c.By, c.CreatedAt = t.By.Name, t.now
	if err := c.log(ctx, t.Tx); err != nil {
		return err
	}
	t.pushes = append(t.pushes, *c)
	if c.State != Pending {
		return nil
	}
	args, options := t.changer.Pusher.Job(c.Domain)
	_, err := t.changer.Queue.Insert(ctx, t.Tx, args, options)
	return err
}

// Audit writes operations of this transaction's actor down, in the tenant of the server.
func (t *Tx) Audit(ctx context.Context, tenant string, operations ...audit.Operation) error {
	return audit.Write(ctx, t.Tx, audit.Author{Tenant: tenant, User: t.By.User, Name: t.By.Name, At: t.now}, operations)
}

// Publish enqueues an event of the transaction.
func (t *Tx) Publish(ctx context.Context, tenant, event, subject string, data proto.Message) error {
	return bus.Publish(ctx, t.Tx, t.changer.Queue, bus.Event{Type: "opsdeck.dns." + event, Subject: subject, Tenant: tenant, Data: data})
}
