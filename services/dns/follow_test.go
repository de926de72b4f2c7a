package dns_test

import (
	"testing"

	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

func TestPTRFollowsItsAddress(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		request := &dnsv1.CreateRecordRequest{Id: g.id, DomainId: g.domain, Name: "www.example.org", Type: "A", Value: "192.0.2.1", Ptr: true}
		_, err := g.CreateRecord(t.Context(), request)
		require.True(t, fault.Is(err, "PTR_ZONE_UNKNOWN"), "%v", err)
		require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeA), "all or nothing")

		g.add(t, "2.0.192.in-addr.arpa")
		g.add(t, "8.b.d.0.1.0.0.2.ip6.arpa")
		record, err := g.CreateRecord(t.Context(), request)
		require.NoError(t, err)
		require.True(t, record.GetRecord().GetPtr())
		require.Equal(t, []string{"3600 PTR www.example.org."}, g.reverse(t, "192.0.2.1"))

		id := record.GetRecord().GetId()
		update := &dnsv1.UpdateRecordRequest{Id: g.id, DomainId: g.domain, RecordId: id, Value: ptr("192.0.2.2")}
		updated, err := g.UpdateRecord(t.Context(), update)
		require.NoError(t, err)
		require.True(t, updated.GetRecord().GetPtr())
		require.Equal(t, []string{"NXDOMAIN"}, g.reverse(t, "192.0.2.1"))
		require.Equal(t, []string{"3600 PTR www.example.org."}, g.reverse(t, "192.0.2.2"))

		update = &dnsv1.UpdateRecordRequest{Id: g.id, DomainId: g.domain, RecordId: id, Type: ptr("AAAA"), Value: ptr("2001:db8::1")}
		_, err = g.UpdateRecord(t.Context(), update)
		require.NoError(t, err)
		require.Equal(t, []string{"NXDOMAIN"}, g.reverse(t, "192.0.2.2"))
		require.Equal(t, []string{"3600 PTR www.example.org."}, g.reverse(t, "2001:db8::1"))

		renamed, err := g.UpdateDomain(t.Context(), &dnsv1.UpdateDomainRequest{Id: g.id, DomainId: g.domain, Name: ptr("example.com")})
		require.NoError(t, err)
		require.Equal(t, "example.com", renamed.GetDomain().GetName())
		require.Equal(t, []string{"3600 PTR www.example.com."}, g.reverse(t, "2001:db8::1"))
		require.Equal(t, []string{"3600 AAAA 2001:db8::1"}, dig(t, g.server.Addr(), "www.example.com", mdns.TypeAAAA))
		require.Equal(t, []string{"REFUSED"}, dig(t, g.server.Addr(), "www.example.org", mdns.TypeAAAA))

		_, err = g.DeleteRecord(t.Context(), &dnsv1.DeleteRecordRequest{Id: g.id, DomainId: g.domain, RecordId: id})
		require.NoError(t, err)
		require.Equal(t, []string{"NXDOMAIN"}, g.reverse(t, "2001:db8::1"))
		require.Zero(t, g.count(t, "pending"))
		require.Zero(t, g.count(t, "conflict"))
	})
}

// reverse asks for the PTR of an address.
func (g *stage) reverse(t testing.TB, address string) []string {
	t.Helper()
	name, err := mdns.ReverseAddr(address)
	require.NoError(t, err)
	return dig(t, g.server.Addr(), name, mdns.TypePTR)
}

func TestRenameKeepsWhatPointsInside(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "old.example")
		g.create(t, "mail.old.example", "A", "192.0.2.1")
		g.create(t, "old.example", "MX", "10 mail.old.example.")
		g.create(t, "www.old.example", "CNAME", "mail.old.example.")
		_, err := g.UpdateDomain(t.Context(), &dnsv1.UpdateDomainRequest{Id: g.id, DomainId: g.domain, Name: ptr("new.example")})
		require.NoError(t, err)
		require.Equal(t, []string{"3600 MX 10 mail.new.example."}, dig(t, g.server.Addr(), "new.example", mdns.TypeMX))
		require.Equal(t, "3600 CNAME mail.new.example.", dig(t, g.server.Addr(), "www.new.example", mdns.TypeCNAME)[0])
		require.Empty(t, g.drift(t).GetSets())
	})
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	g := newStage(t, backends[0], "example.org")
	g.create(t, "www.example.org", "A", "192.0.2.1")
	operator, outsider, guest := g.as(carol), g.as(bob), g.as(nobody)

	listed, err := operator.ListDomains(t.Context(), &dnsv1.ListDomainsRequest{Id: g.id})
	require.NoError(t, err)
	require.False(t, listed.GetResults()[0].GetAvailableActions().GetEdit(), "somebody else's domain")
	attempt := &dnsv1.CreateRecordRequest{Id: g.id, DomainId: g.domain, Name: "x.example.org", Type: "A", Value: "192.0.2.1"}
	_, err = operator.CreateRecord(t.Context(), attempt)
	require.True(t, fault.Is(err, "FORBIDDEN"), "%v", err)
	_, err = g.pool.Exec(t.Context(), `UPDATE dns.domains SET creator = 'carol'`)
	require.NoError(t, err)
	_, err = operator.CreateRecord(t.Context(), attempt)
	require.NoError(t, err, "who made a domain may change it")
	_, err = operator.CreateDomain(t.Context(), &dnsv1.CreateDomainRequest{Id: g.id, Name: "example.com"})
	require.True(t, fault.Is(err, "FORBIDDEN"), "%v", err)

	_, err = outsider.ListRecords(t.Context(), &dnsv1.ListRecordsRequest{Id: g.id, DomainId: g.domain})
	require.True(t, fault.Is(err, "DOMAIN_NOT_FOUND"), "%v", err)
	_, err = outsider.CreateRecord(t.Context(), attempt)
	require.True(t, fault.Is(err, "DOMAIN_NOT_FOUND"), "%v", err)
	servers, err := outsider.ListServers(t.Context(), &dnsv1.ListServersRequest{})
	require.NoError(t, err)
	require.Zero(t, servers.GetCount())
	_, err = guest.ListServers(t.Context(), &dnsv1.ListServersRequest{})
	require.True(t, fault.Is(err, "FORBIDDEN"), "%v", err)
}

func TestRequestsOfOtherServices(t *testing.T) {
	t.Parallel()
	g := newStage(t, backends[0], "example.org")
	g.add(t, "sub.example.org")
	service := g.as(cmdb)
	ensure := &dnsv1.EnsureRecordsRequest{
		Tenant: "shop", Operator: "carol", RequestKey: "domain-request/1",
		Records: []*dnsv1.NewRecord{host("a.example.org", "192.0.2.1"), host("a.sub.example.org", "192.0.2.2")},
	}
	for range 2 {
		answer, err := service.EnsureRecords(t.Context(), ensure)
		require.NoError(t, err)
		require.True(t, answer.GetFinished())
	}
	require.Equal(t, []string{"3600 A 192.0.2.1"}, dig(t, g.server.Addr(), "a.example.org", mdns.TypeA))
	require.Equal(t, []string{"3600 A 192.0.2.2"}, dig(t, g.server.Addr(), "a.sub.example.org", mdns.TypeA))
	operations, err := g.ListOperations(t.Context(), &dnsv1.ListOperationsRequest{Operator: "carol"})
	require.NoError(t, err)
	require.EqualValues(t, 2, operations.GetCount())

	remove := &dnsv1.RemoveRecordsRequest{Tenant: "shop", Operator: "carol", RequestKey: "domain-request/1/undo", Records: ensure.GetRecords()}
	answer, err := service.RemoveRecords(t.Context(), remove)
	require.NoError(t, err)
	require.True(t, answer.GetFinished())
	require.Equal(t, []string{"NXDOMAIN"}, dig(t, g.server.Addr(), "a.example.org", mdns.TypeA))

	ensure.Tenant, ensure.RequestKey = "bank", "domain-request/2"
	_, err = service.EnsureRecords(t.Context(), ensure)
	require.True(t, fault.Is(err, "DOMAIN_UNKNOWN"), "another tenant's domain: %v", err)
	_, err = g.EnsureRecords(t.Context(), ensure)
	require.True(t, fault.Is(err, "FORBIDDEN"), "people have other calls: %v", err)
}
