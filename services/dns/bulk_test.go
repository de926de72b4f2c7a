package dns_test

import (
	"fmt"
	"testing"

	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"
)

// many returns new records host0, host1 and so on in example.org.
func many(n int) []*dnsv1.NewRecord {
	records := make([]*dnsv1.NewRecord, n)
	for i := range records {
		records[i] = &dnsv1.NewRecord{Name: fmt.Sprintf("host%d.example.org", i), Type: "A", Value: fmt.Sprintf("10.0.%d.%d", i>>8, i&255)}
	}
	return records
}

func TestTheAuditOfManyRecordsNamesEach(t *testing.T) {
	t.Parallel()
	g := newStage(t, backends[1], "example.org")
	const records = 300
	made, err := g.CreateRecords(t.Context(), &dnsv1.CreateRecordsRequest{Id: g.id, DomainId: g.domain, Records: many(records)})
	require.NoError(t, err)
	require.EqualValues(t, records, made.GetCount())
	require.False(t, made.GetPending())
	require.Equal(t, []string{"3600 A 10.0.1.43"}, dig(t, g.server.Addr(), "host299.example.org", mdns.TypeA))

	added, err := g.ListOperations(t.Context(), &dnsv1.ListOperationsRequest{OpTarget: "record", OpType: "add"})
	require.NoError(t, err)
	require.Less(t, added.GetCount(), int64(20), "operations hold many records each")
	for i := range records {
		found, err := g.ListOperations(t.Context(), &dnsv1.ListOperationsRequest{OpDetail: fmt.Sprintf("host%d.example.org 3600 A 10.0.%d.%d", i, i>>8, i&255)})
		require.NoError(t, err)
		require.NotEmpty(t, found.GetResults(), "host%d", i)
	}

	listed, err := g.ListRecords(t.Context(), &dnsv1.ListRecordsRequest{Id: g.id, DomainId: g.domain, Type: "A", PageSize: 2})
	require.NoError(t, err)
	refs := []*dnsv1.RecordRef{{Id: listed.GetResults()[0].GetId()}, {Id: listed.GetResults()[1].GetId()}}
	_, err = g.DisableRecords(t.Context(), &dnsv1.DisableRecordsRequest{Id: g.id, DomainId: g.domain, Records: refs})
	require.NoError(t, err)
	disabled, err := g.ListOperations(t.Context(), &dnsv1.ListOperationsRequest{OpTarget: "record", OpType: "disable"})
	require.NoError(t, err)
	require.EqualValues(t, 2, disabled.GetCount(), "a few records have an operation each")
	require.Equal(t, "disabled domain record host1.example.org 3600 A 10.0.0.1", disabled.GetResults()[0].GetOpDetail())
}
