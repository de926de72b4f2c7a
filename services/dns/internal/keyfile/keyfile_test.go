package keyfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/pkg/secret"
	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
)

const good = `# made by tsig-keygen
key "Opsdeck" { // ours
	algorithm hmac-sha256; /* the
	default */
	secret "MDEyMzQ1Njc4OWFiY2RlZg==";
};
`

func TestParse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "opsdeck.key")
	require.NoError(t, os.WriteFile(path, []byte(good), 0o600))
	key, err := keyfile.Read(path)
	require.NoError(t, err)
	require.Equal(t, keyfile.Key{Name: "opsdeck.", Algorithm: dns.HmacSHA256, Secret: []byte("0123456789abcdef")}, key)
	again, err := keyfile.Parse(keyfile.Format(key))
	require.NoError(t, err)
	require.Equal(t, key, again)
	for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%#v", key), fmt.Sprintf("%+v", key)} {
		require.Equal(t, "key opsdeck.", text)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const good64 = "MDEyMzQ1Njc4OWFiY2RlZg=="
	for _, text := range []string{
		"", "key", `key "a" {`, "key \"a\" {};", good + good, good + "x",
		strings.Replace(good, "sha256", "md5", 1), strings.Replace(good, good64, "c2hvcnQ=", 1), strings.Replace(good, good64, "=", 1),
		strings.Replace(good, "secret", "sekret", 1), strings.Replace(good, ";", "", 1), strings.Replace(good, "};", "}", 1),
		strings.Replace(good, `"Opsdeck"`, `""`, 1), strings.Replace(good, "*/", "", 1), "secret " + good64,
	} {
		_, err := keyfile.Parse(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), good64)
	}
	_, err := keyfile.Read(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestFromSecret(t *testing.T) {
	t.Parallel()
	key, err := keyfile.FromSecret("Opsdeck", "MDEyMzQ1Njc4OWFiY2RlZg==")
	require.NoError(t, err)
	require.Equal(t, keyfile.Key{Name: "opsdeck.", Algorithm: dns.HmacSHA256, Secret: []byte("0123456789abcdef")}, key)
	key, err = keyfile.FromSecret("", "MDEyMzQ1Njc4OWFiY2RlZg==")
	require.NoError(t, err)
	require.Empty(t, key.Name)
	for name, secret := range map[string]secret.Text{"a..b": "MDEyMzQ1Njc4OWFiY2RlZg==", ".": "MDEyMzQ1Njc4OWFiY2RlZg==", "a": "c2hvcnQ=", "b": "*"} {
		_, err := keyfile.FromSecret(name, secret)
		require.Error(t, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add(`key a{secret MDEyMzQ1Njc4OWFiY2RlZg==;algorithm HMAC-SHA512;};`)
	f.Fuzz(func(t *testing.T, text string) {
		key, err := keyfile.Parse(text)
		if err != nil || strings.ContainsAny(key.Name, `\"`) {
			return
		}
		again, err := keyfile.Parse(keyfile.Format(key))
		require.NoError(t, err)
		require.Equal(t, key, again)
	})
}
