package bind

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// created are n new sets in example.org.
func created(n int) []rrset.Change {
	changes := make([]rrset.Change, n)
	for i := range changes {
		key := rrset.Key{Name: fmt.Sprintf("h%04d.example.org.", i), Type: "A"}
		changes[i].After = &rrset.Set{Key: key, TTL: 60, Records: []rrset.Record{{Value: "192.0.2.1"}}}
	}
	return changes
}

func TestSplit(t *testing.T) {
	t.Parallel()
	compares, follows := push{zone: "example.org."}, push{zone: "example.org.", follows: true}
	require.Len(t, compares.split(created(800)), 1)
	require.Len(t, follows.split(created(1600)), 1, "the serial is one prerequisite instead of 3,200")
	large := created(5000)
	parts := follows.split(large)
	require.Greater(t, len(parts), 10, "small updates")
	require.Equal(t, parts, compares.split(large), "a push that was cut off finds the same parts")
	for _, part := range parts {
		require.Len(t, compares.split(part), 1)
	}
}
