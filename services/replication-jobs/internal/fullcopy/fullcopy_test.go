package fullcopy_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/filter"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysqltest"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a pair of servers, shared by the subtests, which use schemas of their own.
type fixture struct {
	source, target *mysqltest.Server
}

func (f *fixture) options(t *testing.T, jobID string, epoch int64, schemas ...string) (fullcopy.Options, *events) {
	t.Helper()
	var rules []filter.SchemaRule
	for _, s := range schemas {
		rules = append(rules, filter.SchemaRule{Schema: s})
	}
	selection, err := mapping.New(rules, nil)
	require.NoError(t, err)
	c := f.target.Connect(t)
	require.NoError(t, progress.Ensure(c))
	_, err = progress.Claim(c, jobID, "first", epoch)
	require.NoError(t, err)
	heard := &events{}
	return fullcopy.Options{
		Source: f.source.Config(), Target: f.target.Config(), JobID: jobID, Epoch: epoch, Mapping: selection,
		ChunkSize: 100, Readers: 2, Writers: 3, Event: heard.add, Log: zap.NewNop(),
	}, heard
}

type events struct {
	mu    sync.Mutex
	heard []string
	// on is called with every event, nil for nothing.
	on func(message string)
}

func (e *events) add(_, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, message)
	if e.on != nil {
		e.on(message)
	}
}

func (e *events) all() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.heard, "\n")
}

func (f *fixture) requireEqual(t *testing.T, schema string) {
	t.Helper()
	want := f.source.Checksums(t, schema)
	require.NotEmpty(t, want)
	require.Equal(t, want, f.target.Checksums(t, schema))
}

func TestCopy(t *testing.T) {
	t.Parallel()
	f := &fixture{source: mysqltest.Start(t, 1), target: mysqltest.Start(t, 2)}
	for name, test := range map[string]func(*testing.T, *fixture){
		"all column types":            testTypes,
		"keys of all kinds":           testKeys,
		"definitions of all kinds":    testDefinitions,
		"an interrupted copy resumes": testResume,
		"keys come last":              testKeysLast,
		"keys that are referred to":   testReferred,
		"filled tables are refused":   testFilled,
		"existing tables are kept":    testSkipCreate,
		"empty tables are used":       testFound,
		"another order of the keys":   testOtherOrder,
		"missing tables are named":    testMissing,
		"a fenced run writes nothing": testFenced,
		"altered tables start again":  testAltered,
		"without the right to lock":   testWithoutLock,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, f)
		})
	}
}

func testKeys(t *testing.T, f *fixture) {
	f.source.Exec(t, "SET NAMES utf8mb4", "CREATE DATABASE `k-e``y`",
		"CREATE TABLE `k-e``y`.composite (a INT, b VARCHAR(20) CHARACTER SET gbk, c DATETIME(3), v INT, PRIMARY KEY (b, a, c))",
		"CREATE TABLE `k-e``y`.ci (name VARCHAR(40) COLLATE utf8mb4_unicode_ci PRIMARY KEY, v INT)",
		"CREATE TABLE `k-e``y`.bin (k VARBINARY(16) PRIMARY KEY)",
		"CREATE TABLE `k-e``y`.dec_key (k DECIMAL(20,4) PRIMARY KEY)",
		"CREATE TABLE `k-e``y`.keyless (v INT)",
		"CREATE TABLE `k-e``y`.enum_key (k ENUM('b','a') PRIMARY KEY)",
		"CREATE TABLE `k-e``y`.uniq (v INT, u INT NOT NULL, UNIQUE (u))",
		"CREATE TABLE `k-e``y`.empty (id INT PRIMARY KEY) AUTO_INCREMENT = 42",
		"CREATE TABLE `k-e``y`.`odd ``name` (`a``b` INT PRIMARY KEY, `select` INT)",
		"CREATE TABLE `k-e``y`.child (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES uniq (u))",
		"INSERT INTO `k-e``y`.composite SELECT seq % 7, CONCAT('键', seq % 50), '2026-01-01' + INTERVAL seq SECOND, seq FROM mysql.seq_1_to_1000",
		"INSERT INTO `k-e``y`.ci SELECT CONCAT(CHAR(97 + seq % 26), 'é', seq), seq FROM mysql.seq_1_to_1000",
		"INSERT INTO `k-e``y`.bin SELECT UNHEX(MD5(seq)) FROM mysql.seq_1_to_1000",
		"INSERT INTO `k-e``y`.dec_key SELECT seq / 16 - 20 FROM mysql.seq_1_to_1000",
		"INSERT INTO `k-e``y`.keyless SELECT seq % 10 FROM mysql.seq_1_to_1000",
		"INSERT INTO `k-e``y`.enum_key VALUES ('a'), ('b')",
		"INSERT INTO `k-e``y`.uniq SELECT seq, 1000 - seq FROM mysql.seq_1_to_1000",
		"INSERT INTO `k-e``y`.child SELECT seq FROM mysql.seq_1_to_900",
		"INSERT INTO `k-e``y`.`odd ``name` SELECT seq, seq FROM mysql.seq_1_to_250")
	opt, heard := f.options(t, "keys", 1, "k-e`y")
	copier := fullcopy.New(opt)
	state, err := copier.Run(t.Context())
	require.NoError(t, err)
	f.requireEqual(t, "k-e`y")
	require.Contains(t, heard.all(), "k-e`y.keyless has no key to split it by")
	require.Contains(t, heard.all(), "k-e`y.enum_key has no key to split it by")
	copied, total := copier.Rows()
	require.Equal(t, int64(7152), copied)
	require.Equal(t, copied, total)
	require.Len(t, state.Snapshots, 1)

	again, err := fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	require.Len(t, again.Snapshots, 1, "a complete copy is not begun again")
}

func testFilled(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE filled", "CREATE TABLE filled.t (id INT PRIMARY KEY)", "INSERT INTO filled.t VALUES (1), (2)")
	f.target.Exec(t, "CREATE DATABASE filled", "CREATE TABLE filled.t (id INT PRIMARY KEY, extra INT)", "INSERT INTO filled.t VALUES (9, 9)")
	opt, _ := f.options(t, "filled", 1, "filled")
	_, err := fullcopy.New(opt).Run(t.Context())
	require.ErrorContains(t, err, "has rows in filled.t already")
	require.True(t, mysql.Permanent(err))
	require.Equal(t, "9", one(t, f.target, "SELECT GROUP_CONCAT(id) FROM filled.t"))

	opt.DropTableIfExists = true
	_, err = fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	f.requireEqual(t, "filled")
}

func testSkipCreate(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE kept", "CREATE TABLE kept.t (id INT PRIMARY KEY, v INT)", "INSERT INTO kept.t VALUES (1, 10)")
	opt, _ := f.options(t, "kept", 1, "kept")
	opt.SkipCreate = true
	_, err := fullcopy.New(opt).Run(t.Context())
	require.ErrorContains(t, err, "the target has no table kept.t")
	f.target.Exec(t, "CREATE DATABASE kept", "CREATE TABLE kept.t (v INT, id INT PRIMARY KEY, own INT DEFAULT 7)")
	_, err = fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1,10,7", one(t, f.target, "SELECT CONCAT_WS(',', id, v, own) FROM kept.t"))
}

// testFound copies into empty tables that were there and are not as the source's: they keep their keys, and their columns convert values.
func testFound(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE found", "CREATE TABLE found.t (id INT PRIMARY KEY, v DATE, KEY (v))", "INSERT INTO found.t VALUES (1, '2026-11-26')")
	f.target.Exec(t, "CREATE DATABASE found", "CREATE TABLE found.t (id INT PRIMARY KEY, v VARCHAR(10) CHARACTER SET utf16)")
	opt, _ := f.options(t, "found", 1, "found")
	_, err := fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1:2026-11-26", one(t, f.target, "SELECT CONCAT(id, ':', v) FROM found.t"))
	require.Equal(t, "1", one(t, f.target, "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'found'"))
}

func testMissing(t *testing.T, f *fixture) {
	opt, _ := f.options(t, "missing", 1, "not_there")
	_, err := fullcopy.New(opt).Run(t.Context())
	require.ErrorContains(t, err, "does not have not_there")
	require.True(t, mysql.Permanent(err))
}

func testFenced(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE fenced", "CREATE TABLE fenced.t (id INT PRIMARY KEY)", "INSERT INTO fenced.t SELECT seq FROM mysql.seq_1_to_1000")
	f.target.Exec(t, "CREATE DATABASE fenced", "CREATE TABLE fenced.t (id INT PRIMARY KEY)")
	opt, heard := f.options(t, "fenced", 1, "fenced")
	heard.on = func(message string) {
		if strings.HasPrefix(message, "copying") {
			_, err := progress.Claim(f.target.Connect(t), "fenced", "first", 2)
			require.NoError(t, err)
		}
	}
	_, err := fullcopy.New(opt).Run(t.Context())
	require.Error(t, err, "its sessions are gone, or it finds another owner")
	require.ErrorIs(t, progress.CheckOwner(f.target.Connect(t), "fenced", 1), progress.ErrFenced)
	require.Equal(t, "0", one(t, f.target, "SELECT COUNT(*) FROM fenced.t"))
}

func testAltered(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE altered", "CREATE TABLE altered.t (id INT PRIMARY KEY)", "INSERT INTO altered.t SELECT seq FROM mysql.seq_1_to_1000")
	opt, heard := f.options(t, "altered", 1, "altered")
	first := true
	heard.on = func(message string) {
		if strings.HasPrefix(message, "copying") && first {
			first = false
			f.source.Exec(t, "ALTER TABLE altered.t MODIFY id BIGINT, ADD v INT DEFAULT 3")
		}
	}
	state, err := fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	require.Len(t, state.Snapshots, 2)
	require.Equal(t, 1, state.Table("altered", "t").First)
	f.requireEqual(t, "altered")
}

func testWithoutLock(t *testing.T, f *fixture) {
	f.source.Exec(t, "CREATE DATABASE unlocked", "CREATE TABLE unlocked.t (id INT PRIMARY KEY)", "INSERT INTO unlocked.t SELECT seq FROM mysql.seq_1_to_1000",
		"CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'pw'", "GRANT SELECT, BINLOG MONITOR ON *.* TO reader@'127.0.0.1'")
	opt, heard := f.options(t, "unlocked", 1, "unlocked")
	opt.Source.User, opt.Source.Password = "reader", "pw"
	state, err := fullcopy.New(opt).Run(t.Context())
	require.NoError(t, err)
	require.Contains(t, heard.all(), "no global read lock")
	require.Regexp(t, `^0-1-\d+$`, state.Snapshots[0].GTIDSet)
	f.requireEqual(t, "unlocked")
}

func one(t *testing.T, s *mysqltest.Server, query string) string {
	t.Helper()
	return ask(t, s.Connect(t), query)
}

func ask(t *testing.T, c *mysql.Conn, query string) string {
	t.Helper()
	_, err := c.Execute("SET SESSION group_concat_max_len = 100000000")
	require.NoError(t, err)
	r, err := c.Execute(query)
	require.NoError(t, err)
	v, err := r.GetString(0, 0)
	require.NoError(t, err)
	return v
}
