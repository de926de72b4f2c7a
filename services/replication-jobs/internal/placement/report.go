package placement

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/replication/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/job"
)

// keptEvents is how many events of a placement are kept, keptPlacements how many placements of a job.
const (
	keptEvents     = 100
	keptPlacements = 20
)

// holding is a job that a node has, as it was last stored.
type holding struct {
	job.Summary

	Epoch          int64
	Reported       bool
	StoredSequence int64
	Reason         string
	StoppedAt      string
	Stage          string
	CopiedPercent  float64
	Delay          int64
	Backlog        int64
	End            string // GTID set of the target where the job has finished to be reversed
}

func (h holding) active() bool { return h.Status == "running" || h.Status == "retrying" }

func holdings(ctx context.Context, tx pgx.Tx, node string) (map[string]holding, error) {
	rows, _ := tx.Query(ctx, `
		SELECT id, type, tenant, owner, status, epoch, reported, stored_sequence, reason, stopped_at, stage, copied_percent, delay, backlog
		FROM replication.jobs WHERE node = $1`, node)
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (h holding, err error) {
		err = r.Scan(&h.ID, &h.Type, &h.Tenant, &h.Owner, &h.Status, &h.Epoch, &h.Reported, &h.StoredSequence, &h.Reason, &h.StoppedAt, &h.Stage,
			&h.CopiedPercent, &h.Delay, &h.Backlog)
		return h, err
	})
	known := make(map[string]holding, len(all))
	for _, h := range all {
		known[h.ID] = h
	}
	return known, pg.Fault(err, "PLACEMENT", "jobs of node %s", node)
}

// after returns the holding as a report changes it. A paused job stays paused whatever its node says.
func (h holding) after(r *replicationv1.RunReport) holding {
	for _, e := range r.GetEvents() {
		h.StoredSequence = max(h.StoredSequence, e.GetSequence())
	}
	if r.GetStage() != "" { // a run that has just begun again does not know yet how far the one before had come
		h.Stage, h.CopiedPercent = r.GetStage(), r.GetCopiedPercent()
		h.Delay, h.Backlog = r.GetTarget().GetDelayCount().GetTime(), r.GetTarget().GetDelayCount().GetNum()
	}
	if !h.active() {
		return h
	}
	h.Reported = true
	h.Reason, h.StoppedAt = "", ""
	switch r.GetState() {
	case replicationv1.RunState_RUN_STATE_RUNNING:
		h.Status = "running"
	case replicationv1.RunState_RUN_STATE_RETRYING:
		h.Status, h.Reason, h.StoppedAt = "retrying", clean(r.GetError()), clean(r.GetStoppedAt())
	case replicationv1.RunState_RUN_STATE_FINISHED:
		h.Status, h.End = "finished", r.GetEndGtidSet()
	default: // says nothing
	}
	return h
}

// record stores the reports that speak of the epoch a job is in; others come from runs that were given away.
func (s *Service) record(ctx context.Context, tx pgx.Tx, r *replicationv1.ReconcileRequest, known map[string]holding) error {
	var now []holding
	var current []*replicationv1.RunReport
	for _, run := range r.GetRuns() {
		h, ok := known[run.GetJobId()]
		if !ok || h.Epoch != run.GetEpoch() {
			continue
		}
		current = append(current, run)
		if next := h.after(run); next != h {
			now = append(now, next)
		}
	}
	if len(current) == 0 {
		return nil
	}
	if err := s.update(ctx, tx, r.GetNodeId(), known, now); err != nil {
		return err
	}
	if err := storeEvents(ctx, tx, current, known); err != nil {
		return err
	}
	if err := storeFigures(ctx, tx, current); err != nil {
		return err
	}
	err := job.StoreVerifications(ctx, tx, current, func(id string, last *replicationv1.Verification) error {
		return job.Verified(ctx, tx, s.queue, known[id].Summary, last)
	})
	if err != nil {
		return err
	}
	for _, next := range now {
		known[next.ID] = next
	}
	return nil
}

// update writes the jobs whose report said something new, and publishes every new status. A job that was paused or
// given away meanwhile keeps its status.
func (s *Service) update(ctx context.Context, tx pgx.Tx, node string, known map[string]holding, now []holding) error {
	if len(now) == 0 {
		return nil
	}
	var c columns
	for _, h := range now {
		c.add(h)
	}
	rows, _ := tx.Query(ctx, `
		UPDATE replication.jobs AS j
		SET status = CASE WHEN j.status = 'paused' THEN j.status ELSE r.status END,
			reason = CASE WHEN j.status = 'paused' THEN j.reason ELSE r.reason END,
			stopped_at = CASE WHEN j.status = 'paused' THEN j.stopped_at ELSE r.stopped_at END,
			reported = r.reported AND j.status <> 'paused',
			node = CASE WHEN r.status = 'finished' AND j.status <> 'paused' THEN NULL ELSE j.node END,
			stored_sequence = r.stored_sequence, stage = r.stage, copied_percent = r.copied_percent, delay = r.delay, backlog = r.backlog
		FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::bigint[], $8::text[], $9::float8[], $10::bigint[], $11::bigint[], $12::text[])
			AS r (id, epoch, status, reason, reported, stored_sequence, stage, copied_percent, delay, backlog, stopped_at)
		WHERE j.id = r.id AND j.epoch = r.epoch AND j.node = $1
		RETURNING j.id, j.status`,
		node, c.ids, c.epochs, c.statuses, c.reasons, c.reported, c.sequences, c.stages, c.percents, c.delays, c.backlogs, c.stops)
	type outcome struct{ ID, Status string }
	stored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[outcome])
	if err != nil {
		return pg.Fault(err, "PLACEMENT", "store the reports of node %s", node)
	}
	wanted := make(map[string]holding, len(now))
	for _, h := range now {
		wanted[h.ID] = h
	}
	for _, o := range stored {
		before, want := known[o.ID], wanted[o.ID]
		if o.Status != want.Status || o.Status == before.Status {
			continue
		}
		if err := job.StatusChanged(ctx, tx, s.queue, before.Summary, want.Status, want.Reason); err != nil {
			return err
		}
		if want.Status == "finished" {
			if _, err := job.StopVerification(ctx, tx, o.ID); err != nil {
				return err
			}
		}
		if want.End == "" {
			continue
		}
		if err := s.handOver(ctx, tx, want); err != nil {
			return err
		}
	}
	return nil
}

// handOver starts the job that takes over from one that has finished.
func (s *Service) handOver(ctx context.Context, tx pgx.Tx, finished holding) error {
	next, ok, err := job.HandOver(ctx, tx, finished.ID, finished.End)
	if err != nil || !ok {
		return err
	}
	return job.StatusChanged(ctx, tx, s.queue, next, "pending", "job "+finished.ID+" has finished")
}

// columns are holdings turned on their side, for unnest.
type columns struct {
	ids, statuses, reasons, stages, stops []string
	epochs, sequences, delays, backlogs   []int64
	reported                              []bool
	percents                              []float64
}

func (c *columns) add(h holding) {
	c.ids, c.statuses, c.reasons, c.stages = append(c.ids, h.ID), append(c.statuses, h.Status), append(c.reasons, h.Reason), append(c.stages, h.Stage)
	c.epochs, c.sequences = append(c.epochs, h.Epoch), append(c.sequences, h.StoredSequence)
	c.delays, c.backlogs = append(c.delays, h.Delay), append(c.backlogs, h.Backlog)
	c.stops = append(c.stops, h.StoppedAt)
	c.reported, c.percents = append(c.reported, h.Reported), append(c.percents, h.CopiedPercent)
}

// storeEvents adds the events that are not stored yet to the logs of their tasks.
func storeEvents(ctx context.Context, tx pgx.Tx, runs []*replicationv1.RunReport, known map[string]holding) error {
	var ids, targets, types, messages []string
	var epochs []int64
	var times []time.Time
	for _, run := range runs {
		for _, e := range run.GetEvents() {
			if e.GetSequence() <= known[run.GetJobId()].StoredSequence {
				continue
			}
			ids, epochs, targets = append(ids, run.GetJobId()), append(epochs, run.GetEpoch()), append(targets, e.GetTarget())
			types, messages, times = append(types, e.GetEventType()), append(messages, clean(e.GetMessage())), append(times, e.GetTime().AsTime())
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, _ := tx.Query(ctx, `
		INSERT INTO replication.events (allocation, type, message, time)
		SELECT a.id, e.type, e.message, e.time
		FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
			WITH ORDINALITY AS e (job_id, epoch, target, type, message, time, n)
		JOIN replication.allocations AS a ON a.job_id = e.job_id AND a.epoch = e.epoch AND a.target = e.target
		ORDER BY e.n
		RETURNING allocation::text`, ids, epochs, targets, types, messages, times)
	touched, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return pg.Fault(err, "PLACEMENT", "store events")
	}
	_, err = tx.Exec(ctx, `
		DELETE FROM replication.events AS e
		USING (SELECT id, row_number() OVER (PARTITION BY allocation ORDER BY id DESC) AS age
			FROM replication.events WHERE allocation = ANY($1)) AS o
		WHERE e.id = o.id AND o.age > $2`, touched, keptEvents)
	return pg.Fault(err, "PLACEMENT", "trim events")
}

// storeFigures keeps the newest figures of every task.
func storeFigures(ctx context.Context, tx pgx.Tx, runs []*replicationv1.RunReport) error {
	var ids, targets []string
	var epochs []int64
	var figures [][]byte
	for _, run := range runs {
		for target, status := range map[string]*replicationv1.TaskStatus{job.Source: run.GetSource(), job.Target: run.GetTarget()} {
			if status == nil {
				continue
			}
			text, err := proto.Marshal(status)
			if err != nil {
				return fmt.Errorf("figures of job %s: %w", run.GetJobId(), err)
			}
			ids, epochs, targets, figures = append(ids, run.GetJobId()), append(epochs, run.GetEpoch()), append(targets, target), append(figures, text)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		UPDATE replication.allocations AS a SET figures = r.figures
		FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[]) AS r (job_id, epoch, target, figures)
		WHERE a.job_id = r.job_id AND a.epoch = r.epoch AND a.target = r.target`, ids, epochs, targets, figures)
	return pg.Fault(err, "PLACEMENT", "store figures")
}

// kill notes in the logs of the present placements of jobs that they ended, and why.
func kill(ctx context.Context, tx pgx.Tx, ids []string, why string) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO replication.events (allocation, type, message)
		SELECT a.id, 'Killed', $2
		FROM replication.allocations AS a
		JOIN replication.jobs AS j ON j.id = a.job_id AND j.epoch = a.epoch
		WHERE j.id = ANY($1)`, ids, why)
	return pg.Fault(err, "PLACEMENT", "end placements")
}

// trimPlacements forgets all but the newest placements of jobs.
func trimPlacements(ctx context.Context, tx pgx.Tx, ids []string) error {
	_, err := tx.Exec(ctx, `
		DELETE FROM replication.allocations AS a
		USING (SELECT id, dense_rank() OVER (PARTITION BY job_id ORDER BY epoch DESC) AS age
			FROM replication.allocations WHERE job_id = ANY($1)) AS o
		WHERE a.id = o.id AND o.age > $2`, ids, keptPlacements)
	return pg.Fault(err, "PLACEMENT", "trim placements")
}

// clean takes out what PostgreSQL cannot store in a text.
func clean(text string) string { return strings.ReplaceAll(text, "\x00", "") }
