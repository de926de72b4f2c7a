package pg_test

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const zones = `-- +goose Up
CREATE TABLE dns.zones (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    ttl  int  NOT NULL DEFAULT 60 CONSTRAINT zones_ttl_range CHECK (ttl > 0)
);
CREATE TABLE dns.records (zone bigint NOT NULL REFERENCES dns.zones);
`

var migrations = fstest.MapFS{"0001_zones.sql": {Data: []byte(zones)}}

func newer() fstest.MapFS {
	return fstest.MapFS{
		"0001_zones.sql": migrations["0001_zones.sql"],
		"0002_note.sql":  {Data: []byte("-- +goose Up\nALTER TABLE dns.zones ADD COLUMN note text;\n")},
	}
}

func TestOpenSetsTheSession(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "dns", migrations)
	var path, name, zone string
	require.NoError(t, pool.QueryRow(t.Context(),
		`SELECT current_setting('search_path'), current_setting('application_name'), current_setting('timezone')`).Scan(&path, &name, &zone))
	require.Empty(t, path)
	require.Equal(t, t.Name(), name)
	require.Equal(t, "UTC", zone)
	_, err := pool.Exec(t.Context(), `SELECT id FROM zones`)
	require.ErrorContains(t, err, "42P01")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"bad URL":   "postgres://u:s3cret@host:x/db",
		"no server": "postgres://u:s3cret@127.0.0.1:1/db",
		"no role":   pgtest.Cluster(t).URL("nobody", "s3cret", "postgres"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pg.Open(t.Context(), url, pg.Options{})
			require.ErrorContains(t, err, "database")
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestInTx(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "dns", migrations)
	insert := func(ctx context.Context, tx pgx.Tx, name string) error {
		_, err := tx.Exec(ctx, `INSERT INTO dns.zones (name) VALUES ($1)`, name)
		return err
	}
	failed := errors.New("failed")
	require.NoError(t, pg.InTx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
		return insert(ctx, tx, "committed")
	}))
	require.ErrorIs(t, pg.InTx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
		return errors.Join(insert(ctx, tx, "failed"), failed)
	}), failed)
	require.Panics(t, func() {
		_ = pg.InTx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
			_ = insert(ctx, tx, "panicked")
			panic("boom")
		})
	})
	require.Equal(t, []string{"committed"}, names(t, pool))
	require.Zero(t, pool.Stat().AcquiredConns())
}

func names(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT name FROM dns.zones ORDER BY name`)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

func TestFault(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "dns", migrations)
	_, err := pool.Exec(t.Context(), `INSERT INTO dns.zones (name) VALUES ('taken')`)
	require.NoError(t, err)

	for name, try := range map[string]struct {
		sql  string
		want codes.Code
	}{
		"no row":        {`SELECT id FROM dns.zones WHERE name = 'absent'`, codes.NotFound},
		"duplicate":     {`INSERT INTO dns.zones (name) VALUES ('taken') RETURNING id`, codes.AlreadyExists},
		"missing row":   {`INSERT INTO dns.records (zone) VALUES (99) RETURNING zone`, codes.FailedPrecondition},
		"check":         {`INSERT INTO dns.zones (name, ttl) VALUES ('a', 0) RETURNING id`, codes.InvalidArgument},
		"null":          {`INSERT INTO dns.zones (name) VALUES (NULL) RETURNING id`, codes.InvalidArgument},
		"bad number":    {`SELECT 'x'::int`, codes.InvalidArgument},
		"shutdown":      {`DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$`, codes.Unavailable},
		"connection":    {`DO $$ BEGIN RAISE SQLSTATE '08006'; END $$`, codes.Unavailable},
		"full":          {`DO $$ BEGIN RAISE SQLSTATE '53300'; END $$`, codes.Unavailable},
		"deadlock":      {`DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$`, codes.Unavailable},
		"broken SQL":    {`SELECT absent FROM dns.zones`, codes.Unknown},
		"not our fault": {`DO $$ BEGIN RAISE SQLSTATE 'XX000'; END $$`, codes.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var id int64
			cause := pool.QueryRow(t.Context(), try.sql).Scan(&id)
			require.Error(t, cause)
			err := pg.Fault(cause, "ZONE_TROUBLE", "zone %d", 7)
			require.ErrorIs(t, err, cause)
			require.Equal(t, try.want, code(err), "%v", err)
		})
	}
}

func code(err error) codes.Code {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.GRPCStatus().Code()
	}
	return status.Code(err)
}

func TestFaultWithoutAServer(t *testing.T) {
	t.Parallel()
	require.NoError(t, pg.Fault(nil, "R", "x"))
	known := fault.Denied("R", "no")
	require.Equal(t, error(known), pg.Fault(known, "OTHER", "x"))
	require.ErrorIs(t, pg.Fault(context.Canceled, "R", "x"), context.Canceled)
	require.Equal(t, codes.Unknown, code(pg.Fault(context.Canceled, "R", "x")))

	_, err := pgx.Connect(t.Context(), "postgres://u@127.0.0.1:1/db")
	require.Equal(t, codes.Unavailable, code(pg.Fault(err, "R", "x")))
}

func TestFaultOfALostConnection(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "dns", migrations)
	err := pg.InTx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
		require.Error(t, err)
		_, err = tx.Exec(ctx, `SELECT 1`)
		return pg.Fault(err, "R", "x")
	})
	require.Equal(t, codes.Unavailable, code(err), "%v", err)
}

func TestMigrateUpgrades(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "dns", migrations)
	require.NoError(t, pg.Migrated(t.Context(), pool, "dns", migrations))
	require.ErrorContains(t, pg.Migrated(t.Context(), pool, "dns", newer()), "version 1 (queue")

	// Replicas that start at once wait for each other.
	var replicas errgroup.Group
	for range 3 {
		replicas.Go(func() error { return pg.Migrate(t.Context(), pool, "dns", newer()) })
	}
	require.NoError(t, replicas.Wait())
	require.NoError(t, pg.Migrated(t.Context(), pool, "dns", newer()))
	require.NoError(t, pg.Migrated(t.Context(), pool, "dns", migrations), "the old program runs on the new schema")
	_, err := pool.Exec(t.Context(), `SELECT note FROM dns.zones`)
	require.NoError(t, err)
}

func TestMigrateFailsWhole(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "dns", migrations)
	broken := newer()
	broken["0002_note.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE dns.half (id int);\nSELECT absent;\n")}
	require.ErrorContains(t, pg.Migrate(t.Context(), pool, "dns", broken), "migrate schema dns")
	require.Error(t, pg.Migrated(t.Context(), pool, "dns", broken))
	var half *string
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT to_regclass('dns.half')::text`).Scan(&half))
	require.Nil(t, half)
}

func TestMigrateNewSchema(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "dns", migrations)
	other := fstest.MapFS{"0001_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE other.a (id int);\n")}}
	require.Error(t, pg.Migrated(t.Context(), pool, "other", other))
	require.NoError(t, pg.Migrate(t.Context(), pool, "other", other))
	require.NoError(t, pg.Migrated(t.Context(), pool, "other", other))
}
