package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
	"github.com/opsdeck/opsdeck/deploy/standalone/internal/stage"
)

// catchUps measures how fast transactions that were committed meanwhile are applied: by a paused job that is resumed, and by
// MariaDB's own replica that is started again. Both apply the same transactions in the same round.
func (e *engines) catchUps(ctx context.Context, out io.Writer) error {
	id, err := e.follow(ctx)
	if err != nil {
		return err
	}
	ours, peer := arm{name: "opsdeck, resumed job"}, arm{name: "native MariaDB replication"}
	for range rounds {
		if err := e.opsdeck.Order(ctx, "pause", id); err != nil {
			return err
		}
		if err := e.native.Exec(ctx, "STOP SLAVE"); err != nil {
			return err
		}
		if err := e.write(ctx); err != nil {
			return err
		}
		if err := e.round(ctx, id, &ours, &peer); err != nil {
			return err
		}
	}
	report(out, fmt.Sprintf("Catching up with %d transactions of four row changes", transactions), "transactions/s", []arm{ours, peer})
	return e.opsdeck.Order(ctx, "delete", id)
}

func (e *engines) round(ctx context.Context, id string, ours, peer *arm) error {
	last, err := e.position(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := e.native.Exec(ctx, "START SLAVE"); err != nil {
		return err
	}
	if _, err := e.native.Value(ctx, "SELECT MASTER_GTID_WAIT('"+last+"', 600)"); err != nil {
		return err
	}
	peer.rounds = append(peer.rounds, result{perSecond: transactions / time.Since(start).Seconds()})

	start = time.Now()
	if err := e.opsdeck.Order(ctx, "resume", id); err != nil {
		return err
	}
	if err := e.awaitApplied(ctx, id, last); err != nil {
		return err
	}
	ours.rounds = append(ours.rounds, result{perSecond: transactions / time.Since(start).Seconds()})
	if err := e.equal(ctx, e.native); err != nil {
		return fmt.Errorf("native replica: %w", err)
	}
	return e.equal(ctx, e.target)
}

// awaitApplied waits until the target holds the position: the job's own report of it is up to a second older.
func (e *engines) awaitApplied(ctx context.Context, id, last string) error {
	return operator.Await(ctx, id+" to apply "+last, patience, func(ctx context.Context) (bool, error) {
		position, err := e.target.Value(ctx, "SELECT gtid_set FROM opsdeck.replication_job WHERE job_id = '"+id+"'")
		return position == last, err
	})
}

// follow makes the job and the native replica, both caught up.
func (e *engines) follow(ctx context.Context) (string, error) {
	if err := e.target.Exec(ctx, "DROP DATABASE IF EXISTS bench"); err != nil {
		return "", err
	}
	last, err := e.position(ctx)
	if err != nil {
		return "", err
	}
	native := *e
	native.target = e.native
	if err := native.copyByDump(ctx, 0); err != nil {
		return "", err
	}
	err = e.native.Exec(ctx, "RESET MASTER", "SET GLOBAL gtid_slave_pos = '"+last+"'", fmt.Sprintf(
		"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='%s', MASTER_PASSWORD='%s', MASTER_USE_GTID=slave_pos",
		e.source.Port(), e.source.User(), e.source.Password()), "START SLAVE")
	if err != nil {
		return "", err
	}
	id, err := e.opsdeck.CreateJob(ctx, operator.Job{
		Name: "catchup", Steps: "all", Source: stage.Instance(e.source), Target: stage.Instance(e.target), Schemas: []string{"bench"}, Writers: 4,
	})
	if err != nil {
		return "", err
	}
	return id, operator.Await(ctx, id, patience, func(ctx context.Context) (bool, error) {
		d, _, err := e.opsdeck.Look(ctx, id)
		steps := d.Profile.Base.Steps
		return err == nil && len(steps) == 2 && steps[0].Status == "finished", err
	})
}
