package engine

import (
	"context"
	"fmt"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/origin"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// prepare refuses what no server needs to be asked about.
func (r *run) prepare() error {
	for _, source := range append([]mysql.Config{r.job.Source}, r.job.Alternates...) {
		if r.job.Subscription == nil && source.Addr() == r.job.Target.Addr() {
			return &mysql.Error{Sentence: "source and target are the same server, " + source.Addr(), Permanent: true}
		}
	}
	var err error
	if r.mapping, err = mapping.New(r.job.Do, r.job.Ignore); err != nil {
		return &mysql.Error{Sentence: err.Error(), Permanent: true}
	}
	return nil
}

// claim opens the target and makes the run the owner of the job there.
func (r *run) claim(ctx context.Context) (known, error) {
	var err error
	if r.target, err = mysql.Connect(ctx, r.job.Target); err != nil {
		return known{}, fmt.Errorf("target: %w", err)
	}
	if err := progress.Ensure(r.target); err != nil {
		return known{}, fmt.Errorf("target: %w", err)
	}
	return r.known()
}

// known claims the job, and reads what it remembers.
func (r *run) known() (known, error) {
	state, err := progress.Claim(r.target, r.job.ID, r.job.Incarnation, r.job.Epoch)
	if err != nil {
		return known{}, err
	}
	copied, err := progress.LoadCopy(r.target, r.job.ID)
	if err != nil {
		return known{}, err
	}
	return known{State: state, snapshots: copied.Snapshots, start: startOf(state, copied)}, nil
}

// identify learns the names of both servers, and notes that of the source for all that the run will write.
func (r *run) identify() error {
	names, err := origin.Names(r.source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	zone, err := systemZone(r.source)
	if err != nil {
		return err
	}
	if err := r.learn(facts{Version: r.source.Version, Origin: names[0], Zone: zone}); err != nil {
		return err
	}
	if r.leaveOut, err = origin.Names(r.target); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if err := r.refuseRound(); err != nil {
		return err
	}
	if err := progress.EvictReaders(r.source, r.job.ID); err != nil {
		return err
	}
	return progress.SetOrigin(r.target, r.job.ID, r.job.Epoch, r.facts.Origin)
}

// refuseRound keeps definitions of views and the like from going round for ever between two servers: those the servers log in words of their own, so
// that they carry no name.
func (r *run) refuseRound() error {
	if len(r.job.Objects) == 0 || r.job.TakesOver {
		return nil
	}
	other, err := progress.JobFrom(r.source, r.leaveOut)
	if err != nil || other == "" {
		return err
	}
	return &mysql.Error{Permanent: true, Sentence: fmt.Sprintf(
		"job %s replicates the other way, from %s to %s: only one of two such jobs can have replicate_objects, and it must be the first to start",
		other, r.job.Target.Addr(), r.job.Source.Addr())}
}

func (r *run) disconnect() {
	for _, c := range []*mysql.Conn{r.source, r.target} {
		if c != nil {
			_ = c.Close() // nothing is open on it
		}
	}
}
