package dns_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"

	dns "github.com/opsdeck/opsdeck/services/dns"
	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// byHand changes a set on the server behind the service's back.
func (g *stage) byHand(t testing.TB, before, after *rrset.Set) {
	t.Helper()
	require.NoError(t, g.driver.Apply(t.Context(), g.zone, true, []rrset.Change{{Before: before, After: after}}))
}

func set(name, typ string, ttl uint32, values ...string) *rrset.Set {
	s := &rrset.Set{Key: rrset.Key{Name: name, Type: typ}, TTL: ttl}
	for _, v := range values {
		s.Records = append(s.Records, rrset.Record{Value: v})
	}
	return s
}

func TestAnEditByHandIsNeverOverwritten(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		record := g.create(t, "www.example.org", "A", "192.0.2.1")
		g.byHand(t, set("www.example.org.", "A", 3600, "192.0.2.1"), set("www.example.org.", "A", 3600, "192.0.2.99"))

		value := "192.0.2.2"
		_, err := g.UpdateRecord(t.Context(), &dnsv1.UpdateRecordRequest{Id: g.id, DomainId: g.domain, RecordId: record.GetId(), Value: &value})
		require.True(t, fault.Is(err, "SET_CONFLICT"), "%v", err)
		require.ErrorContains(t, err, "192.0.2.99", "the answer says what the server has instead")
		require.Equal(t, []string{"3600 A 192.0.2.99"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))

		listed, err := g.ListRecords(t.Context(), &dnsv1.ListRecordsRequest{Id: g.id, DomainId: g.domain, Type: "A"})
		require.NoError(t, err)
		require.Equal(t, "192.0.2.1", listed.GetResults()[0].GetValue(), "the change was undone")
		require.Equal(t, record.GetId(), listed.GetResults()[0].GetId())

		drift, err := g.GetDrift(t.Context(), &dnsv1.GetDriftRequest{Id: g.id, DomainId: g.domain})
		require.NoError(t, err)
		require.Len(t, drift.GetDrift().GetSets(), 1, "the conflict is drift that was seen")
		require.Equal(t, []string{"192.0.2.99"}, drift.GetDrift().GetSets()[0].GetFound().GetValues())

		adopted, err := g.AdoptDrift(t.Context(), &dnsv1.AdoptDriftRequest{Id: g.id, DomainId: g.domain})
		require.NoError(t, err)
		require.EqualValues(t, 1, adopted.GetSets())
		updated, err := g.UpdateRecord(t.Context(), &dnsv1.UpdateRecordRequest{Id: g.id, DomainId: g.domain, Name: ptr("www.example.org"), Type: ptr("A"), Value: &value})
		require.NoError(t, err)
		require.Equal(t, value, updated.GetRecord().GetValue())
		require.Equal(t, []string{"3600 A 192.0.2.2"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))
	})
}

func ptr[T any](v T) *T { return &v }

func TestDriftIsSeenAndCorrected(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		g.create(t, "www.example.org", "A", "192.0.2.1")
		mail := g.create(t, "example.org", "MX", "10 mail.example.net.")
		_, err := g.DisableRecords(t.Context(), &dnsv1.DisableRecordsRequest{Id: g.id, DomainId: g.domain, Records: []*dnsv1.RecordRef{{Id: mail.GetId()}}})
		require.NoError(t, err)
		require.Empty(t, g.drift(t).GetSets())

		g.byHand(t, nil, set("intruder.example.org.", "TXT", 60, `"by hand"`))
		g.byHand(t, set("www.example.org.", "A", 3600, "192.0.2.1"), nil)
		drift := g.drift(t)
		require.Len(t, drift.GetSets(), 2)
		require.Equal(t, "intruder.example.org", drift.GetSets()[0].GetName())
		require.Nil(t, drift.GetSets()[0].GetWanted())
		require.Nil(t, drift.GetSets()[1].GetFound())

		corrected, err := g.CorrectDrift(t.Context(), &dnsv1.CorrectDriftRequest{Id: g.id, DomainId: g.domain})
		require.NoError(t, err)
		require.EqualValues(t, 2, corrected.GetSets())
		require.False(t, corrected.GetPending())
		require.Equal(t, []string{"3600 A 192.0.2.1"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))
		require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "intruder.example.org", mdns.TypeTXT))
		require.Empty(t, g.drift(t).GetSets())
	})
}

func TestDriftIsLookedForOnASchedule(t *testing.T) {
	t.Parallel()
	g := newStage(t, backends[0], "example.org", func(c *dns.Config) { c.DriftInterval = time.Second })
	g.byHand(t, nil, set("intruder.example.org.", "TXT", 60, `"by hand"`))
	require.Eventually(t, func() bool {
		answer, err := g.GetDrift(t.Context(), &dnsv1.GetDriftRequest{Id: g.id, DomainId: g.domain})
		require.NoError(t, err)
		return len(answer.GetDrift().GetSets()) == 1
	}, patience, moment)
	var events int
	require.NoError(t, g.pool.QueryRow(t.Context(), `
		SELECT count(*) FROM dns.river_job WHERE kind = 'bus.publish' AND args->'event'->>'type' = 'opsdeck.dns.drift.found'`).Scan(&events))
	require.Equal(t, 1, events, "drift is told once")
}

// drift compares the domain with its server now.
func (g *stage) drift(t testing.TB) *dnsv1.Drift {
	t.Helper()
	answer, err := g.GetDrift(t.Context(), &dnsv1.GetDriftRequest{Id: g.id, DomainId: g.domain, Refresh: true})
	require.NoError(t, err)
	return answer.GetDrift()
}

func TestTwoClientsAndOneRecordSet(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		var wait sync.WaitGroup
		failures := make([]error, 10)
		for i := range failures {
			wait.Go(func() {
				_, failures[i] = g.CreateRecord(t.Context(), &dnsv1.CreateRecordRequest{
					Id: g.id, DomainId: g.domain, Name: "www.example.org", Type: "A", Value: "192.0.2.1",
				})
			})
		}
		wait.Wait()
		won := 0
		for _, err := range failures {
			if err == nil {
				won++
				continue
			}
			require.True(t, fault.Is(err, "RECORD_INVALID") || fault.Is(err, "CHANGED_MEANWHILE"), "%v", err)
			require.ErrorContains(t, err, "duplicate")
		}
		require.Equal(t, 1, won)
		require.Equal(t, []string{"3600 A 192.0.2.1"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))
	})
}

func TestChangesWaitForAServerThatIsDown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		require.NoError(t, g.server.Stop())
		record := g.create(t, "n.example.org", "A", "192.0.2.0")
		require.True(t, record.GetPending())
		for i := 1; i < 50; i++ {
			value := fmt.Sprintf("192.0.2.%d", i)
			answer, err := g.UpdateRecord(t.Context(), &dnsv1.UpdateRecordRequest{Id: g.id, DomainId: g.domain, RecordId: record.GetId(), Value: &value})
			require.NoError(t, err)
			require.True(t, answer.GetRecord().GetPending())
		}
		require.NoError(t, g.server.Restart(t.Context()))
		require.Eventually(t, func() bool { return g.count(t, "pending") == 0 }, patience, moment)
		require.Equal(t, 51, g.count(t, "applied"), "the zone and fifty changes")
		require.Equal(t, []string{"3600 A 192.0.2.49"}, dig(t, g.server.Addr(), "n.example.org", mdns.TypeA))
		var disordered int
		require.NoError(t, g.pool.QueryRow(t.Context(), `
			SELECT count(*) FROM dns.changes a JOIN dns.changes b ON a.domain_id = b.domain_id AND a.id < b.id AND a.finished_at > b.finished_at`).Scan(&disordered))
		require.Zero(t, disordered)
		require.Empty(t, g.drift(t).GetSets())
	})
}

// count returns how many changes are in a state.
func (g *stage) count(t testing.TB, state string) (n int) {
	t.Helper()
	require.NoError(t, g.pool.QueryRow(t.Context(), `SELECT count(*) FROM dns.changes WHERE state = $1`, state).Scan(&n))
	return n
}

func TestPendingChangesFallTogether(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		kept := g.create(t, "kept.example.org", "A", "192.0.2.7")
		record := g.create(t, "n.example.org", "A", "192.0.2.1")
		g.byHand(t, set("n.example.org.", "A", 3600, "192.0.2.1"), set("n.example.org.", "A", 3600, "192.0.2.99"))
		require.NoError(t, g.server.Stop())
		for _, value := range []string{"192.0.2.2", "192.0.2.3"} {
			_, err := g.UpdateRecord(t.Context(), &dnsv1.UpdateRecordRequest{Id: g.id, DomainId: g.domain, RecordId: record.GetId(), Value: &value})
			require.NoError(t, err)
		}
		_, err := g.UpdateRecord(t.Context(), &dnsv1.UpdateRecordRequest{Id: g.id, DomainId: g.domain, RecordId: kept.GetId(), Value: ptr("192.0.2.8")})
		require.NoError(t, err)
		require.NoError(t, g.server.Restart(t.Context()))
		require.Eventually(t, func() bool { return g.count(t, "pending") == 0 }, patience, moment)
		require.Equal(t, 2, g.count(t, "conflict"), "the second change was made on top of the first")
		require.Equal(t, []string{"3600 A 192.0.2.99"}, dig(t, g.server.Addr(), "n.example.org", mdns.TypeA))
		require.Equal(t, []string{"3600 A 192.0.2.8"}, dig(t, g.server.Addr(), "kept.example.org", mdns.TypeA), "another set goes on")
		listed, err := g.ListRecords(t.Context(), &dnsv1.ListRecordsRequest{Id: g.id, DomainId: g.domain, Name: "n.example"})
		require.NoError(t, err)
		require.Equal(t, "192.0.2.1", listed.GetResults()[0].GetValue(), "what was there before both")
	})
}

// TestARestartPushesWhatWasCommitted stops the service while the server is down: what a kill leaves behind is the same rows.
func TestARestartPushesWhatWasCommitted(t *testing.T) {
	t.Parallel()
	g := newStage(t, backends[0], "example.org")
	require.NoError(t, g.server.Stop())
	require.True(t, g.create(t, "www.example.org", "A", "192.0.2.1").GetPending())
	g.stop()
	require.NoError(t, g.server.Restart(t.Context()))
	g.run()
	require.Eventually(t, func() bool { return g.count(t, "pending") == 0 }, patience, moment)
	require.Equal(t, []string{"3600 A 192.0.2.1"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))
}

// TestThePushKnowsTheSerial follows the serial of a zone from change to change, and finds it again after somebody else moved it.
func TestThePushKnowsTheSerial(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		known := func() (serial uint32) {
			require.NoError(t, g.pool.QueryRow(t.Context(), `SELECT serial FROM dns.changes ORDER BY id DESC LIMIT 1`).Scan(&serial))
			return serial
		}
		served := func() uint32 {
			serial, _, err := g.driver.Serial(t.Context(), g.zone)
			require.NoError(t, err)
			return serial
		}
		if _, follows := g.driver.(nameserver.Follower); follows {
			require.Equal(t, served(), known(), "of the new zone")
			g.create(t, "a.example.org", "A", "192.0.2.1")
			require.Equal(t, served(), known())
		}
		extra := set("extra.example.org.", "A", 60, "192.0.2.9")
		g.byHand(t, nil, extra)
		g.byHand(t, extra, nil)
		g.create(t, "b.example.org", "A", "192.0.2.2")
		require.Zero(t, known(), "somebody was there")
		require.Empty(t, g.drift(t).GetSets())
		require.Equal(t, served(), known(), "compared")
		g.byHand(t, nil, extra)
		require.Len(t, g.drift(t).GetSets(), 1)
		require.Zero(t, known(), "the zone holds something else")
	})
}

// TestWhoWaitedHearsWhatChanged lets two create the same record while neither can see what the other does: the one whose turn comes second hears what
// changed in between.
func TestWhoWaitedHearsWhatChanged(t *testing.T) {
	t.Parallel()
	g := newStage(t, backends[0], "example.org")
	held, err := g.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), `SELECT FROM dns.domains WHERE id = $1 FOR UPDATE`, g.domain)
	require.NoError(t, err)
	create := &dnsv1.CreateRecordRequest{Id: g.id, DomainId: g.domain, Name: "www.example.org", Type: "A", Value: "192.0.2.1"}
	answers := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := g.CreateRecord(t.Context(), create)
			answers <- err
		}()
	}
	require.Eventually(t, func() bool {
		var waiting int
		require.NoError(t, g.pool.QueryRow(t.Context(), `
			SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
		return waiting == 2
	}, patience, moment)
	require.NoError(t, held.Rollback(t.Context()))
	first, second := <-answers, <-answers
	if first != nil {
		first, second = second, first
	}
	require.NoError(t, first)
	require.True(t, fault.Is(second, "CHANGED_MEANWHILE"), "%v", second)
	require.ErrorContains(t, second, "www.example.org. A was changed by shop:alice")
	_, err = g.CreateRecord(t.Context(), create)
	require.True(t, fault.Is(err, "RECORD_INVALID"), "%v: it was there before", err)
}

func TestAZoneThatIsMissingIsMadeAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		g.create(t, "www.example.org", "A", "192.0.2.1")
		off := g.create(t, "off.example.org", "A", "192.0.2.2")
		_, err := g.DisableRecords(t.Context(), &dnsv1.DisableRecordsRequest{Id: g.id, DomainId: g.domain, Records: []*dnsv1.RecordRef{{Id: off.GetId()}}})
		require.NoError(t, err)
		require.NoError(t, g.driver.DeleteZone(t.Context(), g.zone))
		require.True(t, g.drift(t).GetZoneMissing())
		_, err = g.AdoptDrift(t.Context(), &dnsv1.AdoptDriftRequest{Id: g.id, DomainId: g.domain})
		require.True(t, fault.Is(err, "ZONE_UNKNOWN"), "%v", err)

		corrected, err := g.CorrectDrift(t.Context(), &dnsv1.CorrectDriftRequest{Id: g.id, DomainId: g.domain})
		require.NoError(t, err)
		require.EqualValues(t, 4, corrected.GetSets(), "SOA, NS and two more")
		require.False(t, corrected.GetPending())
		require.Equal(t, []string{"3600 A 192.0.2.1"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))
		require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "off.example.org", mdns.TypeA))
		answer, err := g.GetDrift(t.Context(), &dnsv1.GetDriftRequest{Id: g.id, DomainId: g.domain})
		require.NoError(t, err)
		require.False(t, answer.GetDrift().GetZoneMissing())
		now := g.drift(t)
		require.False(t, now.GetZoneMissing())
		require.Empty(t, now.GetSets())
		g.create(t, "later.example.org", "A", "192.0.2.3")
		require.Equal(t, []string{"3600 A 192.0.2.3"}, dig(t, g.server.Addr(), "later.example.org", mdns.TypeA))
	})
}
