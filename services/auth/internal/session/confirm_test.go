package session

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/authn"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/auth/internal/password"
)

func admin(t *testing.T) context.Context {
	t.Helper()
	return authn.WithPrincipal(t.Context(), authn.Principal{Tenant: "platform", User: "admin"})
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	server := NewServer(b.cfg)
	require.NoError(t, server.Confirm(admin(t), adminSecret))
	nobody := authn.WithPrincipal(t.Context(), authn.Principal{Tenant: "platform", User: "nobody"})
	requireRefusal(t, server.Confirm(nobody, adminSecret), codes.Unauthenticated, "SESSION_ENDED")
	for range maxFailures {
		requireRefusal(t, server.Confirm(admin(t), "a wrong guess"), codes.PermissionDenied, "PASSWORD_WRONG")
	}
	requireRefusal(t, server.Confirm(admin(t), adminSecret), codes.ResourceExhausted, "ACCOUNT_LOCKED")
	_, err := b.login(t, right())
	requireRefusal(t, err, codes.ResourceExhausted, "ACCOUNT_LOCKED")
	b.pass(lockDuration)
	require.NoError(t, server.Confirm(admin(t), adminSecret))
}

func TestNewPasswordsAreJudged(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(c *Config) { c.Policy = password.Policy{MinLength: 8, MinClasses: 3} })
	server := NewServer(b.cfg)
	_, err := server.Hash(admin(t), "password", "weak")
	requireRefusal(t, err, codes.InvalidArgument, "PASSWORD_WEAK")
	hash, err := server.Hash(admin(t), "password", "Strong-1")
	require.NoError(t, err)
	ok, stale, err := b.cfg.Passwords.Check(t.Context(), "Strong-1", hash)
	require.NoError(t, err)
	require.True(t, ok && !stale)
}

func TestNewPasswordsAreEncrypted(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 1024) // the size in the documents' examples
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rsa.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	require.NoError(t, os.WriteFile(path, text, 0o600))
	loaded, err := secret.LoadRSA(path)
	require.NoError(t, err)
	b := newBundle(t, func(c *Config) { c.RSA, c.Policy = loaded, password.Policy{MinLength: 8, MinClasses: 3} })
	server := NewServer(b.cfg)
	encrypt := func(password string) string {
		//nolint:staticcheck // the documents prescribe PKCS#1 v1.5
		ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte(password))
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(ciphertext)
	}
	require.NoError(t, server.Confirm(admin(t), encrypt(adminSecret)))
	_, err = server.Hash(admin(t), "password", encrypt("weak"))
	requireRefusal(t, err, codes.InvalidArgument, "PASSWORD_WEAK")
	hash, err := server.Hash(admin(t), "password", encrypt("Strong-1"))
	require.NoError(t, err)
	ok, _, err := b.cfg.Passwords.Check(t.Context(), "Strong-1", hash)
	require.NoError(t, err)
	require.True(t, ok)

	_, err = server.Hash(admin(t), "password", "Strong-1")
	requireRefusal(t, err, codes.InvalidArgument, "PASSWORD_UNREADABLE")
	require.Zero(t, b.count(t, `SELECT count(*) FROM auth.login_attempts WHERE cardinality(failures) > 0`), "everybody sees that it is no ciphertext")
	for range maxFailures {
		_, err = server.Hash(admin(t), "password", base64.StdEncoding.EncodeToString(make([]byte, 128)))
		requireRefusal(t, err, codes.InvalidArgument, "PASSWORD_UNREADABLE")
	}
	_, err = server.Hash(admin(t), "password", encrypt("Strong-1"))
	requireRefusal(t, err, codes.ResourceExhausted, "ACCOUNT_LOCKED")
}
