package migrations_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/pgtest"

	"github.com/opsdeck/opsdeck/services/dns/internal/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// until returns the migrations before one.
func until(t *testing.T, first string) fstest.MapFS {
	t.Helper()
	before := fstest.MapFS{}
	all, err := fs.Glob(migrations.FS, "*.sql")
	require.NoError(t, err)
	for _, name := range all {
		if name >= first {
			continue
		}
		text, err := fs.ReadFile(migrations.FS, name)
		require.NoError(t, err)
		before[name] = &fstest.MapFile{Data: text}
	}
	require.NotEmpty(t, before)
	return before
}

// TestImagesOutliveTheirNewType changes the type of images that are stored, small and large.
func TestImagesOutliveTheirNewType(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "dns", until(t, "0005"))
	const large = `[{"name":"a.example.","type":"TXT","after":{"ttl":60,"records":[{"v":"\"  \u57df"}]}}]`
	for _, sets := range []string{`[]`, large} {
		_, err := pool.Exec(t.Context(), `
			INSERT INTO dns.changes (domain_id, kind, state, zone, sets, undo, set_count, tenant, changed_by)
			SELECT 1, 'records', 'pending', 'example.', $1::json, json_build_object('added', array_agg(i)), 1, 't', 'u' FROM generate_series(1, 100000) AS i`, sets)
		require.NoError(t, err)
	}
	require.NoError(t, pg.Migrate(t.Context(), pool, "dns", migrations.FS))
	require.NoError(t, pg.Migrated(t.Context(), pool, "dns", migrations.FS))

	rows, err := pool.Query(t.Context(), `SELECT sets, undo FROM dns.changes ORDER BY id`)
	require.NoError(t, err)
	defer rows.Close()
	var found []string
	for rows.Next() {
		var sets, undo string
		require.NoError(t, rows.Scan(&sets, &undo))
		found = append(found, sets)
		require.Greater(t, len(undo), 500_000)
		require.Contains(t, undo, "99999,100000")
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{`[]`, large}, found, "to the letter")

	var compressed int
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT count(*) FROM pg_attribute WHERE attrelid = 'dns.changes'::regclass AND attname IN ('sets', 'undo') AND attstorage <> 'e'`).Scan(&compressed))
	require.Zero(t, compressed)
}
