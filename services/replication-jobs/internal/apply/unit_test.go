package apply_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sync/errgroup"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
)

// TestSessionsSideBySide applies transactions that keep meeting at the same few rows, in units so small that there is always one ahead.
func TestSessionsSideBySide(t *testing.T) {
	t.Parallel()
	for _, merge := range []int{1, 3, 20} {
		t.Run(fmt.Sprint("merge ", merge), func(t *testing.T) {
			t.Parallel()
			j := newJob(t, fmt.Sprint("sidebyside", merge))
			j.workers, j.merge = 4, merge
			j.create(t, "CREATE TABLE plain (id INT PRIMARY KEY, v INT)", "CREATE TABLE named (name VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
				"CREATE TABLE uniq (id INT PRIMARY KEY, u INT UNIQUE, v INT)", "CREATE TABLE keyless (a INT, v INT)",
				"CREATE TABLE parent (id INT PRIMARY KEY)", "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
				"CREATE TABLE audited (id INT PRIMARY KEY, v INT)")
			j.at(t, j.target, "CREATE TRIGGER audit AFTER UPDATE ON audited FOR EACH ROW SET @seen = 1")
			j.meet(t, 400)
			stats := j.converge(t)
			if merge < 20 { // so many make few transactions, which may come one after the other
				require.NotZero(t, stats.Ahead, "no session was ahead of its turn")
			}
		})
	}
}

// meet writes transactions of several sessions that compete for rows.
func (j *job) meet(t *testing.T, transactions int) {
	group, ctx := errgroup.WithContext(t.Context())
	for writer := range uint64(4) {
		group.Go(func() error {
			c, err := mysql.Connect(ctx, config(source))
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			if _, err := c.Execute("USE " + j.schema); err != nil {
				return err
			}
			return compete(ctx, c, rand.New(rand.NewPCG(writer, 7)), transactions/4)
		})
	}
	require.NoError(t, group.Wait())
}

func compete(ctx context.Context, c *mysql.Conn, r *rand.Rand, transactions int) error {
	definition := "CREATE OR REPLACE TABLE"
	if !mysqltest.Has(definition) {
		definition = "CREATE TABLE" // refused where there is one
	}
	for n := 0; n < transactions && ctx.Err() == nil; n++ {
		id, letter := r.IntN(30), 'a'+rune(r.IntN(8))
		statements := []string{
			fmt.Sprintf("REPLACE INTO plain VALUES (%d, RAND() * 1000)", id),
			fmt.Sprintf("UPDATE plain SET v = v + 1 WHERE id BETWEEN %d AND %d", id, id+5),
			fmt.Sprintf("DELETE FROM plain WHERE id = %d", id),
			fmt.Sprintf("REPLACE INTO named VALUES ('%c', %d)", letter-32*rune(r.IntN(2)), id),
			fmt.Sprintf("UPDATE named SET name = UPPER(name), v = v + 1 WHERE name = '%c'", letter),
			fmt.Sprintf("DELETE FROM named WHERE name = '%c'", letter),
			fmt.Sprintf("REPLACE INTO uniq VALUES (%d, %d, 1)", id, r.IntN(30)),
			fmt.Sprintf("UPDATE uniq SET v = v + 1, u = -u WHERE id = %d", id),
			fmt.Sprintf("INSERT INTO keyless VALUES (%d, 0)", id),
			fmt.Sprintf("UPDATE keyless SET v = v + 1 WHERE a = %d", id),
			fmt.Sprintf("INSERT IGNORE INTO parent VALUES (%d)", id),
			fmt.Sprintf("DELETE FROM parent WHERE id = %d", id),
			fmt.Sprintf("INSERT IGNORE INTO child VALUES (%d, %d)", r.IntN(60), id),
			fmt.Sprintf("INSERT INTO audited VALUES (%d, 0) ON DUPLICATE KEY UPDATE v = v + 1", id),
			fmt.Sprintf("%s defined%d (id INT PRIMARY KEY) AS SELECT %d AS id", definition, r.IntN(3), id),
		}
		// A source that refuses one, for a lock or a key, has not changed anything by it.
		last := len(statements)
		if r.IntN(20) > 0 {
			last--
		}
		_, _ = c.Execute(statements[r.IntN(last)])
	}
	return ctx.Err()
}

// With a bound on the keys that are remembered, no more is merged than reaches it, and who is beyond it has nobody beside him.
// Not parallel: it counts commits, and the definitions of other tests, in the same log, would end merging.
func TestHistoryBoundsWhatIsRemembered(t *testing.T) {
	j := newJob(t, "history")
	j.workers = 4
	j.create(t, "CREATE TABLE t (id INT PRIMARY KEY)")
	for i := range 40 {
		j.write(t, fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
	}
	require.Less(t, j.converge(t).Commits, int64(8))
	j.history = 5
	for i := range 40 {
		j.write(t, fmt.Sprintf("INSERT INTO t VALUES (%d)", 100+i))
	}
	require.GreaterOrEqual(t, j.converge(t).Commits, int64(8))
	for i := range 20 {
		j.write(t, fmt.Sprintf("INSERT INTO t SELECT seq FROM mysql.seq_%d_to_%d", 1000*(i+1), 1000*(i+1)+19))
	}
	stats := j.converge(t)
	require.GreaterOrEqual(t, stats.Commits, int64(20))
	require.Zero(t, stats.Ahead)
}

// A collation takes for equal what the keys tell apart. The third transaction runs ahead to where the first wants to go, which is held
// back until then, and has to give way. On a busy machine it may come too late to be ahead, so that there is nothing to see: then once more.
func TestTransactionAheadGivesWay(t *testing.T) {
	t.Parallel()
	for try := range 20 {
		if giveWay(t, fmt.Sprint("givesway", try)) {
			return
		}
	}
	require.FailNow(t, "no transaction was ahead")
}

// giveWay reports whether a transaction was ahead.
func giveWay(t *testing.T, name string) (ahead bool) {
	j := newJob(t, name)
	j.workers, j.merge = 3, 1
	core, logs := observer.New(zap.InfoLevel)
	j.logger = zap.New(core)
	retries := func() int { return logs.FilterMessage("retrying a transaction").Len() }
	j.create(t, "CREATE TABLE t (id VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)", "CREATE TABLE o (id INT PRIMARY KEY, v INT)", "INSERT INTO o VALUES (1, 0)")
	other, dirty := connect(t, target), connect(t, target)
	require.NoError(t, other.Begin())
	j.at(t, other, "SELECT * FROM "+name+".o WHERE id = 1 FOR UPDATE")
	j.at(t, dirty, "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
	j.write(t, "BEGIN", "UPDATE o SET v = 1", "INSERT INTO t VALUES ('x', 1)", "COMMIT", "DELETE FROM t", "INSERT INTO t VALUES ('X', 7)")
	released := make(chan error)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		var err error
		for !ahead && retries() == 0 && err == nil { // after its first wait in vain the first makes the others give way
			<-tick.C
			var r *gomysql.Result
			if r, err = dirty.Execute("SELECT 1 FROM " + name + ".t WHERE id = 'X'"); err == nil {
				ahead = r.RowNumber() > 0
			}
		}
		released <- errors.Join(err, other.Rollback())
	}()
	j.converge(t)
	require.NoError(t, <-released)
	require.Equal(t, "X7", value(t, j.target, "SELECT CONCAT(id, v) FROM "+name+".t"))
	if ahead {
		require.NotZero(t, retries())
	}
	return ahead
}
