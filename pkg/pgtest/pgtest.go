// Package pgtest gives every test a migrated PostgreSQL database of its own: one private cluster per test binary,
// one template per set of migrations, one clone per test.
package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/pg/cluster"
)

// rolePassword is no secret: the cluster listens on a private socket and lives as long as the test binary.
const (
	rolePassword = "pgtest"
	wait         = 5 * time.Minute
)

// Main runs a package's tests, stops the cluster they used, and fails when a goroutine is left. Use it in TestMain:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
func Main(m *testing.M) { os.Exit(run(m)) }

// New returns a pool on a new database in which the migrations of a schema have run. The pool's role owns the
// schema, and nothing else, as in production.
func New(t testing.TB, schema string, migrations fs.FS) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), URL(t, schema, migrations), pg.Options{Application: t.Name()})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// URL is New for tests that open the database themselves.
func URL(t testing.TB, schema string, migrations fs.FS) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	c, err := shared.start(ctx)
	require.NoError(t, err)
	template, err := shared.template(ctx, schema, migrations)
	require.NoError(t, err)

	name := fmt.Sprintf("test_%d", shared.clones.Add(1))
	require.NoError(t, execute(ctx, c, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s STRATEGY = FILE_COPY OWNER %s`,
		name, template, pgx.Identifier{schema}.Sanitize())))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		require.NoError(t, execute(ctx, c, `DROP DATABASE `+name+` WITH (FORCE)`))
	})
	return c.URL(schema, rolePassword, name)
}

// Cluster is the cluster of the test binary, for tests that need more than a database.
func Cluster(t testing.TB) *cluster.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	c, err := shared.start(ctx)
	require.NoError(t, err)
	return c
}

// shared is the test binary's cluster; tests of one binary run in one process.
var shared fixture

type fixture struct {
	mu        sync.Mutex
	dir       string
	cluster   *cluster.Cluster
	templates map[string]bool
	clones    atomic.Int64
}

func (f *fixture) start(ctx context.Context) (*cluster.Cluster, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cluster != nil {
		return f.cluster, nil
	}
	dir, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the server's user must pass through
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Config{Dir: dir})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	f.dir, f.cluster, f.templates = dir, c, map[string]bool{}
	return c, nil
}

// template makes the database that clones of this schema are copied from, once.
func (f *fixture) template(ctx context.Context, schema string, migrations fs.FS) (string, error) {
	name, err := templateName(schema, migrations)
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.templates[name] {
		return name, nil
	}
	if err := f.cluster.EnsureRole(ctx, schema, rolePassword, schema); err != nil {
		return "", err
	}
	create := fmt.Sprintf(`CREATE DATABASE %s OWNER %s`, name, pgx.Identifier{schema}.Sanitize())
	if err := execute(ctx, f.cluster, create); err != nil {
		return "", err
	}
	pool, err := pg.Open(ctx, f.cluster.URL(schema, rolePassword, name), pg.Options{Application: "pgtest"})
	if err != nil {
		return "", err
	}
	defer pool.Close()
	if err := pg.Migrate(ctx, pool, schema, migrations); err != nil {
		return "", err
	}
	f.templates[name] = true
	return name, nil
}

func (f *fixture) stop() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := f.cluster.Stop(ctx); err != nil {
		return err
	}
	return os.RemoveAll(f.dir)
}

func run(m *testing.M) int {
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest: stop the cluster:", err)
		return 1
	}
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		return 1
	}
	return 0
}

func execute(ctx context.Context, c *cluster.Cluster, statement string) error {
	conn, err := pgx.Connect(ctx, c.SuperuserURL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// templateName is the same for the same schema and migrations.
func templateName(schema string, migrations fs.FS) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%q", schema)
	err := fs.WalkDir(migrations, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations, path)
		fmt.Fprintf(hash, "%q%q", path, text)
		return err
	})
	if err != nil {
		return "", err
	}
	return "template_" + hex.EncodeToString(hash.Sum(nil)[:8]), nil
}
