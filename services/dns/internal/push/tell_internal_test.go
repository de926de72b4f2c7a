package push

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/nameserver"
	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// reader is a server that serves the value 192.0.2.1 everywhere, under one TTL.
type reader struct {
	nameserver.Driver

	ttl  uint32
	keys int // that were read
}

func (r *reader) Sets(_ context.Context, _ string, keys []rrset.Key) (sets []rrset.Set, err error) {
	r.keys += len(keys)
	for _, key := range keys {
		sets = append(sets, rrset.Set{Key: key, TTL: r.ttl, Records: []rrset.Record{{Value: "192.0.2.1"}}})
	}
	return sets, nil
}

// confirmer is a reader that confirms values.
type confirmer struct {
	reader

	changes int // that were to be confirmed
}

func (c *confirmer) Holds(_ context.Context, _ string, changes []rrset.Change) (bool, error) {
	c.changes += len(changes)
	for _, change := range changes {
		if change.After.Records[0].Value != "192.0.2.1" {
			return false, nil
		}
	}
	return true, nil
}

func changed(n int, value string) zone.Change {
	c := zone.Change{Kind: zone.Records, Zone: "example.org."}
	for i := range n {
		set := &rrset.Set{Key: rrset.Key{Name: fmt.Sprintf("h%d.example.org.", i), Type: "A"}, TTL: 60, Records: []rrset.Record{{Value: value}}}
		c.Sets = append(c.Sets, rrset.Change{After: set})
	}
	return c
}

func TestHowManySetsAreAskedAbout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sets                              int
		value                             string
		ttl                               uint32
		read, drifted                     int // by a server that only reads
		confirmed, sampled, driftedByBoth int // by one that confirms too
	}{
		{1, "192.0.2.1", 60, 1, 0, 0, 1, 0},
		{50, "192.0.2.1", 9, 50, 50, 0, 50, 50},
		{51, "192.0.2.1", 60, 26, 0, 51, 5, 0},
		{10000, "192.0.2.1", 60, 50, 0, 500, 5, 0},
		{10000, "192.0.2.1", 9, 50, 50, 500, 5, 5},
		{10000, "192.0.2.7", 60, 50, 50, 500, 55, 50},
	} {
		plain := &reader{ttl: test.ttl}
		drifted, err := verify(t.Context(), plain, changed(test.sets, test.value))
		require.NoError(t, err)
		require.Len(t, drifted, test.drifted, "%+v", test)
		require.Equal(t, test.read, plain.keys, "%+v", test)
		both := &confirmer{reader: reader{ttl: test.ttl}}
		drifted, err = verify(t.Context(), both, changed(test.sets, test.value))
		require.NoError(t, err)
		require.Len(t, drifted, test.driftedByBoth, "%+v", test)
		require.Equal(t, test.confirmed, both.changes, "%+v", test)
		require.Equal(t, test.sampled, both.keys, "%+v", test)
	}
}
