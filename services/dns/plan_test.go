package dns_test

import (
	"fmt"
	"slices"
	"testing"

	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// host is a record with an address.
func host(name, address string) *dnsv1.NewRecord {
	return &dnsv1.NewRecord{Name: name, Type: "A", Value: address}
}

// hosts are n records below a zone.
func hosts(zone string, n int) []*dnsv1.NewRecord {
	all := make([]*dnsv1.NewRecord, n)
	for i := range all {
		all[i] = host(fmt.Sprintf("h%d.%s", i, zone), fmt.Sprintf("198.18.%d.%d", i/250, i%250))
	}
	return all
}

func TestPlanApplyAndRollBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		made, err := g.CreateRecords(t.Context(), &dnsv1.CreateRecordsRequest{Id: g.id, DomainId: g.domain, Records: hosts("example.org", 20)})
		require.NoError(t, err)
		require.EqualValues(t, 20, made.GetCount())
		require.Equal(t, []string{"3600 A 198.18.0.19"}, dig(t, g.server.Addr(), "h19.example.org", mdns.TypeA))

		want := &dnsv1.PlanChangesRequest{
			Id: g.id, DomainId: g.domain,
			Records: []*dnsv1.NewRecord{host("new.example.org", "192.0.2.1"), host("h0.example.org", "192.0.2.2"), host("h1.example.org", "198.18.0.1")},
			Delete:  []*dnsv1.SetRef{{Name: "h2.example.org", Type: "A"}},
		}
		planned, err := g.PlanChanges(t.Context(), want)
		require.NoError(t, err)
		plan := planned.GetPlan()
		require.Len(t, plan.GetCreates(), 1)
		require.Len(t, plan.GetUpdates(), 1, "h1 is as wanted")
		require.Len(t, plan.GetDeletes(), 1)
		require.InDelta(t, 100*2.0/22, plan.GetChangedPercent(), 0.01)
		require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "new.example.org", mdns.TypeA), "a plan touches nothing")

		apply := &dnsv1.ApplyChangesRequest{Id: g.id, DomainId: g.domain, Records: want.GetRecords(), Delete: want.GetDelete(), Fingerprint: plan.GetFingerprint()}
		applied, err := g.ApplyChanges(t.Context(), apply)
		require.NoError(t, err)
		require.Equal(t, []int64{1, 1, 1}, []int64{applied.GetCreated(), applied.GetUpdated(), applied.GetDeleted()})
		require.Equal(t, []string{"3600 A 192.0.2.1"}, dig(t, g.server.Addr(), "new.example.org", mdns.TypeA))
		require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "h2.example.org", mdns.TypeA))
		_, err = g.ApplyChanges(t.Context(), apply)
		require.True(t, fault.Is(err, "PLAN_OUTDATED"), "%v", err)

		_, err = g.RollBackChange(t.Context(), &dnsv1.RollBackChangeRequest{Id: g.id, DomainId: g.domain, ChangeId: made.GetChangeId()})
		require.True(t, fault.Is(err, "CHANGED_SINCE"), "%v", err)
		_, err = g.RollBackChange(t.Context(), &dnsv1.RollBackChangeRequest{Id: g.id, DomainId: g.domain, ChangeId: applied.GetChangeId()})
		require.NoError(t, err)
		require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "new.example.org", mdns.TypeA))
		require.Equal(t, []string{"3600 A 198.18.0.0"}, dig(t, g.server.Addr(), "h0.example.org", mdns.TypeA))
		require.Equal(t, []string{"3600 A 198.18.0.2"}, dig(t, g.server.Addr(), "h2.example.org", mdns.TypeA))
		require.Empty(t, g.drift(t).GetSets())

		g.refusesTooMuch(t)
	})
}

// refusesTooMuch holds the threshold against deleting everything.
func (g *stage) refusesTooMuch(t *testing.T) {
	t.Helper()
	everything := &dnsv1.PlanChangesRequest{Id: g.id, DomainId: g.domain, Replace: true}
	planned, err := g.PlanChanges(t.Context(), everything)
	require.NoError(t, err)
	require.True(t, planned.GetPlan().GetOverThreshold())
	require.Len(t, planned.GetPlan().GetDeletes(), 20, "SOA and NS stay")
	apply := &dnsv1.ApplyChangesRequest{Id: g.id, DomainId: g.domain, Replace: true, Fingerprint: planned.GetPlan().GetFingerprint()}
	_, err = g.ApplyChanges(t.Context(), apply)
	require.True(t, fault.Is(err, "OVER_THRESHOLD"), "%v", err)
	apply.Override = true
	_, err = g.ApplyChanges(t.Context(), apply)
	require.NoError(t, err)
	require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "h5.example.org", mdns.TypeA))
}

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		g.create(t, "www.example.org", "A", "192.0.2.1")
		g.create(t, "example.org", "TXT", `"v=spf1 -all"`)
		for _, format := range []string{"zone", "csv"} {
			text, err := g.ExportDomain(t.Context(), &dnsv1.ExportDomainRequest{Id: g.id, DomainId: g.domain, Format: format})
			require.NoError(t, err)
			again := &dnsv1.ImportRecordsRequest{Id: g.id, DomainId: g.domain, Source: format, Content: text.GetContent(), Replace: true, DryRun: true}
			same, err := g.ImportRecords(t.Context(), again)
			require.NoError(t, err)
			require.Empty(t, slices.Concat(same.GetPlan().GetCreates(), same.GetPlan().GetUpdates(), same.GetPlan().GetDeletes()), format)
		}
		added := &dnsv1.ImportRecordsRequest{Id: g.id, DomainId: g.domain, Source: "zone", Content: "$TTL 60\nftp IN CNAME www\n"}
		done, err := g.ImportRecords(t.Context(), added)
		require.NoError(t, err)
		require.EqualValues(t, 1, done.GetApplied().GetCreated())
		require.Equal(t, "60 CNAME www.example.org.", dig(t, g.server.Addr(), "ftp.example.org", mdns.TypeCNAME)[0])

		_, err = g.pool.Exec(t.Context(), `DELETE FROM dns.domains`) // forgotten; the server still has the zone
		require.NoError(t, err)
		_, err = g.CreateDomain(t.Context(), &dnsv1.CreateDomainRequest{Id: g.id, Name: "example.org"})
		require.True(t, fault.Is(err, "ZONE_CONFLICT"), "%v", err)
		dry, err := g.ImportDomain(t.Context(), &dnsv1.ImportDomainRequest{Id: g.id, Name: "example.org", DryRun: true})
		require.NoError(t, err)
		require.EqualValues(t, 5, dry.GetRecords())
		require.Nil(t, dry.GetDomain())
		taken, err := g.ImportDomain(t.Context(), &dnsv1.ImportDomainRequest{Id: g.id, Name: "example.org"})
		require.NoError(t, err)
		g.domain = taken.GetDomain().GetId()
		require.Empty(t, g.drift(t).GetSets())
		g.create(t, "new.example.org", "A", "192.0.2.2")
		require.Equal(t, []string{"3600 A 192.0.2.2"}, dig(t, g.server.Addr(), "new.example.org", mdns.TypeA))
	})
}
