package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// SSLMode says whether connections are encrypted, in the words of the servers' own clients.
type SSLMode string

// The modes. The empty one is SSLPreferred.
const (
	// SSLPreferred encrypts where the server offers it, without a look at its certificate.
	SSLPreferred SSLMode = "preferred"
	SSLDisabled  SSLMode = "disabled"
	// SSLRequired encrypts, without a look at the certificate: it keeps out who listens, not who stands in between.
	SSLRequired SSLMode = "required"
	// SSLVerifyCA wants a certificate of a trusted authority, SSLVerifyIdentity one for the server's host name.
	SSLVerifyCA       SSLMode = "verify-ca"
	SSLVerifyIdentity SSLMode = "verify-identity"
)

// verifies reports whether the server must show a certificate of a trusted authority.
func (m SSLMode) verifies() bool { return m == SSLVerifyCA || m == SSLVerifyIdentity }

// SSL says how connections to a server are encrypted.
type SSL struct {
	Mode SSLMode
	// CA is PEM of the authorities to trust, "" for those of the system.
	CA string
}

// Check refuses settings that cannot work.
func (s SSL) Check() error {
	if s.CA == "" {
		return nil
	}
	if !s.Mode.verifies() {
		return fmt.Errorf("has no meaning with the mode %q: choose %s or %s", s.Mode, SSLVerifyCA, SSLVerifyIdentity)
	}
	_, err := s.roots()
	return err
}

// roots are the authorities to trust, nil for those of the system.
func (s SSL) roots() (*x509.CertPool, error) {
	if s.CA == "" {
		return nil, nil //nolint:nilnil // documented, and what crypto/tls takes it for
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(s.CA)) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return roots, nil
}

// TLS returns how to encrypt connections to the server, nil for not at all.
func (c Config) TLS() (*tls.Config, error) {
	if c.SSL.Mode == SSLDisabled {
		return nil, nil //nolint:nilnil // documented
	}
	roots, err := c.SSL.roots()
	if err != nil {
		return nil, &Error{Sentence: "mysql_ssl_ca of " + c.Addr() + " " + err.Error(), Permanent: true}
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.Host, RootCAs: roots}
	if c.SSL.Mode == SSLVerifyIdentity {
		return settings, nil
	}
	settings.InsecureSkipVerify = true // the mode says so; what it does verify is below
	if c.SSL.Mode == SSLVerifyCA {
		settings.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots) }
	}
	return settings, nil
}

// verifyChain verifies the server's certificate for any name.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
