package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// follower keeps a server equal to the source.
type follower struct {
	arm
	server      *mariadb.Server
	start, stop func(context.Context) error
	// await waits until the server has a position of the source.
	await func(ctx context.Context, last string) error
	end   func(context.Context) error
}

// catchUps measures how fast transactions that were committed while all followers were stopped are applied. All of them apply the same
// ones, one after the other.
func (e *engines) catchUps(ctx context.Context, out io.Writer, followers []*follower) error {
	for range e.size.Rounds {
		if err := each(ctx, followers, func(f *follower) error { return f.stop(ctx) }); err != nil {
			return err
		}
		if err := e.write(ctx); err != nil {
			return err
		}
		if err := each(ctx, followers, func(f *follower) error { return e.catchUp(ctx, f) }); err != nil {
			return err
		}
	}
	var arms []arm
	for _, f := range followers {
		arms = append(arms, f.arm)
	}
	report(out, fmt.Sprintf("Catching up with %d transactions of four row changes", e.size.Transactions), "transactions/s", arms)
	return nil
}

func each(ctx context.Context, followers []*follower, do func(*follower) error) error {
	for _, f := range followers {
		if err := do(f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return ctx.Err()
}

func (e *engines) catchUp(ctx context.Context, f *follower) error {
	last, err := e.position(ctx)
	if err != nil {
		return err
	}
	took, err := e.timed(f.server, func() error {
		if err := f.start(ctx); err != nil {
			return err
		}
		return f.await(ctx, last)
	})
	if err != nil {
		return err
	}
	took.perSecond = float64(e.size.Transactions) / took.seconds
	f.rounds = append(f.rounds, took)
	return e.equal(ctx, f.server)
}

// job is a job that has copied everything to the server and follows.
func (e *engines) job(ctx context.Context, server *mariadb.Server, workers int) (*follower, error) {
	if err := server.Exec(ctx, "DROP DATABASE IF EXISTS bench"); err != nil {
		return nil, err
	}
	id, err := e.opsdeck.CreateJob(ctx, operator.Job{
		Name: fmt.Sprintf("follow%d", workers), Steps: "all", Source: stage.Instance(e.source), Target: stage.Instance(server), Schemas: []string{"bench"}, Writers: workers,
	})
	if err != nil {
		return nil, err
	}
	f := &follower{
		arm: arm{name: fmt.Sprintf("opsdeck, parallel_workers %d", workers)}, server: server,
		start: func(ctx context.Context) error { return e.opsdeck.Order(ctx, "resume", id) },
		stop:  func(ctx context.Context) error { return e.opsdeck.Order(ctx, "pause", id) },
		end:   func(ctx context.Context) error { return e.opsdeck.Order(ctx, "delete", id) },
		// The job's own report of its position is up to a second older than the target's.
		await: func(ctx context.Context, last string) error {
			return operator.Await(ctx, id+" to apply "+last, patience, func(ctx context.Context) (bool, error) {
				position, err := server.Value(ctx, "SELECT gtid_set FROM opsdeck.replication_job WHERE job_id = '"+id+"'")
				return position == last, err
			})
		},
	}
	return f, operator.Await(ctx, id, patience, func(ctx context.Context) (bool, error) {
		d, _, err := e.opsdeck.Look(ctx, id)
		steps := d.Profile.Base.Steps
		return err == nil && len(steps) == 2 && steps[0].Status == "finished", err
	})
}

// replica is MariaDB's own, with a number of threads that apply optimistically; 0 is one that applies in order, its default.
func (e *engines) replica(ctx context.Context, server *mariadb.Server, threads int) (*follower, error) {
	last, err := e.position(ctx)
	if err != nil {
		return nil, err
	}
	copied := *e
	copied.target = server
	if err := copied.copyByDump(ctx, 0); err != nil {
		return nil, err
	}
	err = server.Exec(ctx, "RESET MASTER", "SET GLOBAL gtid_slave_pos = '"+last+"'",
		fmt.Sprintf("SET GLOBAL slave_parallel_threads = %d", threads), "SET GLOBAL slave_parallel_mode = 'optimistic'", fmt.Sprintf(
			"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='%s', MASTER_PASSWORD='%s', MASTER_USE_GTID=slave_pos",
			e.source.Port(), e.source.User(), e.source.Password()), "START SLAVE")
	name := "native MariaDB replication"
	if threads > 0 {
		name += fmt.Sprintf(", optimistic, %d threads", threads)
	}
	return &follower{
		arm: arm{name: name}, server: server,
		start: func(ctx context.Context) error { return server.Exec(ctx, "START SLAVE") },
		stop:  func(ctx context.Context) error { return server.Exec(ctx, "STOP SLAVE") },
		end:   func(context.Context) error { return nil },
		await: func(ctx context.Context, last string) error {
			timeout, err := server.Value(ctx, fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', %d)", last, int(patience/time.Second)))
			if err == nil && timeout != "0" {
				err = fmt.Errorf("did not reach %s within %v", last, patience)
			}
			return err
		},
	}, err
}
