package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

var crashSchema = []string{
	"SET NAMES utf8mb4", "CREATE DATABASE app",
	`CREATE TABLE app.orders (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, sku INT NOT NULL, state ENUM('new','paid','sent') NOT NULL,
		amount DECIMAL(12,2), note VARCHAR(60) CHARACTER SET gbk, at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), UNIQUE (sku), KEY (state, amount), KEY by_note (note))`,
	"CREATE TABLE app.parts (a INT, b VARCHAR(20), v DOUBLE, PRIMARY KEY (b, a))",
	"CREATE TABLE app.log (at INT, message VARCHAR(40), KEY (at))",
	"CREATE TABLE app.named (name VARCHAR(40) COLLATE utf8mb4_unicode_ci PRIMARY KEY, doc JSON, n INT)",
	"INSERT INTO app.orders (id, sku, state, amount, note) SELECT seq, seq, 1 + seq % 3, seq / 7, CONCAT('单', seq) FROM mysql.seq_1_to_40000",
	"INSERT INTO app.parts SELECT seq % 50, CONCAT('p', seq), seq / 3 FROM mysql.seq_1_to_20000",
	"INSERT INTO app.log SELECT seq, 'old' FROM mysql.seq_1_to_3000",
	"INSERT INTO app.named SELECT CONCAT('é', seq), '{}', seq FROM mysql.seq_1_to_10000",
}

// change is one random transaction of a writer. Conflicts of the random values are part of it: the source refuses them.
func change(r *rand.Rand) []string {
	id, other := r.IntN(42000), r.IntN(42000)
	all := []string{
		fmt.Sprintf("INSERT IGNORE INTO app.orders (id, sku, state, amount, note) VALUES (%d, %d, 'new', 1.5, '蓝')", 40000+r.IntN(4000), 40000+r.IntN(4000)),
		fmt.Sprintf("UPDATE IGNORE app.orders SET amount = amount + 1, state = 'paid', sku = %d WHERE id = %d", other, id),
		fmt.Sprintf("DELETE FROM app.orders WHERE id = %d", id),
		fmt.Sprintf("UPDATE IGNORE app.orders SET id = %d WHERE id = %d", other+1, id),
		fmt.Sprintf("UPDATE app.orders SET note = CONCAT('x', id) WHERE id BETWEEN %d AND %d", id, id+20),
		fmt.Sprintf("REPLACE INTO app.parts (a, b, v) VALUES (%d, 'p%d', RAND())", r.IntN(50), r.IntN(20000)),
		fmt.Sprintf("DELETE FROM app.parts WHERE b = 'p%d'", r.IntN(20000)),
		fmt.Sprintf("INSERT INTO app.log VALUES (%d, 'new')", r.IntN(100)),
		fmt.Sprintf("DELETE FROM app.log WHERE at = %d LIMIT 1", r.IntN(3000)),
		fmt.Sprintf("UPDATE app.log SET message = 'seen' WHERE at = %d", r.IntN(3000)),
		fmt.Sprintf(`INSERT INTO app.named VALUES ('é%d', '{"k": %d}', 1) ON DUPLICATE KEY UPDATE n = n + 1, doc = '[1]'`, r.IntN(12000), id),
		fmt.Sprintf("UPDATE IGNORE app.named SET name = 'È%d' WHERE name = 'é%d'", r.IntN(12000), r.IntN(12000)),
	}
	out := []string{}
	for range 1 + r.IntN(4) {
		out = append(out, all[r.IntN(len(all))])
	}
	return out
}

// write makes random transactions until ctx ends, also after the server was killed under it.
func write(ctx context.Context, t *testing.T, cfg mysql.Config, r *rand.Rand) {
	t.Helper()
	for ctx.Err() == nil {
		c, err := mysql.Connect(ctx, cfg)
		if err != nil {
			continue // the server is down
		}
		for ctx.Err() == nil {
			err := c.Transaction(func() error {
				for _, statement := range change(r) {
					if _, err := c.Execute(statement); err != nil {
						return err
					}
				}
				return nil
			})
			code := mysql.Code(err)
			if err != nil && code == 0 {
				break // the connection is lost
			}
			if code != 0 && code != gomysql.ER_LOCK_DEADLOCK && code != gomysql.ER_LOCK_WAIT_TIMEOUT {
				t.Errorf("a writer's statement is wrong: %v", err)
				return
			}
		}
		_ = c.Close()
	}
}

// TestCrashes writes to the source all the time, and stops and kills worker, target and source at random moments, in the copy and after it.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for _, seed := range crashSeeds(t) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { crash(t, seed, nil, nil) })
	}
}

func crashSeeds(t *testing.T) []uint64 {
	t.Helper()
	if testing.Short() {
		return []uint64{1}
	}
	return []uint64{1, 2, 3}
}

// mapped are the rules of a job that renames its tables, and takes some of their columns and rows.
var mapped = []filter.SchemaRule{{Schema: "app", Rename: "copied", Tables: []filter.TableRule{
	{Name: "orders", Rename: "sales", Columns: []string{"amount", "id", "state"}, Where: "amount > 3 AND id % 3 <> 0"},
	{Name: "parts", Columns: []string{"b", "a"}, Where: "a < 25"},
	{Name: "log", Rename: "journal", Where: "at % 2 = 0"},
	{Name: "named", Where: "n % 3 = 1"},
	{Regex: "^(fr)esh$", Rename: "${1}"},
}}}

// mappedQueries are what the target must have, by the source's query and the target's.
var mappedQueries = map[string]string{
	"SELECT CONCAT_WS(',', amount, id, state) FROM app.orders WHERE amount > 3 AND id % 3 <> 0 ORDER BY id": "SELECT CONCAT_WS(',', amount, id, state) FROM copied.sales ORDER BY id",
	"SELECT CONCAT_WS(',', b, a) FROM app.parts WHERE a < 25 ORDER BY a, b":                                 "SELECT CONCAT_WS(',', b, a) FROM copied.parts ORDER BY a, b",
	"SELECT CONCAT_WS(',', at, message) FROM app.log WHERE at % 2 = 0 ORDER BY at, message":                 "SELECT CONCAT_WS(',', at, message) FROM copied.journal ORDER BY at, message",
	"SELECT CONCAT_WS(',', HEX(name), doc, n) FROM app.named WHERE n % 3 = 1 ORDER BY HEX(name)":            "SELECT CONCAT_WS(',', HEX(name), doc, n) FROM copied.named ORDER BY HEX(name)",
	"SELECT id FROM app.fresh ORDER BY id":                                                                  "SELECT id FROM copied.fr ORDER BY id",
}

// awaitMapped waits until the target is what the mapped job makes of the source.
func (p *pair) awaitMapped(t *testing.T, r *running) {
	t.Helper()
	for here, there := range mappedQueries {
		want := answer(t, p.source, here)
		require.Greater(t, len(want), 10, here)
		r.await(t, func() bool { return slices.Equal(want, answer(t, p.target, there)) })
	}
	columns := "SELECT GROUP_CONCAT(column_name ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'copied' AND table_name IN ('sales', 'parts') GROUP BY table_name"
	require.Equal(t, []string{"b,a", "amount,id,state"}, answer(t, p.target, columns))
}

// TestCrashesMapped is TestCrashes for a job with renames, columns and filters.
func TestCrashesMapped(t *testing.T) {
	t.Parallel()
	crash(t, 11, mapped, nil)
}

// TestCrashesInParallel is TestCrashes for a job that applies with several sessions, in units so small that some are always ahead.
func TestCrashesInParallel(t *testing.T) {
	t.Parallel()
	for _, seed := range crashSeeds(t) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			crash(t, seed, nil, func(job *engine.Job) { job.ParallelWorkers, job.Merge = 4, 2 })
		})
	}
}

// crash runs a job of the rules, the whole schema without them.
func crash(t *testing.T, seed uint64, rules []filter.SchemaRule, adjust func(*engine.Job)) {
	r := rand.New(rand.NewPCG(seed, 0))
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	p.source.Exec(t, crashSchema...)

	ctx, stopWriters := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range uint64(2) {
		writers.Go(func() { write(ctx, t, p.source.Config(), rand.New(rand.NewPCG(seed, i+1))) })
	}
	const runs = 14
	for epoch := int64(1); epoch <= runs; epoch++ {
		job := crashJob(p, epoch, rules, adjust)
		life := time.After(time.Duration(50+r.IntN(250)) * time.Millisecond)
		switch r.IntN(4) {
		case 0: // a pause
			run := start(t, job)
			<-life
			run.stop(t)
		case 1: // kill -9 of the worker
			_, kill := startWorker(t, job)
			<-life
			kill()
		case 2: // kill -9 of the target
			run := start(t, job)
			<-life
			require.NoError(t, p.target.Kill())
			require.Error(t, <-run.done)
			p.target.Restart(t)
		case 3: // kill -9 of the source
			run := start(t, job)
			<-life
			require.NoError(t, p.source.Kill())
			require.Error(t, <-run.done)
			p.source.Restart(t)
		}
		if epoch == runs/2 {
			p.source.Exec(t, "ALTER TABLE app.parts ADD extra INT NOT NULL DEFAULT 7 FIRST", "ALTER TABLE app.parts MODIFY extra INT NOT NULL DEFAULT 7 AFTER v",
				"CREATE TABLE app.fresh (id INT PRIMARY KEY) SELECT seq AS id FROM mysql.seq_1_to_100", "TRUNCATE TABLE app.log")
		}
	}
	run := start(t, crashJob(p, runs+1, rules, adjust))
	run.await(t, func() bool {
		_, last, _ := run.snapshot()
		return last.Stage == "job_stage_incr" && last.ExecTx > 0
	})
	stopWriters()
	writers.Wait()
	if rules == nil {
		p.awaitEqual(t, run, "app")
		const keys = `SELECT CONCAT_WS(',', table_name, index_name, seq_in_index, column_name) FROM information_schema.statistics
			WHERE table_schema = 'app' ORDER BY table_name, index_name, seq_in_index`
		require.Equal(t, answer(t, p.source, keys), answer(t, p.target, keys))
	} else {
		p.awaitMapped(t, run)
	}
	run.stop(t)
}

func crashJob(p *pair, epoch int64, rules []filter.SchemaRule, adjust func(*engine.Job)) engine.Job {
	job := p.job("crash", epoch, "app")
	if adjust != nil {
		adjust(&job)
	}
	if rules != nil {
		job.Do = rules
	}
	return job
}
