package zone

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// sets returns a set with the value, and one beside it.
func sets(value string) (before, after *rrset.Set) {
	key := rrset.Key{Name: "a.example.org.", Type: "TXT"}
	return &rrset.Set{Key: key, TTL: 1<<31 - 1, Records: []rrset.Record{{Value: value}, {Value: "b", Disabled: true}}},
		&rrset.Set{Key: key, Records: []rrset.Record{{Value: value, Disabled: true}}}
}

func TestImages(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "192.0.2.1", `"a\"b" "\\"`, `"\009\255"`, "<&>", "\x00\x1f\x7f", "域", "\u2028"} {
		before, after := sets(value)
		for _, changes := range [][]rrset.Change{{}, {{After: after}}, {{Before: before}}, {{Before: before, After: after}, {After: before}}} {
			text := encodeChanges(changes)
			back, err := decodeChanges(text)
			require.NoError(t, err, "%s", text)
			require.Equal(t, changes, back)
			stored := make([]setChange, len(changes))
			for i, c := range changes {
				stored[i] = setChange{Name: c.Key().Name, Type: c.Key().Type, Before: ImageOf(c.Before), After: ImageOf(c.After)}
			}
			same, err := json.Marshal(stored)
			require.NoError(t, err)
			require.JSONEq(t, string(same), string(text))
		}
	}
}

func TestImagesOfManyChanges(t *testing.T) {
	t.Parallel()
	for _, n := range []int{partSize, partSize + 1, 2*partSize - 1, 10 * partSize} {
		changes := make([]rrset.Change, n)
		for i := range changes {
			changes[i].After = &rrset.Set{Key: rrset.Key{Name: fmt.Sprintf("h%d.example.org.", i), Type: "A"}, Records: []rrset.Record{{Value: "192.0.2.1"}}}
		}
		back, err := decodeChanges(encodeChanges(changes))
		require.NoError(t, err)
		require.Equal(t, changes, back)
	}
}
