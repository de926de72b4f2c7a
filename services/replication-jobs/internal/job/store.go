package job

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/reach"
)

// newJob is a job to be stored.
type newJob struct {
	id, jobType, incarnation, tenant, owner string
	config                                  []byte
	step, sourceHost, targetHost            string
	predecessor                             string // of a reverse job: the one that it takes over from
	passwords                               sealed
	nodes                                   wishes
}

func (j newJob) summary() Summary {
	return Summary{ID: j.id, Type: j.jobType, Tenant: j.tenant, Owner: j.owner, Status: j.status()}
}

// status is that of a new job.
func (j newJob) status() string {
	if j.predecessor != "" {
		return reverseInit
	}
	return "pending"
}

// checkPinned refuses nodes that were never seen: a job that only they may run would wait for ever.
func checkPinned(ctx context.Context, tx pgx.Tx, nodes wishes) error {
	if nodes.pinned == "" {
		return nil
	}
	if nodes.source == "" {
		return checkSeen(ctx, tx, "job.src_task.node_id", nodes.pinned)
	}
	if err := checkSeen(ctx, tx, "job.src_task.node_id", nodes.source); err != nil {
		return err
	}
	return checkSeen(ctx, tx, "job.dest_task.node_id", nodes.pinned)
}

func checkSeen(ctx context.Context, tx pgx.Tx, field, node string) error {
	var known bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM replication.nodes WHERE id::text = $1)`, node).Scan(&known); err != nil {
		return pg.Fault(err, "NODES", "look for node %s", node)
	}
	if known {
		return nil
	}
	f := fault.Invalid(field, "no node %q was ever seen, and failover is false: name one that GET /v2/nodes lists", node)
	f.Reason = "NODE_UNKNOWN"
	return f
}

// insert stores a job and returns its revision.
func insert(ctx context.Context, tx pgx.Tx, j newJob) (int64, error) {
	var index int64
	err := tx.QueryRow(ctx, `
		INSERT INTO replication.jobs (id, type, incarnation, tenant, owner, modify_index, config, step, source_host, target_host,
			source_password, target_password, pinned_node, preferred_node, source_node, status, reason)
		VALUES ($1, $2, $3, $4, $5, nextval('replication.revision'), $6, $7, $8, $9, $10, $11, nullif($12, ''), nullif($13, ''), nullif($14, ''), $15,
			coalesce((SELECT 'waited until what the deleted job ' || l.job_id || ' had left at the target was cleared' FROM replication.leftovers AS l
				WHERE lower(l.target_host) = lower($9) AND l.target_port = ($6::jsonb -> 'dest_task' -> 'mysql_connection_config' ->> 'mysql_port')::int
				ORDER BY l.delete_time DESC LIMIT 1), ''))
		RETURNING modify_index`,
		j.id, j.jobType, j.incarnation, j.tenant, j.owner, j.config, j.step, j.sourceHost, j.targetHost,
		j.passwords.source, j.passwords.target, j.nodes.pinned, j.nodes.preferred, j.nodes.source, j.status()).Scan(&index)
	return index, pg.Fault(err, "JOB_EXISTS", "job %s exists already: choose another job_id, or delete that job first", j.id)
}

// replace gives a job that a transaction holds another configuration, notes that at the tasks of its epoch, and takes the job from its
// node. It returns the new revision.
func replace(ctx context.Context, tx pgx.Tx, j newJob, epoch int64) (int64, error) {
	_, err := tx.Exec(ctx, `
		INSERT INTO replication.events (allocation, type, message)
		SELECT a.id, 'Killed', 'the job was changed: its tasks are started anew'
		FROM replication.allocations AS a JOIN replication.jobs AS j ON j.id = a.job_id AND j.node IS NOT NULL
		WHERE a.job_id = $1 AND a.epoch = $2`, j.id, epoch)
	if err != nil {
		return 0, pg.Fault(err, "JOB", "update job %s", j.id)
	}
	if err := verifyAnew(ctx, tx, j.id, j.incarnation); err != nil {
		return 0, err
	}
	var index int64
	err = tx.QueryRow(ctx, `
		UPDATE replication.jobs SET modify_index = nextval('replication.revision'), config = $2, step = $3, source_host = $4, target_host = $5,
			source_password = $6, target_password = $7, pinned_node = nullif($8, ''), preferred_node = nullif($9, ''), source_node = nullif($11, ''), incarnation = $10,
			relay_node = CASE WHEN incarnation = $10 THEN relay_node END,
			stage = CASE WHEN incarnation = $10 THEN stage ELSE '' END, copied_percent = CASE WHEN incarnation = $10 THEN copied_percent ELSE 0 END,
			node = NULL, reported = false, reason = '', stopped_at = '', status = CASE WHEN status IN ('paused', 'reverse-init') THEN status ELSE 'pending' END
		WHERE id = $1
		RETURNING modify_index`,
		j.id, j.config, j.step, j.sourceHost, j.targetHost, j.passwords.source, j.passwords.target, j.nodes.pinned, j.nodes.preferred, j.incarnation, j.nodes.source).Scan(&index)
	return index, pg.Fault(err, "JOB", "update job %s", j.id)
}

// locked is a job that a transaction holds for a change.
type locked struct {
	Summary

	Node        *string
	Epoch       int64
	Stage       string
	Reason      string
	Successor   string
	Incarnation string
	Config      []byte
	Source      []byte // sealed passwords
	Target      []byte
}

// lock holds a job in reach until the transaction ends.
func lock(ctx context.Context, tx pgx.Tx, id string, of reach.Reach) (locked, error) {
	var j locked
	err := tx.QueryRow(ctx, `
		SELECT id, type, tenant, owner, status, node::text, epoch, stage, reason, successor, incarnation::text, config, source_password, target_password
		FROM replication.jobs
		WHERE id = $1 AND ($2::text IS NULL OR tenant = $2) AND ($3::text[] IS NULL OR tenant || ':' || owner = ANY ($3))
		FOR UPDATE`, id, of.Tenant, of.Owners).
		Scan(&j.ID, &j.Type, &j.Tenant, &j.Owner, &j.Status, &j.Node, &j.Epoch, &j.Stage, &j.Reason, &j.Successor, &j.Incarnation, &j.Config, &j.Source, &j.Target)
	return j, notFound(err, id)
}

func notFound(err error, id string) error {
	return pg.Fault(err, "JOB_NOT_FOUND", "there is no job %s", id)
}

// pause reports false for a job that is paused already.
func pause(ctx context.Context, tx pgx.Tx, j locked) (bool, error) {
	switch j.Status {
	case "paused":
		return false, nil
	case reverseInit:
		return false, fault.Precondition("JOB_WAITS", "job %s waits for the job that it takes over from: there is nothing to pause", j.ID)
	case "finished":
		return false, fault.Precondition("JOB_FINISHED", "job %s is finished: there is nothing to pause", j.ID)
	}
	_, err := tx.Exec(ctx, `
		UPDATE replication.jobs SET status = 'paused', reason = '', stopped_at = '', reported = false,
			modify_index = nextval('replication.revision')
		WHERE id = $1`, j.ID)
	if err != nil {
		return false, pg.Fault(err, "JOB", "pause job %s", j.ID)
	}
	return true, signal(ctx, tx, j)
}

// resume reports false for a job that is not paused.
func resume(ctx context.Context, tx pgx.Tx, j locked) (bool, error) {
	if j.Status != "paused" {
		return false, nil
	}
	_, err := tx.Exec(ctx, `
		UPDATE replication.jobs SET status = CASE WHEN node IS NULL THEN 'pending' ELSE 'running' END,
			modify_index = nextval('replication.revision')
		WHERE id = $1`, j.ID)
	if err != nil {
		return false, pg.Fault(err, "JOB", "resume job %s", j.ID)
	}
	return true, signal(ctx, tx, j)
}

// signal notes in the logs of the running tasks that somebody told them something.
func signal(ctx context.Context, tx pgx.Tx, j locked) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO replication.events (allocation, type, message)
		SELECT id, 'Signaling', 'Task being sent a signal' FROM replication.allocations WHERE job_id = $1 AND epoch = $2`, j.ID, j.Epoch)
	return pg.Fault(err, "JOB", "signal job %s", j.ID)
}

func del(ctx context.Context, tx pgx.Tx, id string) error {
	_, err := tx.Exec(ctx, `DELETE FROM replication.jobs WHERE id = $1`, id)
	return pg.Fault(err, "JOB", "delete job %s", id)
}
