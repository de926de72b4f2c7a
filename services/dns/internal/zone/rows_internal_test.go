package zone

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/fault"
	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/pgtest"

	"github.com/opsdeck/opsdeck/services/dns/internal/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newDomain returns an empty domain and its database.
func newDomain(t *testing.T) (*pgxpool.Pool, Domain) {
	t.Helper()
	pool := pgtest.New(t, "dns", migrations.FS)
	d := Domain{Name: "example.org."}
	require.NoError(t, pool.QueryRow(t.Context(), `
		WITH s AS (INSERT INTO dns.servers (tenant, name, type, api_endpoint, description, name_servers, creator) VALUES ('t', 's', 'bind', '', '', '{}', 'u') RETURNING id)
		INSERT INTO dns.domains (server_id, name, default_ttl, creator_tenant, creator) SELECT id, $1, 60, 't', 'u' FROM s RETURNING id`, d.Name).Scan(&d.ID))
	return pool, d
}

func write(t *testing.T, pool *pgxpool.Pool, d Domain, rows ...Row) error {
	t.Helper()
	change := delta{added: rows}
	return pg.InTx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error { return change.write(ctx, tx, d.ID) })
}

func TestRowsAreStoredAsTheyAre(t *testing.T) {
	t.Parallel()
	pool, d := newDomain(t)
	followed := int64(7)
	at := time.Date(2026, 11, 26, 23, 59, 59, 123456000, time.UTC)
	rows := []Row{
		{ID: 9, Name: "b.example.org.", Type: "A", Value: "192.0.2.1", TTL: 1<<31 - 1, Creator: "u", CreatedAt: at},
		{ID: 8, Name: "a.example.org.", Type: "TXT", Value: `"\"\\\009 域"`, Disabled: true, Creator: "张三", CreatedAt: at.In(time.FixedZone("", 8*60*60))},
		{ID: 7, Name: "_sip._udp.example.org.", Type: "SRV", Value: "0 0 5060 b.example.org.", TTL: 60, CreatedAt: time.Unix(0, 0)},
		{ID: 6, Name: "1.2.0.192.in-addr.arpa.", Type: "PTR", Value: "b.example.org.", PTROf: &followed, CreatedAt: at},
	}
	require.NoError(t, write(t, pool, d, rows...))
	stored, err := AllRows(t.Context(), pool, d, 100)
	require.NoError(t, err)
	require.Len(t, stored, len(rows))
	for _, r := range stored {
		i := 9 - r.ID
		require.True(t, rows[i].CreatedAt.Equal(r.CreatedAt), "%v %v", rows[i].CreatedAt, r.CreatedAt)
		r.CreatedAt = rows[i].CreatedAt
		require.Equal(t, rows[i], r)
	}
	at1, err := rowsAt(t.Context(), pool, Domain{ID: d.ID, RecordCount: 4}, []string{"_sip._udp.example.org."})
	require.NoError(t, err)
	require.Len(t, at1, 1)
	pointing, err := pointers(t.Context(), pool, d.ID, []string{"b.example.org."})
	require.NoError(t, err)
	require.Len(t, pointing, 1, "the target is the database's own doing")
}

func TestARecordIsNotStoredTwice(t *testing.T) {
	t.Parallel()
	pool, d := newDomain(t)
	row := Row{Name: "a.example.org.", Type: "A", Value: "192.0.2.1", CreatedAt: time.Unix(0, 0)}
	require.NoError(t, write(t, pool, d, row))
	err := write(t, pool, d, row)
	require.True(t, fault.Is(err, "RECORD_EXISTS"), "%v", err)
	other := row
	other.Value = "192.0.2.2"
	require.NoError(t, write(t, pool, d, other), "the connection is of use after an error")
}
