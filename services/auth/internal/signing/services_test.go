package signing

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServices(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "services")
	text := "# who may ask\n\nworker  0123456789abcdef\r\n manager\tfedcba9876543210 \n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	services, err := LoadServices(path)
	require.NoError(t, err)
	require.Len(t, services, 2)
	require.True(t, services.know("worker", "0123456789abcdef"))
	require.True(t, services.know("manager", "fedcba9876543210"))
	require.False(t, services.know("worker", "fedcba9876543210"))
	require.False(t, services.know("worker", "0123456789abcde"))
	require.False(t, services.know("worker", ""))
	require.False(t, services.know("nobody", "0123456789abcdef"))
	require.False(t, services.know("#", "who"))

	none, err := LoadServices("")
	require.NoError(t, err)
	require.Empty(t, none)

	require.NoError(t, os.Chmod(path, 0o640))
	_, err = LoadServices(path)
	require.ErrorContains(t, err, "chmod 600")
	_, err = LoadServices(path + ".none")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestParseServicesRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"a secret alone": {"0123456789abcdef\n", "line 1 has 1 words"},
		"three words":    {"\nworker 0123456789abcdef hidden\n", "line 2 has 3 words"},
		"short":          {"worker 0123456789abcde\n", "15 characters, want at least 16"},
		"twice":          {"worker 0123456789abcdef\nworker fedcba9876543210\n", "line 2: worker is listed twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseServices(c.text)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "0123456789")
			require.NotContains(t, err.Error(), "hidden")
		})
	}
}
