package powerdns

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTooOld(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"4.7.3": false, "4.7.0-rc1": false, "4.9.1": false, "5.0.0": false, "10.0": false, "0.0.2345gabc": true, "main": false, "4.6.4": true, "3.4.11": true, "4": false,
	} {
		require.Equal(t, want, tooOld(version), version)
	}
}
