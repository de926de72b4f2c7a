package dns_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"
)

// row is a record as it is stored.
type row struct {
	ID                         int64
	Name, Type, Value, Creator string
	TTL                        int64
	Disabled                   bool
	CreatedAt                  string
}

func (g *stage) rows(t testing.TB) []row {
	t.Helper()
	found, err := g.pool.Query(t.Context(), `
		SELECT id, name, type, value, creator, ttl, disabled, created_at::text FROM dns.records WHERE domain_id = $1 ORDER BY id`, g.domain)
	require.NoError(t, err)
	all, err := pgx.CollectRows(found, pgx.RowToStructByPos[row])
	require.NoError(t, err)
	return all
}

// leave makes a change and then what a kill between its commit and the writing of its rows leaves behind. It returns the rows as they were and as they
// are to be.
func (g *stage) leave(t testing.TB, change func()) (before, after []row) {
	t.Helper()
	before = g.rows(t)
	change()
	after = g.rows(t)
	require.NoError(t, pgx.BeginFunc(t.Context(), g.pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`DELETE FROM dns.records WHERE domain_id = $1`, g.domain)
		for _, r := range before {
			batch.Queue(`
				INSERT INTO dns.records (id, domain_id, name, type, value, creator, ttl, disabled, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::timestamptz)`,
				r.ID, g.domain, r.Name, r.Type, r.Value, r.Creator, r.TTL, r.Disabled, r.CreatedAt)
		}
		batch.Queue(`UPDATE dns.domains SET record_count = $2 WHERE id = $1`, g.domain, len(before))
		batch.Queue(`UPDATE dns.changes SET written = false WHERE id = (SELECT max(id) FROM dns.changes WHERE domain_id = $1)`, g.domain)
		return tx.SendBatch(t.Context(), batch).Close()
	}))
	require.NotEqual(t, after, g.rows(t))
	return before, after
}

// TestWhoChangesADomainWritesWhatAKillLeft makes every kind of change, each left unwritten, and another one after it.
func TestWhoChangesADomainWritesWhatAKillLeft(t *testing.T) {
	t.Parallel()
	g := newStage(t, backends[1], "example.org")
	first := g.create(t, "first.example.org", "A", "192.0.2.1")
	second := g.create(t, "first.example.org", "A", "192.0.2.2")
	require.NoError(t, g.server.Stop())
	update := func(r *dnsv1.UpdateRecordRequest) {
		r.Id, r.DomainId = g.id, g.domain
		_, err := g.UpdateRecord(t.Context(), r)
		require.NoError(t, err)
	}
	for name, change := range map[string]func(){
		"new": func() {
			_, err := g.CreateRecords(t.Context(), &dnsv1.CreateRecordsRequest{Id: g.id, DomainId: g.domain, Records: many(120)})
			require.NoError(t, err)
		},
		"joins a set": func() { g.create(t, "first.example.org", "A", "192.0.2.9") },
		"moved": func() {
			update(&dnsv1.UpdateRecordRequest{RecordId: first.GetId(), Name: ptr("moved.example.org"), Value: ptr("192.0.2.7"), Ttl: ptr(int64(60))})
		},
		"disabled": func() {
			_, err := g.DisableRecords(t.Context(), &dnsv1.DisableRecordsRequest{Id: g.id, DomainId: g.domain, Records: []*dnsv1.RecordRef{{Id: second.GetId()}}})
			require.NoError(t, err)
		},
	} {
		_, after := g.leave(t, change)
		extra := g.create(t, "z.example.org", "A", "192.0.2.200")
		require.Equal(t, after, g.rows(t)[:len(after)], name)
		_, after = g.leave(t, func() {
			_, err := g.DeleteRecord(t.Context(), &dnsv1.DeleteRecordRequest{Id: g.id, DomainId: g.domain, RecordId: extra.GetId()})
			require.NoError(t, err)
		})
		g.create(t, "y.example.org", "TXT", "after "+name)
		require.Equal(t, after, g.rows(t)[:len(after)], "deleted")
	}
	var counted int
	require.NoError(t, g.pool.QueryRow(t.Context(), `SELECT record_count FROM dns.domains WHERE id = $1`, g.domain).Scan(&counted))
	require.Len(t, g.rows(t), counted)
	require.NoError(t, g.server.Restart(t.Context()))
	require.Eventually(t, func() bool { return g.count(t, "pending") == 0 }, patience, moment)
	require.Equal(t, []string{"60 A 192.0.2.7"}, dig(t, g.server.Addr(), "moved.example.org", mdns.TypeA))
	require.Empty(t, g.drift(t).GetSets())
}

// TestAPushWritesWhatAKillLeft lets nobody but the queued job find a change that is not written.
func TestAPushWritesWhatAKillLeft(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		require.NoError(t, g.server.Stop())
		_, after := g.leave(t, func() { require.True(t, g.create(t, "www.example.org", "A", "192.0.2.1").GetPending()) })
		g.stop()
		require.NoError(t, g.server.Restart(t.Context()))
		g.run()
		require.Eventually(t, func() bool { return g.count(t, "pending") == 0 }, patience, moment)
		require.Equal(t, after, g.rows(t))
		require.Equal(t, []string{"3600 A 192.0.2.1"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))
		require.Empty(t, g.drift(t).GetSets())
	})
}

// TestWhatAKillLeftIsUndone has a change that is not written fall, because the server holds something else.
func TestWhatAKillLeftIsUndone(t *testing.T) {
	t.Parallel()
	g := newStage(t, backends[0], "example.org")
	record := g.create(t, "www.example.org", "A", "192.0.2.1")
	g.byHand(t, set("www.example.org.", "A", 3600, "192.0.2.1"), set("www.example.org.", "A", 3600, "192.0.2.99"))
	require.NoError(t, g.server.Stop())
	before, _ := g.leave(t, func() {
		_, err := g.UpdateRecord(t.Context(), &dnsv1.UpdateRecordRequest{Id: g.id, DomainId: g.domain, RecordId: record.GetId(), Value: ptr("192.0.2.2")})
		require.NoError(t, err)
	})
	require.NoError(t, g.server.Restart(t.Context()))
	require.Eventually(t, func() bool { return g.count(t, "conflict") == 1 }, patience, moment)
	require.Equal(t, before, g.rows(t))
}
