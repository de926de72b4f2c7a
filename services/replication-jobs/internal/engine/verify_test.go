package engine_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/engine"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/verify"
)

// verifying is a job that follows, with a desk for orders.
type verifying struct {
	*running

	desk   *verify.Desk
	number int64
}

func startVerifying(t *testing.T, job engine.Job) *verifying {
	t.Helper()
	v := &verifying{desk: verify.NewDesk()}
	job.Verify = v.desk
	v.running = start(t, job)
	v.awaitEvent(t, "job_stage_incr")
	return v
}

// order has the job verified once, and returns how that went and what was found.
func (v *verifying) order(t *testing.T, o verify.Order) (verify.Progress, []string) {
	t.Helper()
	v.number++
	o.Number, o.MaxLag = v.number, time.Minute
	if o.RowsPerSecond == 0 {
		o.RowsPerSecond = 1_000_000
	}
	v.desk.Place(o, verify.Progress{})
	v.await(t, func() bool {
		_, at, _ := v.desk.Report()
		return at.State == verify.Finished || at.State == verify.Failed
	})
	_, at, found := v.desk.Report()
	require.Equal(t, verify.Finished, at.State, at.Error)
	var lines []string
	for _, d := range found {
		lines = append(lines, strings.Join([]string{d.Table, d.Kind, d.Key, strings.Join(d.Columns, " ") + d.Note}, "|"))
	}
	return at, lines
}

func TestVerify(t *testing.T) {
	t.Parallel()
	p := &pair{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	for name, test := range map[string]func(*testing.T, *pair){
		"differences are found by their keys":       testVerifyFinds,
		"writers cause no false alarm":              testVerifyMoving,
		"what is mapped is compared":                testVerifyMapped,
		"every type is equal after a copy":          testVerifyTypes,
		"an order goes on behind what was done":     testVerifyResumes,
		"repair finds unique values that moved":     testVerifySwapped,
		"a table that the target lacks is told":     testVerifyStrange,
		"an order that is taken back does not end":  testVerifyTakenBack,
		"a target with many more rows is cut as it": testVerifyManyExtra,
		"nothing is read while the job lags":        testVerifyLag,
		"a continuous one begins again":             testVerifyContinuous,
		"copied triggers do not run for repairs":    testVerifyTriggers,
		"what strict sessions refuse is repaired":   testVerifyLenient,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

func testVerifyFinds(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE finds", "CREATE TABLE finds.a (id INT PRIMARY KEY, v INT, f FLOAT, g INT AS (v + 1) STORED)",
		"INSERT INTO finds.a (id, v, f) SELECT seq, seq, seq / 3 FROM mysql.seq_1_to_5000",
		"CREATE TABLE finds.b (name VARCHAR(20) COLLATE utf8mb4_general_ci, n INT, v TEXT, PRIMARY KEY (name, n))",
		"INSERT INTO finds.b VALUES ('a', 1, 'x'), ('B', 1, 'x'), ('c''s', 2, 'x'), ('é', -1, NULL), ('e', -2, NULL)",
		"CREATE TABLE finds.c (k VARBINARY(8) PRIMARY KEY, v INT)", "INSERT INTO finds.c VALUES (X'00FF', 1), (X'00', 2), ('', 3)",
		"CREATE TABLE finds.d (v INT)", "INSERT INTO finds.d VALUES (1), (1), (2), (NULL)", "CREATE TABLE finds.e (v INT)", "INSERT INTO finds.e VALUES (1)")
	run := startVerifying(t, p.job("finds", 1, "finds"))
	at, found := run.order(t, verify.Order{})
	require.Empty(t, found)
	require.Equal(t, [5]int64{5, 5, 5013, 0, 1}, [5]int64{at.TablesDone, at.TablesTotal, at.Rows, at.Found, at.Pass})

	p.target.Exec(t, "DELETE FROM finds.a WHERE id IN (1, 2500, 5000)", "UPDATE finds.a SET v = 0, f = 0.5 WHERE id = 3", "INSERT INTO finds.a (id, v) VALUES (-7, 1), (6000, 1)",
		"UPDATE finds.b SET name = 'A' WHERE name = 'a'", "DELETE FROM finds.b WHERE name = 'c''s'", "INSERT INTO finds.b VALUES ('é', 9, '')",
		"UPDATE finds.c SET v = 9 WHERE k = X'00FF'", "DELETE FROM finds.d WHERE v = 1 LIMIT 1")
	want := []string{
		"finds.a|missing|id=1|", "finds.a|missing|id=2500|", "finds.a|missing|id=5000|", "finds.a|different|id=3|v f", "finds.a|extra|id=-7|", "finds.a|extra|id=6000|",
		"finds.b|different|name='a', n=1|name", "finds.b|missing|name='c''s', n=2|", "finds.b|extra|name='é', n=9|",
		"finds.c|different|k=0x00ff|v", "finds.d|table||without a key to compare by: 4 rows at the source, 3 at the target, which are not the same",
	}
	want[7] = "finds.b|missing|name='c's', n=2|"
	_, found = run.order(t, verify.Order{})
	require.ElementsMatch(t, want, found)
	at, found = run.order(t, verify.Order{Repair: true})
	require.ElementsMatch(t, want, found)
	require.Equal(t, [2]int64{11, 10}, [2]int64{at.Found, at.Repaired}, "a table without key is not repaired: %s", at.Error)
	_, found = run.order(t, verify.Order{})
	require.Equal(t, want[10:], found)
	run.stop(t)
}

// Rows change, come, go and come again with the same values all the while; what is broken at the target by hand is all that is found, and
// what is repaired does not stop the job.
func testVerifyMoving(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE moving", "CREATE TABLE moving.t (id INT PRIMARY KEY, v INT, u INT UNIQUE)", "CREATE TABLE moving.bare (v INT)",
		"INSERT INTO moving.t SELECT seq, 0, seq FROM mysql.seq_1_to_3000", "INSERT INTO moving.bare SELECT seq FROM mysql.seq_1_to_100")
	job := p.job("moving", 1, "moving")
	job.ParallelWorkers = 3
	run := startVerifying(t, job)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 3 {
		conn, random := p.source.Connect(t), rand.New(rand.NewPCG(7, uint64(w)))
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := random.IntN(1000)*3 + w + 1
				for _, statement := range []string{
					fmt.Sprintf("UPDATE moving.t SET v = 1 - v WHERE id = %d", id), fmt.Sprintf("DELETE FROM moving.t WHERE id = %d", id),
					fmt.Sprintf("INSERT INTO moving.t VALUES (%d, 0, %d)", id, id), fmt.Sprintf("UPDATE moving.bare SET v = v + 1 WHERE v = %d", random.IntN(100)),
				} {
					if _, err := conn.Execute(statement); err != nil {
						t.Errorf("%s: %v", statement, err)
						return
					}
				}
			}
		})
	}
	for range 15 {
		_, found := run.order(t, verify.Order{})
		require.Empty(t, found)
	}
	// No writer touches the ids above: what is broken there stays. Some of those below are broken as well, and repaired while they change.
	p.source.Exec(t, "INSERT INTO moving.t SELECT seq, 0, seq FROM mysql.seq_4001_to_4100")
	run.await(t, func() bool {
		r, err := p.target.Connect(t).Execute("SELECT COUNT(*) FROM moving.t WHERE id > 4000")
		if err != nil {
			return false
		}
		n, err := r.GetInt(0, 0)
		return err == nil && n == 100
	})
	for round := range 5 {
		p.target.Exec(t, fmt.Sprintf("DELETE FROM moving.t WHERE id = %d", 4001+round), fmt.Sprintf("UPDATE moving.t SET v = 7 WHERE id = %d", 4051+round),
			fmt.Sprintf("UPDATE moving.t SET v = 7 WHERE id %% 50 = %d", round))
		at, found := run.order(t, verify.Order{Repair: true})
		require.Contains(t, found, fmt.Sprintf("moving.t|missing|id=%d|", 4001+round))
		require.Contains(t, found, fmt.Sprintf("moving.t|different|id=%d|v", 4051+round))
		require.Equal(t, at.Found, at.Repaired, at.Error)
	}
	_, found := run.order(t, verify.Order{})
	require.Empty(t, found)
	close(stop)
	writers.Wait()
	p.awaitEqual(t, run.running, "moving")
	run.stop(t)
}

func testVerifyMapped(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE vm", "CREATE TABLE vm.t (secret INT, id INT PRIMARY KEY, n INT)", "INSERT INTO vm.t SELECT seq, seq, seq % 10 FROM mysql.seq_1_to_3000")
	job := p.job("vm", 1, "vm")
	job.Do = []filter.SchemaRule{{Schema: "vm", Rename: "vm_there", Tables: []filter.TableRule{{Name: "t", Rename: "u", Columns: []string{"n", "id"}, Where: "n > 5"}}}}
	run := startVerifying(t, job)
	_, found := run.order(t, verify.Order{})
	require.Empty(t, found)
	p.source.Exec(t, "UPDATE vm.t SET secret = 0")
	p.target.Exec(t, "UPDATE vm_there.u SET n = 5 WHERE id = 6", "INSERT INTO vm_there.u VALUES (1, 1)")
	_, found = run.order(t, verify.Order{Repair: true})
	require.ElementsMatch(t, []string{"vm.t|different|id=6|n", "vm.t|extra|id=1|"}, found)
	_, found = run.order(t, verify.Order{})
	require.Empty(t, found)
	run.stop(t)
}

// Values of every type are the same at both ends, as the copy writes them and as the log does.
func testVerifyTypes(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE vtypes")
	types := mysqltest.Types()
	for i, c := range types {
		p.source.Exec(t, fmt.Sprintf("CREATE TABLE vtypes.t%d (id INT PRIMARY KEY, v %s)", i, c.Column), fmt.Sprintf("CREATE TABLE vtypes.bare%d (v %s)", i, c.Column))
		for n, v := range c.Values {
			p.source.Exec(t, "SET sql_mode = ''", fmt.Sprintf("INSERT INTO vtypes.t%d VALUES (%d, %s)", i, n, v.SQL), fmt.Sprintf("INSERT INTO vtypes.bare%d VALUES (%s)", i, v.SQL))
		}
	}
	run := startVerifying(t, p.job("vtypes", 1, "vtypes"))
	_, found := run.order(t, verify.Order{})
	require.Empty(t, found)
	for i := range types {
		p.source.Exec(t, "SET sql_mode = ''", fmt.Sprintf("INSERT INTO vtypes.t%d SELECT id + 100, v FROM vtypes.t%d", i, i), fmt.Sprintf("INSERT INTO vtypes.bare%d SELECT * FROM vtypes.bare%d", i, i))
		p.target.Exec(t, fmt.Sprintf("DELETE FROM vtypes.t%d WHERE id < 100", i))
	}
	at, _ := run.order(t, verify.Order{Repair: true})
	require.Equal(t, at.Found, at.Repaired, at.Error)
	require.GreaterOrEqual(t, at.Repaired, int64(len(types)))
	_, found = run.order(t, verify.Order{})
	require.Empty(t, found)
	run.stop(t)
}

func testVerifyResumes(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE resumes", "CREATE TABLE resumes.a (id INT PRIMARY KEY)", "CREATE TABLE resumes.b (id INT PRIMARY KEY)",
		"INSERT INTO resumes.a SELECT seq FROM mysql.seq_1_to_20000", "INSERT INTO resumes.b VALUES (1)")
	run := startVerifying(t, p.job("resumes", 1, "resumes"))
	p.target.Exec(t, "DELETE FROM resumes.a WHERE id IN (5, 19999)")
	run.desk.Place(verify.Order{Number: 1, MaxLag: time.Minute, RowsPerSecond: 4000}, verify.Progress{})
	var at verify.Progress
	run.await(t, func() bool {
		_, at, _ = run.desk.Report()
		return at.Rows >= 5000 && at.Key != nil
	})
	run.stop(t)
	require.NotEqual(t, verify.Finished, at.State)

	again := startVerifying(t, p.job("resumes", 2, "resumes"))
	again.number = 1
	again.desk.Place(verify.Order{Number: 1, MaxLag: time.Minute, RowsPerSecond: 1_000_000}, at)
	again.await(t, func() bool {
		_, now, _ := again.desk.Report()
		return now.State == verify.Finished
	})
	_, now, found := again.desk.Report()
	require.Equal(t, int64(20001), now.Rows, "no row twice")
	require.Equal(t, int64(2), now.Found)
	require.Len(t, found, int(2-at.Found))
	again.stop(t)
}

func testVerifySwapped(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE swapped", "CREATE TABLE swapped.t (id INT PRIMARY KEY, u INT UNIQUE)", "INSERT INTO swapped.t VALUES (1, 1), (2, 2), (3, 3)",
		"CREATE TABLE swapped.parent (id INT PRIMARY KEY, v INT)", "INSERT INTO swapped.parent VALUES (1, 1)",
		"CREATE TABLE swapped.child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES swapped.parent (id) ON DELETE CASCADE)", "INSERT INTO swapped.child VALUES (1, 1)")
	run := startVerifying(t, p.job("swapped", 1, "swapped"))
	p.target.Exec(t, "UPDATE swapped.t SET u = 9 WHERE id = 1", "UPDATE swapped.t SET u = 1 WHERE id = 2", "UPDATE swapped.t SET u = 2 WHERE id = 1",
		"UPDATE swapped.parent SET v = 2")
	at, _ := run.order(t, verify.Order{Repair: true})
	require.Equal(t, int64(3), at.Repaired, at.Error)
	require.True(t, p.equal(t, "swapped"))
	run.stop(t)
}

func testVerifyStrange(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE strange", "CREATE TABLE strange.a (id INT PRIMARY KEY)", "CREATE TABLE strange.b (id INT PRIMARY KEY, v INT)")
	run := startVerifying(t, p.job("strange", 1, "strange"))
	p.target.Exec(t, "DROP TABLE strange.a", "ALTER TABLE strange.b DROP v")
	_, found := run.order(t, verify.Order{})
	require.Len(t, found, 2)
	require.Contains(t, found[0], "strange.a|table||")
	require.Contains(t, found[0], "does not exist")
	require.Contains(t, found[1], "has no column v at the target")
	run.stop(t)
}

func testVerifyTakenBack(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE back", "CREATE TABLE back.t (id INT PRIMARY KEY)", "INSERT INTO back.t SELECT seq FROM mysql.seq_1_to_5000")
	run := startVerifying(t, p.job("back", 1, "back"))
	run.desk.Place(verify.Order{Number: 1, MaxLag: time.Minute, RowsPerSecond: 1}, verify.Progress{})
	run.await(t, func() bool {
		_, at, _ := run.desk.Report()
		return at.Rows > 0
	})
	run.desk.Place(verify.Order{}, verify.Progress{})
	run.number = 1
	at, found := run.order(t, verify.Order{})
	require.Empty(t, found)
	require.Equal(t, int64(5000), at.Rows)
	run.stop(t)
}

func testVerifyManyExtra(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE extra", "CREATE TABLE extra.t (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO extra.t VALUES (1, 0), (1, 1000000)")
	run := startVerifying(t, p.job("extra", 1, "extra"))
	p.target.Exec(t, "INSERT INTO extra.t SELECT 1, seq FROM mysql.seq_1_to_9000")
	at, found := run.order(t, verify.Order{Repair: true})
	require.Equal(t, [3]int64{2, 9000, 9000}, [3]int64{at.Rows, at.Found, at.Repaired}, at.Error)
	require.Len(t, found, verify.MaxKept)
	require.True(t, p.equal(t, "extra"))
	run.stop(t)
}

// A lock of somebody at the target keeps the applier waiting.
func testVerifyLag(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE lagging", "CREATE TABLE lagging.t (id INT PRIMARY KEY, v INT)", "INSERT INTO lagging.t SELECT seq, 0 FROM mysql.seq_1_to_5000")
	run := startVerifying(t, p.job("lagging", 1, "lagging"))
	p.source.Exec(t, "UPDATE lagging.t SET v = 1 WHERE id = 1")
	p.awaitEqual(t, run.running, "lagging")
	outsider := p.target.Connect(t)
	require.NoError(t, outsider.Begin())
	_, err := outsider.Execute("SELECT * FROM lagging.t WHERE id = 1 FOR UPDATE")
	require.NoError(t, err)
	p.source.Exec(t, "UPDATE lagging.t SET v = 2 WHERE id = 1")
	run.await(t, func() bool {
		_, last, _ := run.snapshot()
		return last.Lag > time.Second
	})
	run.desk.Place(verify.Order{Number: 1, MaxLag: time.Second, RowsPerSecond: 1_000_000}, verify.Progress{})
	var at verify.Progress
	run.await(t, func() bool {
		_, at, _ = run.desk.Report()
		return at.State == verify.PausedForLag
	})
	require.Zero(t, at.Rows)
	require.NoError(t, outsider.Rollback())
	run.await(t, func() bool {
		_, at, _ = run.desk.Report()
		return at.State == verify.Finished
	})
	require.Equal(t, [2]int64{5000, 0}, [2]int64{at.Rows, at.Found})
	run.stop(t)
}

func testVerifyContinuous(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE continuous", "CREATE TABLE continuous.t (id INT PRIMARY KEY)", "INSERT INTO continuous.t VALUES (1), (2)")
	run := startVerifying(t, p.job("continuous", 1, "continuous"))
	p.target.Exec(t, "DELETE FROM continuous.t WHERE id = 1")
	run.desk.Place(verify.Order{Number: 1, MaxLag: time.Minute, RowsPerSecond: 1000, Continuous: true}, verify.Progress{})
	run.await(t, func() bool {
		_, at, found := run.desk.Report()
		return at.Pass == 2 && at.TablesDone == 1 && len(found) == 2
	})
	_, at, found := run.desk.Report()
	require.Equal(t, [4]int64{1, 2, 1, 2}, [4]int64{at.Found, at.Rows, found[0].Pass, found[1].Pass})
	run.stop(t)
}

// The trigger has the guard that copied ones have.
func testVerifyTriggers(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE guarded", "CREATE TABLE guarded.t (id INT PRIMARY KEY)", "INSERT INTO guarded.t VALUES (1)", "CREATE TABLE guarded.log (n INT PRIMARY KEY)")
	run := startVerifying(t, p.job("guarded", 1, "guarded"))
	p.target.Exec(t, "DELETE FROM guarded.t", "CREATE TRIGGER guarded.tr AFTER INSERT ON guarded.t FOR EACH ROW "+ddl.Guard+"INSERT INTO guarded.log VALUES (NEW.id); END IF")
	at, _ := run.order(t, verify.Order{Repair: true})
	require.Equal(t, int64(1), at.Repaired, at.Error)
	_, found := run.order(t, verify.Order{})
	require.Empty(t, found)
	run.stop(t)
}

// Values that only lenient sessions write are repaired, beside others of the same row and of the next.
func testVerifyLenient(t *testing.T, p *pair) {
	p.source.Exec(t, "CREATE DATABASE lenient", "SET sql_mode = ''", "CREATE TABLE lenient.t (id INT PRIMARY KEY, e ENUM('a', 'b') NOT NULL, d DATE NOT NULL, at DATETIME, ts TIMESTAMP NULL)",
		"INSERT INTO lenient.t VALUES (1, '', '0000-00-00', '2024-02-31', '0000-00-00 00:00:00'), (2, 'a', '2024-00-00', NULL, NULL), (3, '', '2024-01-01', NULL, NULL)")
	run := startVerifying(t, p.job("lenient", 1, "lenient"))
	p.target.Exec(t, "UPDATE lenient.t SET e = 'b', d = '2000-01-01' WHERE id < 3", "DELETE FROM lenient.t WHERE id = 3")
	at, _ := run.order(t, verify.Order{Repair: true})
	require.Equal(t, [2]int64{3, 3}, [2]int64{at.Found, at.Repaired}, at.Error)
	require.True(t, p.equal(t, "lenient"))
	run.stop(t)
}
