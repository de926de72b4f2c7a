package secret

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func rsaFile(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rsa.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

func encrypt(t *testing.T, key *rsa.PrivateKey, text string) []byte {
	t.Helper()
	//nolint:staticcheck // what the documents prescribe is what is tested
	ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte(text))
	require.NoError(t, err)
	return ciphertext
}

func TestRSADecrypt(t *testing.T) {
	t.Parallel()
	key := rsaKey(t, 1024) // the size in the documents' examples
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for _, path := range []string{
		rsaFile(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
		rsaFile(t, "PRIVATE KEY", pkcs8),
	} {
		loaded, err := LoadRSA(path)
		require.NoError(t, err)
		text := base64.StdEncoding.EncodeToString(encrypt(t, key, "päss word"))
		require.Len(t, text, 172)
		got, err := loaded.Decrypt(text)
		require.NoError(t, err)
		require.Equal(t, "päss word", got)
	}
}

func TestRSADecryptRefuses(t *testing.T) {
	t.Parallel()
	key, other := rsaKey(t, 1024), rsaKey(t, 1024)
	loaded, err := LoadRSA(rsaFile(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)))
	require.NoError(t, err)
	tampered := encrypt(t, key, "secret")
	tampered[20] ^= 1
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"plain text":              {"admin", ErrNotEncrypted},
		"empty":                   {"", ErrNotEncrypted},
		"cut short":               {base64.StdEncoding.EncodeToString(encrypt(t, key, "secret")[1:]), ErrNotEncrypted},
		"tampered with":           {base64.StdEncoding.EncodeToString(tampered), ErrUnreadable},
		"for another key":         {base64.StdEncoding.EncodeToString(encrypt(t, other, "secret")), ErrUnreadable},
		"larger than the modulus": {base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 128)), ErrUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := loaded.Decrypt(c.text)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestLoadRSARefuses(t *testing.T) {
	t.Parallel()
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ed, err := x509.MarshalPKCS8PrivateKey(edKey)
	require.NoError(t, err)
	open := rsaFile(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey(t, 1024)))
	require.NoError(t, os.Chmod(open, 0o644))
	for name, c := range map[string]struct{ path, says string }{
		"missing":        {filepath.Join(t.TempDir(), "none"), "no such file"},
		"no PEM":         {keyFile(t, "hello", 0o600), "holds no PEM block"},
		"a certificate":  {rsaFile(t, "CERTIFICATE", []byte("x")), `"CERTIFICATE"`},
		"damaged":        {rsaFile(t, "RSA PRIVATE KEY", []byte("x")), "asn1"},
		"another kind":   {rsaFile(t, "PRIVATE KEY", ed), "want RSA"},
		"open to others": {open, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := LoadRSA(c.path)
			require.ErrorContains(t, err, c.says)
		})
	}
}
