package zonefile

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// The limits are reached from just below: files of these sizes take the race detector a minute.

func TestSizeIsBounded(t *testing.T) {
	t.Parallel()
	in := &input{r: strings.NewReader("\n\n\n"), total: MaxSize - 2}
	read, err := io.ReadAll(in)
	require.ErrorIs(t, err, errTooLarge)
	require.Len(t, read, 2)
	require.ErrorIs(t, in.err, errTooLarge)
}

func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	c := collector{zone: "example.org.", entries: make([]rrset.Entry, MaxRecords-1)}
	draft := rrset.Draft{Name: "a.example.org", Type: "A", Value: "192.0.2.1"}
	require.True(t, c.add(1, draft))
	require.False(t, c.add(2, draft))
	_, err := c.result()
	require.ErrorContains(t, err, "line 2: the file holds more than 200000 records")
}
