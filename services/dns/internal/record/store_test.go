package record

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/pgtest"

	"github.com/opsdeck/opsdeck/services/dns/internal/migrations"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestListsOfALargeDomainUseIndexes holds the plans of all filters against a domain of 30,000 records beside others that have ten times as many.
func TestListsOfALargeDomainUseIndexes(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, "dns", migrations.FS)
	for _, statement := range []string{
		`INSERT INTO dns.servers (tenant, name, type, api_endpoint, description, name_servers, creator) VALUES ('t', 's', 'bind', '', '', '{}', 'u')`,
		`INSERT INTO dns.domains (server_id, name, default_ttl, creator_tenant, creator) SELECT 1, 'z' || i || '.example.', 60, 't', 'u' FROM generate_series(1, 50) i`,
		`INSERT INTO dns.records (domain_id, name, type, value, ttl, creator) SELECT 1, 'h' || i || '.z1.example.', 'A', '10.0.0.1', 60, 'u' FROM generate_series(1, 30000) i`,
		`INSERT INTO dns.records (domain_id, name, type, value, ttl, creator)
			SELECT d, 'h' || i || '.z' || d || '.example.', 'TXT', '"x"', 60, 'u' FROM generate_series(2, 50) d, generate_series(1, 6000) i`,
		`UPDATE dns.domains SET record_count = 30000 WHERE id = 1`,
		`VACUUM ANALYZE dns.records`,
	} {
		_, err := pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	large := zone.Domain{ID: 1, RecordCount: 30000}
	for name, f := range map[string]filter{
		"first page":        {domain: large, limit: 10},
		"deep page":         {domain: large, offset: 15000, limit: 100},
		"type":              {domain: large, typ: "A", limit: 10},
		"a type it has not": {domain: large, typ: "MX", limit: 10},
		"part of a name":    {domain: large, name: "H9999", limit: 10},
		"part of a value":   {domain: large, value: "10.0", offset: 29990, limit: 100},
		"behind the end":    {domain: large, name: "h9999", offset: 500, limit: 10},
		"small domain":      {domain: zone.Domain{ID: 7, RecordCount: 6000}, name: "h19", value: "x", limit: 10},
	} {
		text, args := f.query()
		var lines []string
		rows, err := pool.Query(t.Context(), `EXPLAIN `+text, args...)
		require.NoError(t, err)
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			lines = append(lines, line)
		}
		require.NoError(t, rows.Err())
		plan := strings.Join(lines, "\n")
		require.Regexp(t, `Index (Only )?Scan (using|on) records_list`, plan, name)
		require.NotContains(t, plan, "Seq Scan", "%s:\n%s", name, plan)
		if f.whole() {
			require.Contains(t, plan, "Index Only Scan using records_list", "%s:\n%s", name, plan)
			require.NotContains(t, plan, "Sort", "%s:\n%s", name, plan)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		found, total, err := list(ctx, pool, f)
		cancel()
		require.NoError(t, err, name)
		require.LessOrEqual(t, int64(len(found)), total, name)
		var n int64
		where, args := f.where()
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*)`+where, args...).Scan(&n))
		require.Equal(t, n, total, name)
	}
}
