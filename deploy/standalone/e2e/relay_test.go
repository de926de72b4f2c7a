package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// relayed is what a job tells of its relay log.
type relayed struct {
	Relay *struct {
		Bytes int64  `json:"bytes"`
		Max   int64  `json:"max_bytes"`
		Waits string `json:"waits"`
	} `json:"relay"`
}

// A source that purges its binary log while a job copies, or is paused, does not end the job: its relay log has what follows. Deleting the job deletes that.
func TestPurgedSource(t *testing.T) {
	t.Parallel()
	o, p, schema := sharedOpsdeck(t), newPair(t), newSchema()
	p.source.load(t, schema, 10000)
	job := with(p.job("purged-"+schema, schema), "binlog_relay", true)
	job = with(job, "binlog_relay_max_mib", 64)
	job["dest_task"].(object)["max_rows_per_second"] = 2000
	id := o.create(t, job)
	await(t, patience, "a part of the copy", func(ctx context.Context) error {
		n, err := p.target.number(ctx, rows(schema))
		if err == nil && n < 500 {
			err = fmt.Errorf("%d rows; events: %q", n, o.detail(t, id).messages())
		}
		return err
	})
	p.source.exec(t, "UPDATE "+schema+".big SET n = n + 1 WHERE id % 3 = 0", addRow(schema, 100001))
	o.awaitRelayed(t, id, p.source)
	purge(t, p.source)
	o.awaitCaughtUp(t, id)
	p.awaitSame(t, schema)

	ctx := t.Context()
	lock, err := p.target.Connect(ctx, schema)
	require.NoError(t, err)
	_, err = lock.Execute("LOCK TABLES big READ")
	require.NoError(t, err)
	p.source.exec(t, "DELETE FROM "+schema+".big WHERE id % 5 = 0", addRow(schema, 100002))
	o.awaitRelayed(t, id, p.source)
	o.order(t, "pause", id)
	purge(t, p.source)
	require.NoError(t, lock.Close())
	o.order(t, "resume", id)
	p.awaitSame(t, schema)
	o.awaitStatus(t, id, "running")
	require.NotContains(t, fmt.Sprint(o.detail(t, id).messages()), "purged")

	var told relayed
	await(t, patience, "the relay log in the detail", func(context.Context) error {
		o.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/job/migration/detail", Query: map[string]string{"job_id": id}}, &told)
		if told.Relay == nil || told.Relay.Bytes == 0 {
			return fmt.Errorf("there is none: %+v", told.Relay)
		}
		return nil
	})
	require.Equal(t, int64(64<<20), told.Relay.Max)
	require.Empty(t, told.Relay.Waits)
	logs := filepath.Join(o.data, "worker", "relay", "*")
	there, err := filepath.Glob(logs)
	require.NoError(t, err)
	require.Len(t, there, 1)
	o.order(t, "delete", id)
	await(t, patience, "the relay log to be deleted", func(context.Context) error {
		there, err := filepath.Glob(logs)
		if err == nil && len(there) > 0 {
			err = fmt.Errorf("%q are there", there)
		}
		return err
	})
}

// awaitRelayed waits until the relay log of a job has all that the source has logged.
func (c *operator) awaitRelayed(t testing.TB, job string, source *database) {
	t.Helper()
	goal, err := source.text(t.Context(), "SELECT @@GLOBAL.gtid_binlog_pos")
	require.NoError(t, err)
	await(t, patience, "the relay log to reach "+goal, func(context.Context) error {
		var at string
		for _, l := range c.detail(t, job).Logs {
			if l.Target != "src" {
				continue
			}
			var answer struct {
				Status struct {
					At struct {
						Retrieved string `json:"retrieved_gtid_set"`
					} `json:"current_coordinates"`
				} `json:"tasks_status"`
			}
			c.ok(t, apitest.HTTP{Method: "GET", Path: "/v2/monitor/task", Query: map[string]string{"allocation_id": l.Allocation, "task_name": "src"}}, &answer)
			at = answer.Status.At.Retrieved
		}
		if at != goal {
			return fmt.Errorf("it is at %q", at)
		}
		return nil
	})
}

// purge has a server begin a new binary log, and forget all others. It keeps one until its engines have written what it holds.
func purge(t testing.TB, d *database) {
	t.Helper()
	d.exec(t, "FLUSH BINARY LOGS")
	await(t, patience, "the binary logs to be purged", func(ctx context.Context) error {
		now, err := d.firstFile(ctx, "SHOW MASTER STATUS")
		if err != nil {
			return err
		}
		d.exec(t, "PURGE BINARY LOGS TO '"+now+"'")
		oldest, err := d.firstFile(ctx, "SHOW BINARY LOGS")
		if err == nil && oldest != now {
			err = fmt.Errorf("the oldest is %s, the newest %s", oldest, now)
		}
		return err
	})
}

// firstFile is the file in the first line of a list of binary logs.
func (d *database) firstFile(ctx context.Context, list string) (string, error) {
	rows, err := d.query(ctx, list)
	if err != nil {
		return "", err
	}
	return rows.GetString(0, 0)
}
