package secret

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// ErrNotEncrypted is returned for a text that cannot be a ciphertext of the key: it is not base64, or has another length.
// Anybody can tell that without the private key, so it may be told apart from ErrUnreadable.
var ErrNotEncrypted = errors.New("the value is not encrypted with the server's RSA key")

// ErrUnreadable is returned for a ciphertext that does not decrypt. Whoever answers strangers must not let them tell it from
// a wrong password: knowing which ciphertexts have good padding is enough to decrypt others (Bleichenbacher's attack).
var ErrUnreadable = errors.New("the value does not decrypt with the server's RSA key")

// RSA decrypts passwords that clients encrypted with RSA PKCS#1 v1.5 and wrote in base64, as the documents want it.
type RSA struct{ key *rsa.PrivateKey }

// LoadRSA reads a private key of at least 1024 bits from a PEM file, PKCS#1 or PKCS#8. A file that others may read is refused.
func LoadRSA(path string) (*RSA, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("RSA key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("RSA key file %s has mode %04o: others can read it; run chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's setting
	if err != nil {
		return nil, fmt.Errorf("RSA key file: %w", err)
	}
	key, err := parseRSA(text)
	if err != nil {
		return nil, fmt.Errorf("RSA key file %s: %w", path, err)
	}
	return &RSA{key}, nil
}

// Decrypt returns the text that a client encrypted. Errors: ErrNotEncrypted, ErrUnreadable.
func (r *RSA) Decrypt(base64text string) (string, error) {
	ciphertext, err := base64.StdEncoding.DecodeString(base64text)
	if err != nil || len(ciphertext) != r.key.Size() {
		return "", fmt.Errorf("%w: want RSA PKCS#1 v1.5 of %d bytes in base64", ErrNotEncrypted, r.key.Size())
	}
	//nolint:staticcheck // the documents prescribe PKCS#1 v1.5; see ErrUnreadable for what makes it bearable
	plaintext, err := rsa.DecryptPKCS1v15(nil, r.key, ciphertext)
	if err != nil {
		return "", ErrUnreadable
	}
	return string(plaintext), nil
}

func parseRSA(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("holds no PEM block")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		key, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("holds a key of type %T, want RSA", parsed)
		}
		return key, nil
	}
	return nil, fmt.Errorf("holds a PEM block %q, want RSA PRIVATE KEY or PRIVATE KEY", block.Type)
}
