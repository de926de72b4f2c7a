package fullcopy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/pace"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func testResume(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE resume",
		"CREATE TABLE resume.small (id INT PRIMARY KEY, v INT, UNIQUE (v))",
		"CREATE TABLE resume.big (a INT, b CHAR(36), v VARCHAR(100), PRIMARY KEY (a, b), KEY by_v (v, a), KEY (b))",
		"CREATE TABLE resume.keyless (v INT, KEY (v))",
		"INSERT INTO resume.small SELECT seq, seq FROM mysql.seq_1_to_50",
		"INSERT INTO resume.big SELECT seq % 100, UUID(), REPEAT('x', 100) FROM mysql.seq_1_to_20000",
		"INSERT INTO resume.keyless SELECT seq FROM mysql.seq_1_to_5000")
	const interruptions = 5
	target := f.target.Connect(t)
	var kept int64
	for epoch := int64(1); epoch <= interruptions; epoch++ {
		opt, heard := f.options(t, "resume", epoch, "resume")
		opt.Pace = pace.New(5000, 0) // so that it is not done before it is interrupted
		copier, began := fullcopy.New(opt), int64(0)
		heard.on = func(message string) {
			if strings.HasPrefix(message, "continuing the copy") {
				began, _ = copier.Rows()
			}
		}
		goal := kept + 1000
		interrupt(t, copier, func() bool { return keptRows(t, target, "resume") >= goal })
		require.Equal(t, kept, began, "each run continues where the last one was")
		kept = keptRows(t, target, "resume")
	}
	opt, _ := f.options(t, "resume", interruptions+1, "resume")
	state, err := fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	f.requireEqual(t, "resume")
	f.requireDefined(t, "resume", "small", "big", "keyless")
	require.Len(t, state.Snapshots, interruptions+1)
	require.Zero(t, state.Table("resume", "big").First)
	require.Equal(t, state.Table("resume", "keyless").First, state.Table("resume", "keyless").Last)
}

// keptRows is how many rows a copy need not write again.
func keptRows(t *testing.T, target *mysql.Conn, job string) int64 {
	t.Helper()
	state, err := progress.LoadCopy(target, job)
	require.NoError(t, err)
	return state.Rows()
}

// requireDefined compares the definitions of tables.
func (f *fixture) requireDefined(t *testing.T, schema string, tables ...string) {
	t.Helper()
	source, target := f.source.Connect(t), f.target.Connect(t)
	for _, table := range tables {
		want, err := mysql.LoadCreate(source, schema, table)
		require.NoError(t, err)
		got, err := mysql.LoadCreate(target, schema, table)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// testKeysLast has a copy end when all rows are there and the keys are not, and when they are and nobody has noted it.
func testKeysLast(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE keyed", "CREATE TABLE keyed.t (id INT PRIMARY KEY, v INT, w INT, KEY by_v (v), KEY by_w (w, v))",
		"INSERT INTO keyed.t SELECT seq, seq * 7919 % 1000, seq % 10 FROM mysql.seq_1_to_2000")
	const indexes = "SELECT COUNT(DISTINCT index_name) FROM information_schema.statistics WHERE table_schema = 'keyed'"
	for epoch, want := range []string{"1", "2", "3"} {
		opt, heard := f.options(t, "keyed", int64(epoch+1), "keyed")
		asked := false
		heard.on = func(message string) {
			if message == "adding the keys of keyed.t" {
				asked = true
				require.Equal(t, want, one(t, f.target, indexes))
				require.Equal(t, "2000", one(t, f.target, "SELECT COUNT(*) FROM keyed.t"))
				if epoch < 2 {
					f.target.Exec(t, "RENAME TABLE keyed.t TO keyed.away")
				}
			}
		}
		_, err := fullcopy.New(opt).Run(t.Context())
		require.True(t, asked)
		switch epoch {
		case 0:
			require.ErrorContains(t, err, "add the keys of keyed.t on the target")
			f.target.Exec(t, "RENAME TABLE keyed.away TO keyed.t", "ALTER TABLE keyed.t ADD KEY by_v (v)")
		case 1:
			require.Error(t, err)
			f.target.Exec(t, "RENAME TABLE keyed.away TO keyed.t", "ALTER TABLE keyed.t ADD KEY by_w (w, v)")
		default:
			require.NoError(t, err)
		}
	}
	f.requireEqual(t, "keyed")
	f.requireDefined(t, "keyed", "t")
}

// testReferred copies tables whose ordinary keys foreign keys refer to, one of them from outside.
func testReferred(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE referred", "CREATE TABLE referred.parent (id INT PRIMARY KEY, code INT, KEY (code))", "CREATE TABLE referred.other (id INT PRIMARY KEY, code INT, KEY (code))",
		"CREATE TABLE referred.child (id INT PRIMARY KEY, code INT, v INT, KEY (v), FOREIGN KEY (code) REFERENCES parent (code))",
		"INSERT INTO referred.parent VALUES (1, 10)", "INSERT INTO referred.child VALUES (1, 10, 1)", "INSERT INTO referred.other VALUES (1, 10)")
	f.target.Exec(t, "CREATE DATABASE referred", "SET foreign_key_checks = 0", "CREATE TABLE referred.outsider (id INT PRIMARY KEY, code INT, FOREIGN KEY (code) REFERENCES other (code))")
	opt, _ := f.options(t, "referred", 1, "referred")
	_, err := fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	f.requireDefined(t, "referred", "parent", "child", "other")
	f.target.Exec(t, "INSERT INTO referred.outsider VALUES (1, 10)", "INSERT INTO referred.child VALUES (2, 10, 1)")
}

// interrupt ends a run when something has happened.
func interrupt(t *testing.T, copier *fullcopy.Copier, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := copier.Run(ctx)
		done <- err
	}()
	require.Eventually(t, happened, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

// testOtherOrder interrupts copies into a table of the operator's whose collation orders the keys otherwise: what a kept part of it would
// end at is not where the rest begins.
func testOtherOrder(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE ordered", "CREATE TABLE ordered.t (name VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
		"INSERT INTO ordered.t SELECT CONCAT(CHAR(IF(seq % 2, 65, 97) + seq % 26), seq), seq FROM mysql.seq_1_to_20000")
	f.target.Exec(t, "CREATE DATABASE ordered", "CREATE TABLE ordered.t (name VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, v INT)")
	for epoch := int64(1); epoch <= 3; epoch++ {
		opt, _ := f.options(t, "ordered", epoch, "ordered")
		opt.SkipCreate = true
		copier := fullcopy.New(opt)
		if epoch < 3 {
			target := f.target.Connect(t)
			goal := keptRows(t, target, "ordered") + 5000
			interrupt(t, copier, func() bool { return keptRows(t, target, "ordered") >= goal })
			continue
		}
		state, err := copier.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, state.Table("ordered", "t").First, "copied from one snapshot")
	}
	f.requireEqual(t, "ordered")
}
