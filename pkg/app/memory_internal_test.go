package app

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheEnvironmentSaysWhenMemoryIsCollected(t *testing.T) {
	const own = 77
	before := debug.SetGCPercent(own)
	defer debug.SetGCPercent(before)
	t.Setenv("GOGC", "77")
	spare()
	require.Equal(t, own, debug.SetGCPercent(own))
	t.Setenv("GOGC", "")
	spare()
	require.Equal(t, growth, debug.SetGCPercent(own))
}
