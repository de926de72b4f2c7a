package drift

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

const (
	// roundTimeout bounds one look at all domains of all servers.
	roundTimeout = time.Hour
	// checkTimeout bounds the look at one domain.
	checkTimeout = 5 * time.Minute
	// batch is how many domains are read at once.
	batch = 500
)

type args struct{}

// Kind names the job in the queue's table.
func (args) Kind() string { return "dns.drift" }

// Schedule registers the worker that looks at all domains, and returns the job that does so from time to time, one round at a time.
func (c *Checker) Schedule(workers *river.Workers, every time.Duration) *river.PeriodicJob {
	river.AddWorker(workers, &worker{checker: c})
	unfinished := []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}
	return river.NewPeriodicJob(river.PeriodicInterval(every), func() (river.JobArgs, *river.InsertOpts) {
		return args{}, &river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished}}
	}, nil)
}

type worker struct {
	river.WorkerDefaults[args]

	checker *Checker
}

// Timeout bounds one round.
func (*worker) Timeout(*river.Job[args]) time.Duration { return roundTimeout }

// Work looks at every domain. A server that does not answer is left out for this round.
func (w *worker) Work(ctx context.Context, _ *river.Job[args]) error {
	silent := map[int64]bool{}
	for after := int64(0); ; {
		domains, err := w.checker.next(ctx, after)
		if err != nil || len(domains) == 0 {
			return err
		}
		for _, d := range domains {
			after = d.ID
			if silent[d.ServerID] {
				continue
			}
			err := w.checker.glance(ctx, d)
			var unreachable *nameserver.Unreachable
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.As(err, &unreachable):
				silent[d.ServerID] = true
			case err != nil && !errors.Is(err, errPending):
				w.checker.Log.Warn("a domain could not be compared with its server", zap.String("zone", d.Name), zap.Error(err))
			}
		}
	}
}

// next returns domains in the order of their ids.
func (c *Checker) next(ctx context.Context, after int64) ([]zone.Domain, error) {
	rows, _ := c.Pool.Query(ctx, `
		SELECT d.id, d.server_id, s.tenant, d.name, d.default_ttl, d.creator_tenant, d.creator, d.created_at, d.record_count
		FROM dns.domains d JOIN dns.servers s ON s.id = d.server_id
		WHERE d.id > $1 AND NOT d.deleting ORDER BY d.id LIMIT $2`, after, batch) // the error comes again below
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[zone.Domain])
	return all, pg.Fault(err, "DOMAINS", "list domains")
}

// glance asks for the serial of a domain, and checks it when that has moved.
func (c *Checker) glance(ctx context.Context, d zone.Domain) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	driver, err := c.Drivers.Driver(ctx, d.ServerID)
	if err != nil {
		return err
	}
	known, err := last(ctx, c.Pool, d.ID)
	if err != nil {
		return err
	}
	serial, found, err := driver.Serial(ctx, d.Name)
	if err != nil || found && !c.outdated(known, serial) {
		return err
	}
	return c.Check(ctx, d, false)
}
