package mysqltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority signs certificates of servers.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority returns an authority that nobody trusts yet.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{certificate: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der := a.sign(t, a.certificate, nil)
	var err error
	a.certificate, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return a
}

// sign makes a certificate with a new key, which into gets; nil makes the authority's own.
func (a *Authority) sign(t testing.TB, template *x509.Certificate, into **ecdsa.PrivateKey) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	if into == nil {
		into = &a.key
	}
	*into = key
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	require.NoError(t, err)
	return der
}

// PEM is the certificate of the authority itself.
func (a *Authority) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

// Pair is the certificate of a server with these names, with its key.
func (a *Authority) Pair(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	var key *ecdsa.PrivateKey
	der := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a server"}, NotAfter: time.Now().Add(time.Hour), DNSNames: names,
	}, &key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Serve writes the certificate of a server with these names into files, and returns the server's options for them.
func (a *Authority) Serve(t testing.TB, names ...string) []string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))               //nolint:gosec // the server has an account of its own
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) //nolint:gosec // see above
	p := a.Pair(t, names...)
	secret, err := x509.MarshalPKCS8PrivateKey(p.PrivateKey)
	require.NoError(t, err)
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o644)) //nolint:gosec // see above
		return path
	}
	return []string{
		"--ssl-cert=" + write("cert.pem", "CERTIFICATE", p.Certificate[0]), "--ssl-key=" + write("key.pem", "PRIVATE KEY", secret),
		"--ssl-ca=" + write("ca.pem", "CERTIFICATE", a.certificate.Raw),
	}
}
