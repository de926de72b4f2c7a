package dns_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"
)

// TestNamesAreThereOrNot asks after each of many random changes for every name of a small tree: one with records, and one that is empty but
// has names below it, is there; another one is not (RFC 8020).
func TestNamesAreThereOrNot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b backend) {
		g := newStage(t, b, "example.org")
		w := tree{stage: g, records: map[string]*dnsv1.Record{}}
		for _, label := range []string{"", "a.", "b."} {
			for _, below := range []string{"a.", "b.", "c.b."} {
				w.names = append(w.names, below+label+"example.org")
			}
		}
		random := rand.New(rand.NewPCG(7, 1))
		for range 60 {
			w.step(t, random, w.names[random.IntN(len(w.names))])
			w.requireNames(t)
		}
	})
}

// tree is a zone with at most one record at each name.
type tree struct {
	*stage

	names   []string
	records map[string]*dnsv1.Record
}

func (w *tree) step(t *testing.T, random *rand.Rand, name string) {
	t.Helper()
	record := w.records[name]
	if record == nil {
		w.records[name] = w.create(t, name, "A", "192.0.2.1")
		return
	}
	refs := []*dnsv1.RecordRef{{Id: record.GetId()}}
	var err error
	switch {
	case random.IntN(2) == 0:
		_, err = w.DeleteRecord(t.Context(), &dnsv1.DeleteRecordRequest{Id: w.id, DomainId: w.domain, RecordId: record.GetId()})
		delete(w.records, name)
	case record.GetEnabled():
		_, err = w.DisableRecords(t.Context(), &dnsv1.DisableRecordsRequest{Id: w.id, DomainId: w.domain, Records: refs})
		record.Enabled = false
	default:
		_, err = w.EnableRecords(t.Context(), &dnsv1.EnableRecordsRequest{Id: w.id, DomainId: w.domain, Records: refs})
		record.Enabled = true
	}
	require.NoError(t, err)
}

func (w *tree) requireNames(t *testing.T) {
	t.Helper()
	for _, name := range w.names {
		want := "NXDOMAIN"
		for at, record := range w.records {
			if record.GetEnabled() && (at == name || strings.HasSuffix(at, "."+name)) {
				want = "NOERROR"
			}
		}
		require.Equal(t, []string{want}, dig(t, w.server.Addr(), name, mdns.TypeTXT), "%s with %v", name, w.records)
	}
}
