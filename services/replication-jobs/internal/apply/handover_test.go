package apply_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/apply"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// position is where the source is now.
func (j *job) position(t testing.TB) mysql.Position {
	t.Helper()
	p, err := j.source.Flavor.CurrentPosition(j.source)
	require.NoError(t, err)
	return p
}

// copy stands for a part of a full copy.
func (j *job) copy(t testing.TB, table, where string) {
	t.Helper()
	r, err := j.source.Execute("SELECT CONCAT('(', id, ',', u, ',', v, ')') FROM " + j.schema + "." + table + " WHERE " + where)
	require.NoError(t, err)
	for i := range r.RowNumber() {
		row, err := r.GetString(i, 0)
		require.NoError(t, err)
		j.at(t, j.target, "REPLACE INTO "+j.schema+"."+table+" VALUES "+row)
	}
}

// change makes random changes that the table's keys allow.
func (j *job) change(t testing.TB, random *rand.Rand, table string, n int) {
	t.Helper()
	var statements []string
	for range n {
		id, other, v := random.IntN(40), random.IntN(40), random.IntN(1000)
		statements = append(statements, []string{
			fmt.Sprintf("INSERT IGNORE INTO %s VALUES (%d, %d, %d)", table, id, other, v),
			fmt.Sprintf("UPDATE %s SET v = %d WHERE id BETWEEN %d AND %d", table, v, id, id+5),
			fmt.Sprintf("DELETE FROM %s WHERE id = %d", table, id),
			fmt.Sprintf("UPDATE IGNORE %s SET id = %d WHERE id = %d", table, other, id),
			fmt.Sprintf("UPDATE IGNORE %s SET u = %d WHERE id = %d", table, other, id),
			fmt.Sprintf("REPLACE INTO %s VALUES (%d, %d, %d)", table, id, other, v),
		}[random.IntN(6)])
	}
	j.write(t, statements...)
}

const uniqueTable = " (id INT PRIMARY KEY, u INT UNIQUE, v INT)"

func TestTableCopiedFromTwoSnapshots(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			j := newJob(t, fmt.Sprintf("snapshots%d", seed))
			j.create(t, "CREATE TABLE two"+uniqueTable, "CREATE TABLE one"+uniqueTable)
			j.change(t, random, "two", 60)
			j.change(t, random, "one", 60)
			first := j.position(t)
			j.copy(t, "two", "id < 20")
			j.change(t, random, "two", 60)
			j.change(t, random, "one", 60)
			j.write(t, "CREATE TABLE late"+uniqueTable, "INSERT INTO late VALUES (1,1,1)")
			last := j.position(t)
			j.copy(t, "two", "id >= 20")
			j.at(t, j.target, "CREATE TABLE "+j.schema+".late"+uniqueTable)
			j.copy(t, "one", "1")
			j.copy(t, "late", "1")
			j.change(t, random, "two", 60)
			j.change(t, random, "one", 60)
			j.write(t, "UPDATE late SET v = 2")
			copied := &progress.Copy{Snapshots: []mysql.Position{first, last}, Tables: []*progress.Table{
				{Schema: j.schema, Name: "two", First: 0, Last: 1}, {Schema: j.schema, Name: "one", First: 1, Last: 1}, {Schema: j.schema, Name: "late", First: 1, Last: 1},
			}}
			var err error
			j.handover, err = copied.Handover(j.source.Flavor)
			require.NoError(t, err)
			j.start = first
			j.converge(t)
		})
	}
}

// The applier is cut off at random moments; each run begins where the target says.
func TestInterruptedRunsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	j := newJob(t, "interrupted")
	j.create(t, "CREATE TABLE t"+uniqueTable, "CREATE TABLE counted (n INT)")
	random := rand.New(rand.NewPCG(7, 7))
	for i := range 40 {
		j.change(t, random, "t", 20)
		j.write(t, "BEGIN", fmt.Sprintf("INSERT INTO counted VALUES (%d)", i), fmt.Sprintf("UPDATE t SET v = %d", i), "COMMIT")
		if i%10 == 5 {
			j.write(t, fmt.Sprintf("ALTER TABLE counted ADD INDEX (n), ADD COLUMN c%d INT", i))
			j.write(t, fmt.Sprintf("ALTER TABLE counted DROP COLUMN c%d", i))
		}
	}
	selection, err := mapping.New([]filter.SchemaRule{{Schema: j.schema}}, nil)
	require.NoError(t, err)
	for range 25 {
		// Not a deadline: that would show as the time-out of whatever is under way.
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(time.Duration(5+random.IntN(60))*time.Millisecond, cancel)
		stream, err := binlog.Open(ctx, binlog.Config{Source: config(source), Flavor: j.source.Flavor, Start: j.start, Selection: selection, Logger: zap.NewNop()})
		if err == nil {
			a := apply.New(apply.Config{
				Target: config(target), Job: j.schema, Epoch: j.epoch, Flavor: j.source.Flavor, Start: j.start, Mapping: selection, Merge: 3, Logger: zap.NewNop(),
			})
			require.ErrorIs(t, a.Run(ctx, stream.Transactions()), context.Canceled)
			stream.Close()
		}
		timer.Stop()
		cancel()
		j.claim(t)
	}
	j.converge(t)
	require.Equal(t, "40", value(t, j.target, "SELECT COUNT(*) FROM interrupted.counted"))
	const indexes = "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'interrupted'"
	require.Equal(t, value(t, j.source, indexes), value(t, j.target, indexes))
}
