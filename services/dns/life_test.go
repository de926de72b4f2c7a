package dns_test

import (
	"testing"

	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"
)

func TestLifeOfARecord(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		record := g.create(t, "www.example.org", "A", "192.0.2.1")
		require.Equal(t, []string{"3600 A 192.0.2.1"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))
		require.False(t, record.GetPending())
		require.True(t, record.GetEnabled())

		value := "192.0.2.2"
		updated, err := g.UpdateRecord(t.Context(), &dnsv1.UpdateRecordRequest{Id: g.id, DomainId: g.domain, RecordId: record.GetId(), Value: &value})
		require.NoError(t, err)
		require.Equal(t, record.GetId(), updated.GetRecord().GetId())
		require.Equal(t, []string{"3600 A 192.0.2.2"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))

		refs := []*dnsv1.RecordRef{{Id: record.GetId()}}
		_, err = g.DisableRecords(t.Context(), &dnsv1.DisableRecordsRequest{Id: g.id, DomainId: g.domain, Records: refs})
		require.NoError(t, err)
		require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))
		listed, err := g.ListRecords(t.Context(), &dnsv1.ListRecordsRequest{Id: g.id, DomainId: g.domain, Name: "WWW"})
		require.NoError(t, err)
		require.Len(t, listed.GetResults(), 1)
		require.False(t, listed.GetResults()[0].GetEnabled())

		_, err = g.EnableRecords(t.Context(), &dnsv1.EnableRecordsRequest{Id: g.id, DomainId: g.domain, Records: refs})
		require.NoError(t, err)
		require.Equal(t, []string{"3600 A 192.0.2.2"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))

		_, err = g.DeleteRecord(t.Context(), &dnsv1.DeleteRecordRequest{Id: g.id, DomainId: g.domain, RecordId: record.GetId()})
		require.NoError(t, err)
		require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA))
		require.Len(t, dig(t, g.server.Addr(), "example.org", mdns.TypeSOA), 1)

		_, err = g.DeleteDomain(t.Context(), &dnsv1.DeleteDomainRequest{Id: g.id, DomainId: g.domain})
		require.NoError(t, err)
		require.Equal(t, []string{"REFUSED"}, dig(t, g.server.Addr(), "example.org", mdns.TypeSOA))
		var left int
		require.NoError(t, g.pool.QueryRow(t.Context(), `SELECT count(*) FROM dns.domains`).Scan(&left))
		require.Zero(t, left)
	})
}
