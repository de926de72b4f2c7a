package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/apitest"
)

// object is a JSON object.
type object = map[string]any

// connection is how a job reaches a server.
func (d *database) connection() object {
	return object{"mysql_host": "127.0.0.1", "mysql_port": d.Port(), "mysql_user": d.User(), "mysql_password": d.Password()}
}

// job is a job as an operator writes it down: everything of some schemas, the copy and what comes after.
func (p *pair) job(name string, schemas ...string) object {
	rules := []any{}
	for _, schema := range schemas {
		rules = append(rules, object{"table_schema": schema})
	}
	return object{
		"job_id": name, "task_step_name": "all",
		"src_task":  object{"task_name": "src", "mysql_connection_config": p.source.connection(), "replicate_do_db": rules},
		"dest_task": object{"task_name": "dest", "mysql_connection_config": p.target.connection()},
	}
}

// with returns the job with another member of src_task.
func with(job object, name string, value any) object {
	job["src_task"].(object)[name] = value
	return job
}

// paced has a job copy so slowly that there is time to come between.
func paced(job object) object {
	job["dest_task"].(object)["max_rows_per_second"] = 4000
	return job
}

// create creates a migration job and returns its full id.
func (c *operator) create(t testing.TB, job object) string {
	t.Helper()
	var answer struct {
		Job struct {
			ID string `json:"job_id"`
		} `json:"job"`
		Message string `json:"message"`
	}
	c.ok(t, apitest.HTTP{Method: "POST", Path: "/v2/job/migration/create", JSON: job}, &answer)
	require.Equal(t, "ok", answer.Message)
	require.Equal(t, job["job_id"].(string)+"-migration", answer.Job.ID)
	t.Cleanup(func() { c.showOnFailure(t, answer.Job.ID) })
	return answer.Job.ID
}

// showOnFailure prints what became of a job when the test has failed.
func (c *operator) showOnFailure(t testing.TB, job string) {
	t.Helper()
	if !t.Failed() {
		return
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+c.address+"/v2/job/migration/detail?job_id="+job, nil)
	if err != nil {
		return // the failure is told already
	}
	request.Header.Set("Authorization", c.token)
	response, err := httpClient.Do(request)
	if err != nil {
		t.Logf("the detail of %s: %v", job, err)
		return
	}
	defer func() { _ = response.Body.Close() }() // the failure is told already
	var d detail
	err = json.NewDecoder(response.Body).Decode(&d)
	t.Logf("%s is %s, %+v, events %q, %v", job, d.status(), d.Profile.Base.Steps, d.messages(), err)
}

// awaitStep waits until a step of a job has a status, and its progress is at least so many percent.
func (c *operator) awaitStep(t testing.TB, job, step, status string, percent float64) {
	t.Helper()
	await(t, patience, fmt.Sprintf("%s of %s to be %s", step, job, status), func(context.Context) error {
		d := c.detail(t, job)
		if got, schedule := d.step(step); got != status || schedule < percent {
			return fmt.Errorf("it is %s at %v%%, the job is %s; events: %q", got, schedule, d.status(), d.messages())
		}
		return nil
	})
}

// awaitCaughtUp waits until a job has copied everything and applied all that it knows of.
func (c *operator) awaitCaughtUp(t testing.TB, job string) {
	t.Helper()
	c.awaitStep(t, job, "job_stage_incr", "start", 100)
}

// writer changes the tables big and live of a schema about two hundred times a second, whatever happens to the server.
type writer struct {
	committed atomic.Int64
	stop      func()
}

func startWriter(t testing.TB, d *database, schema string, seed uint64) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &writer{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(ctx, d, schema, rand.New(rand.NewPCG(seed, 1)))
	}()
	w.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(w.stop)
	return w
}

func (w *writer) run(ctx context.Context, d *database, schema string, random *rand.Rand) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var conn *client.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close() // may be broken
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if conn == nil {
			conn, _ = d.Connect(ctx, schema)
		}
		if conn == nil {
			continue // the server is down
		}
		if err := w.change(conn, random); err != nil {
			_ = conn.Close() // is broken
			conn = nil
			continue
		}
		w.committed.Add(1)
	}
}

// change makes one transaction. The table live gets a row in each; big has one of its rows changed in every tenth.
func (w *writer) change(conn *client.Conn, random *rand.Rand) error {
	statements := []string{
		"BEGIN",
		fmt.Sprintf("INSERT INTO live (note) VALUES ('%d')", random.Int64()),
		fmt.Sprintf("UPDATE live SET note = 'changed' WHERE id = %d", random.IntN(500)),
		fmt.Sprintf("DELETE FROM live WHERE id = %d", random.IntN(500)),
	}
	if random.IntN(10) == 0 {
		statements = append(statements, fmt.Sprintf("UPDATE big SET n = n + 1 WHERE id = %d", random.IntN(bigRows)))
	}
	for _, statement := range append(statements, "COMMIT") {
		if _, err := conn.Execute(statement); err != nil {
			return err
		}
	}
	return nil
}

// bigRows is how many rows the table big of a loaded schema may have.
const bigRows = 60000

// load makes a schema with the tables that a writer changes, and so many rows in big.
func (d *database) load(t testing.TB, schema string, rows int) {
	t.Helper()
	d.exec(t,
		"CREATE DATABASE "+schema,
		"CREATE TABLE "+schema+".big (id INT PRIMARY KEY, n BIGINT NOT NULL, price DECIMAL(12,2), name VARCHAR(80) NOT NULL, made DATETIME(3), raw VARBINARY(32))",
		"CREATE TABLE "+schema+".live (id BIGINT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(60) NOT NULL)")
	if rows == 0 {
		return // seq_1_to_0 would count down
	}
	d.exec(t, fmt.Sprintf(`INSERT INTO %[1]s.big SELECT seq, seq * 7, seq / 3, CONCAT('name ', MD5(seq)), '2026-01-01' + INTERVAL seq SECOND,
		UNHEX(SHA1(seq)) FROM %[1]s.seq_1_to_%[2]d`, schema, rows))
}
