package secret

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMAC(t *testing.T) {
	t.Parallel()
	older, newer := strings.Repeat("A", 43)+"=", strings.Repeat("B", 42)+"A="
	before, err := parse(older)
	require.NoError(t, err)
	after, err := parse(newer + "\n" + older)
	require.NoError(t, err)

	hash := before.MAC("value", "context")
	require.Len(t, hash, 32)
	require.Equal(t, hash, before.MAC("value", "context"))
	require.NotEqual(t, hash, before.MAC("value", "other"))
	require.NotEqual(t, hash, before.MAC("other", "context"))
	require.NotEqual(t, before.MAC("bc", "a"), before.MAC("c", "ab"), "value and context do not run into each other")

	require.NotEqual(t, hash, after.MAC("value", "context"))
	all := after.MACs("value", "context")
	require.Len(t, all, 2)
	require.True(t, bytes.Equal(all[0], after.MAC("value", "context")))
	require.True(t, bytes.Equal(all[1], hash), "what was hashed under the older key is found")
}
