// Package verify compares the tables of a job's target with those of its source, row by row, while the job follows the binary log. A first
// look, in chunks of the key, finds suspects: what was read of the two servers belongs to different moments. Suspects are settled at one
// position: the source is read in a snapshot, and the applier is held where that was taken. What differs then, differs.
package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

const (
	// chunkRows is how many rows of the source are looked at in one statement.
	chunkRows = 1000
	// maxSuspects is how many suspects are settled at one position.
	maxSuspects = 1000
	// settleEvery is how long suspects of a table wait for others: each time the applier is held for a moment.
	settleEvery = 2 * time.Second
	// maxRestarts bounds how often a table is begun again because it is altered meanwhile.
	maxRestarts = 20
	// moment is the pause between two looks at the applier.
	moment = 5 * time.Millisecond
	// breath is the pause before what failed is tried again, and between looks at a lag that is too large.
	breath = time.Second
)

// Options are what a verifier works with.
type Options struct {
	Source, Target mysql.Config
	JobID          string
	Epoch          int64
	Mapping        *mapping.Mapping
	Applier        *apply.Applier
	// Lag is how far the target is behind at present.
	Lag func() time.Duration
	// Event tells the operator what happens.
	Event func(kind, message string)
}

// Verifier carries out one order.
type Verifier struct {
	opt   Options
	order Order
	desk  *Desk
	// at is where the verification has come to; the desk gets copies.
	at             Progress
	source, target *mysql.Conn // for the first look
	paceFrom       time.Time
	paced          int64
}

// Serve carries out the orders of the desk until ctx ends. An order that fails says so at the desk: the job goes on.
func Serve(ctx context.Context, desk *Desk, opt Options) error {
	for {
		order, from, work, err := desk.next(ctx)
		if err != nil {
			return err
		}
		v := &Verifier{opt: opt, order: order, desk: desk, at: from}
		v.carryOut(work)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// maxFailures is how often in a row an order may fail before it is given up.
const maxFailures = 10

// carryOut runs the order, again when it fails, until it is done, given up or taken back.
func (v *Verifier) carryOut(ctx context.Context) {
	for failures := 0; ; {
		before := v.at.Chunks
		err := v.run(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			v.say(Finished)
			return
		}
		if failures++; v.at.Chunks > before {
			failures = 1
		}
		v.at.Error = mysql.Explain(err).Error()
		if mysql.Permanent(err) || failures >= maxFailures {
			v.say(Failed)
			return
		}
		v.say(v.at.State)
		if pause(ctx, breath) != nil {
			return
		}
	}
}

// betweenPasses is the rest between two passes of a continuous verification.
const betweenPasses = 10 * time.Second

func (v *Verifier) run(ctx context.Context) error {
	if err := v.connect(ctx); err != nil {
		return err
	}
	defer v.disconnect()
	for {
		if err := v.pass(ctx); err != nil || !v.order.Continuous {
			return err
		}
		if err := pause(ctx, betweenPasses); err != nil {
			return err
		}
		v.at = Progress{State: Running, Pass: v.at.Pass + 1}
		v.say(Running)
	}
}

// connect opens the sessions of the first look.
func (v *Verifier) connect(ctx context.Context) error {
	var err error
	if v.source, err = open(ctx, v.opt.Source); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := progress.Enlist(v.source, v.opt.JobID); err != nil {
		_ = v.source.Close() // nothing is open on it
		return fmt.Errorf("source: %w", err)
	}
	if v.target, err = open(ctx, v.opt.Target); err == nil && v.order.Repair {
		if err = progress.Enlist(v.target, v.opt.JobID); err != nil {
			_ = v.target.Close() // nothing is open on it
		}
	}
	if err != nil {
		_ = v.source.Close() // nothing is open on it
		return fmt.Errorf("target: %w", err)
	}
	return nil
}

// open opens a session that returns values in the bytes that the columns store.
func open(ctx context.Context, where mysql.Config) (*mysql.Conn, error) {
	c, err := mysql.Connect(ctx, where)
	if err != nil {
		return nil, err
	}
	for _, statement := range append(c.Flavor.CopySession(), "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET SESSION character_set_results = NULL, net_write_timeout = 28800", "SET "+ddl.Applying+" = 1") {
		if _, err := c.Execute(statement); err != nil {
			_ = c.Close() // the first error tells more
			return nil, mysql.Explain(err)
		}
	}
	return c, nil
}

func (v *Verifier) disconnect() {
	_, _ = v.source.Close(), v.target.Close() // nothing is open on them
}

// pass goes through all tables, behind what is done of the pass.
func (v *Verifier) pass(ctx context.Context) error {
	tables, err := mysql.LoadTables(v.source, v.opt.Mapping.Table)
	if err != nil {
		return err
	}
	v.at.Pass, v.at.TablesTotal, v.at.TablesDone = max(v.at.Pass, 1), int64(len(tables)), 0
	if v.at.Started.IsZero() {
		v.at.Started = time.Now()
	}
	v.say(Running)
	if err := v.pace(ctx, 0); err != nil {
		return err
	}
	for _, t := range tables {
		if t.String() >= v.at.Table {
			if t.String() != v.at.Table {
				v.at.Table, v.at.Key = t.String(), nil
			}
			if err := v.again(ctx, t); err != nil {
				return err
			}
			v.at.Table, v.at.Key = t.String()+"\x00", nil // before whatever comes next
		}
		v.at.TablesDone++
		v.say(Running)
	}
	v.at.Table, v.at.Error = "", ""
	return nil
}

// again verifies a table, from its start again when it is altered meanwhile.
func (v *Verifier) again(ctx context.Context, t *mysql.Table) error {
	for restarts := 0; ; restarts++ {
		err := v.table(ctx, t.Schema, t.Name)
		if !errors.Is(err, errAltered) || restarts == maxRestarts {
			return err
		}
		v.at.Key = nil
		if err := pause(ctx, breath); err != nil {
			return err
		}
	}
}

// say tells the desk how it goes.
func (v *Verifier) say(state State, found ...Difference) {
	v.at.State = state
	v.desk.tell(v.order.Number, v.at, found)
}

// pace waits as long as the rate and the lag want it after n rows.
func (v *Verifier) pace(ctx context.Context, n int64) error {
	for v.opt.Lag() > v.order.MaxLag {
		v.paceFrom = time.Time{}
		v.say(PausedForLag)
		if err := pause(ctx, breath); err != nil {
			return err
		}
	}
	if v.paceFrom.IsZero() {
		v.paceFrom, v.paced = time.Now(), 0
	}
	v.paced += n
	due := v.paceFrom.Add(time.Duration(float64(v.paced) / float64(v.order.RowsPerSecond) * float64(time.Second)))
	return pause(ctx, time.Until(due))
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
