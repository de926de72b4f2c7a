package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/mariadb"
)

// patience bounds the wait for anything that replication does with the little data of these tests.
const patience = 3 * time.Minute

// pair is a source and a target.
type pair struct{ source, target *database }

// database is a MariaDB server.
type database struct{ *mariadb.Server }

// startPair starts both servers below dir. Their administrators have the same name and password.
func startPair(ctx context.Context, t testing.TB, dir string) (*pair, error) {
	t.Helper()
	p := &pair{}
	var errs [2]error
	var group sync.WaitGroup
	password := rand.Text()
	for i, server := range []**database{&p.source, &p.target} {
		port := uint16(freePort(t))
		group.Go(func() {
			started, err := mariadb.Start(ctx, mariadb.Options{
				Dir: filepath.Join(dir, fmt.Sprintf("db%d", i+1)), ServerID: uint32(i + 1), Port: port, Password: password,
				// A killed process loses nothing that it has handed to the kernel: tests need not wait for the disk.
				Args: []string{
					"--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--innodb-buffer-pool-size=64M",
					"--innodb-log-file-size=32M", "--userstat=1", "--performance-schema=OFF",
				},
			})
			*server, errs[i] = &database{started}, err
		})
	}
	group.Wait()
	return p, errors.Join(errs[:]...)
}

// newPair starts two servers for one test, which may kill them.
func newPair(t testing.TB) *pair {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	p, err := startPair(ctx, t, scratch(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.kill()) })
	return p
}

func (p *pair) kill() error { return errors.Join(p.source.Kill(), p.target.Kill()) }

// servers is the pair of the tests that do it no harm.
var servers struct {
	once sync.Once
	dir  string
	*pair
}

// sharedPair returns it, started on first use. Each test works in schemas of its own.
func sharedPair(t testing.TB) *pair {
	t.Helper()
	servers.once.Do(func() {
		var err error
		servers.dir, err = os.MkdirTemp("", "ops-")
		require.NoError(t, err)
		require.NoError(t, os.Chmod(servers.dir, 0o711)) // they run as another user and pass through
		p, err := startPair(context.WithoutCancel(t.Context()), t, servers.dir)
		require.NoError(t, err)
		servers.pair = p
	})
	require.NotNil(t, servers.pair, "the shared servers did not start; the test that needed them first says why")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("sessions of the source:\n%s\nof the target:\n%s", servers.source.sessions(), servers.target.sessions())
		}
	})
	return servers.pair
}

func endPair() error {
	var errs []error
	if servers.pair != nil {
		errs = append(errs, servers.kill())
	}
	if servers.dir != "" {
		errs = append(errs, os.RemoveAll(servers.dir))
	}
	return errors.Join(errs...)
}

var schemas atomic.Int32

// newSchema returns a name that no other test of this run has.
func newSchema() string { return fmt.Sprintf("s%d", schemas.Add(1)) }

// exec runs statements.
func (d *database) exec(t testing.TB, statements ...string) {
	t.Helper()
	require.NoError(t, d.Exec(t.Context(), statements...))
}

// query returns the result of one statement. The result is not closed: its texts are good for as long as it is.
func (d *database) query(ctx context.Context, statement string) (*mysql.Result, error) {
	conn, err := d.Connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // the answer is here
	stop := context.AfterFunc(ctx, func() { _ = conn.Conn.Conn.Close() })
	defer stop()
	return conn.Execute(statement)
}

// text returns one value as text; "" for null and for no row.
func (d *database) text(ctx context.Context, statement string) (string, error) {
	rows, err := d.query(ctx, statement)
	if err != nil {
		return "", err
	}
	if rows.RowNumber() == 0 {
		return "", nil
	}
	return rows.GetString(0, rows.ColumnNumber()-1)
}

// number returns one value as a number; 0 for null and for no row.
func (d *database) number(ctx context.Context, statement string) (int64, error) {
	rows, err := d.query(ctx, statement)
	if err != nil || rows.RowNumber() == 0 {
		return 0, err
	}
	return rows.GetInt(0, 0)
}

// sessions describes what the server is doing.
func (d *database) sessions() string {
	rows, err := d.query(context.Background(), "SELECT CONCAT_WS(' ', id, user, command, time, state, LEFT(info, 300)) FROM information_schema.processlist")
	if err != nil {
		return err.Error()
	}
	var text []byte
	for i := range rows.RowNumber() {
		line, _ := rows.GetString(i, 0) // the column exists
		text = append(append(text, line...), '\n')
	}
	return string(text)
}

// checksums returns the checksum of each base table of a schema.
func (d *database) checksums(ctx context.Context, schema string) (map[string]string, error) {
	rows, err := d.query(ctx, "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = '"+schema+"'")
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for i := range rows.RowNumber() {
		name, err := rows.GetString(i, 0)
		if err != nil {
			return nil, err
		}
		if sums[name], err = d.text(ctx, fmt.Sprintf("CHECKSUM TABLE `%s`.`%s`", schema, name)); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// same returns nil when a schema has the same tables with the same rows on both ends.
func (p *pair) same(ctx context.Context, schema string) error {
	ours, err := p.source.checksums(ctx, schema)
	if err != nil {
		return err
	}
	theirs, err := p.target.checksums(ctx, schema)
	if err != nil {
		return err
	}
	if len(ours) == 0 {
		return permanentError{fmt.Errorf("the source has no table in %s", schema)}
	}
	if maps.Equal(ours, theirs) {
		return nil
	}
	return fmt.Errorf("the source has %s, the target %s", list(ours), list(theirs))
}

func list(sums map[string]string) string {
	var text []byte
	for _, table := range slices.Sorted(maps.Keys(sums)) {
		text = fmt.Appendf(text, "%s=%s ", table, sums[table])
	}
	return string(text)
}

// awaitSame waits until both ends are the same.
func (p *pair) awaitSame(t testing.TB, schema string) {
	t.Helper()
	await(t, patience, schema+" to be the same on both ends", func(ctx context.Context) error { return p.same(ctx, schema) })
}
