package bindagent

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzPlain(f *testing.F) {
	apex := "@ SOA ns h 1 1 1 1 1\n@ NS ns\n"
	f.Add(apex + "a TXT \"$INCLUDE /etc/passwd\\010$INCLUDE x\"\n")
	f.Add(apex + "$INCLUDE /etc/passwd\n")
	f.Add(apex + "$GENERATE 1-3 a$ A 192.0.2.$\n\\$INCLUDE A 192.0.2.1\n")
	f.Fuzz(func(t *testing.T, content string) {
		text, err := plain("example.org.", content)
		if err != nil {
			require.ErrorIs(t, err, errContent)
			return
		}
		for line := range strings.Lines(text) {
			require.NotEqual(t, byte('$'), line[0])
			owner, _, found := strings.Cut(line, "\t")
			require.True(t, found)
			require.True(t, strings.HasSuffix(strings.ToLower(owner), "example.org."))
		}
	})
}
