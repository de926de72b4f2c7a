// Package secret seals values with AES-256-GCM under keys that are kept in a file, so that passwords and
// private keys reach the database only as ciphertext.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

const (
	keySize = 32
	idSize  = 4
	format  = 1 // first byte of a sealed value
)

// ErrSealed is returned by Open for a value that is damaged, was sealed for another context, or under a key
// that is not in the key file.
var ErrSealed = errors.New("the sealed value cannot be opened")

type keyID [idSize]byte

// Sealer seals under its newest key and opens under any of its keys.
type Sealer struct {
	newest keyID
	keys   map[keyID]cipher.AEAD
	macs   [][]byte // keys of MAC, newest first
}

// Load reads a key file: one base64 key of 32 bytes per line, newest first; empty lines and lines that start
// with # are skipped. A file that others may read is refused.
func Load(path string) (*Sealer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("sealing key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("sealing key file %s has mode %04o: others can read it; run chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's setting
	if err != nil {
		return nil, fmt.Errorf("sealing key file: %w", err)
	}
	s, err := parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("sealing key file %s: %w", path, err)
	}
	return s, nil
}

// Generate writes a new key file with one random key, readable by its owner only; an existing file is kept and
// reported as an error.
func Generate(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the path is the operator's setting
	if err != nil {
		return fmt.Errorf("new sealing key file: %w", err)
	}
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: it ends the process instead
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(key))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("new sealing key file: %w", err)
	}
	return nil
}

// Seal encrypts plaintext with the newest key. The context says where the value belongs, for example
// "replication.job/<id>/src": a value copied to another place does not open there.
func (s *Sealer) Seal(plaintext []byte, context string) ([]byte, error) {
	aead := s.keys[s.newest]
	head := 1 + idSize + aead.NonceSize()
	out := make([]byte, head, head+len(plaintext)+aead.Overhead())
	out[0] = format
	copy(out[1:], s.newest[:])
	if _, err := rand.Read(out[1+idSize:]); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead.Seal(out, out[1+idSize:head], plaintext, []byte(context)), nil //nolint:gosec // the nonce was read from crypto/rand above
}

// Open decrypts what Seal made for the same context.
func (s *Sealer) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) < 1+idSize || sealed[0] != format {
		return nil, fmt.Errorf("%w: not a sealed value of format %d", ErrSealed, format)
	}
	id := keyID(sealed[1 : 1+idSize])
	aead, ok := s.keys[id]
	if !ok {
		return nil, fmt.Errorf("%w: its key %x is not in the key file", ErrSealed, id)
	}
	rest := sealed[1+idSize:]
	if len(rest) < aead.NonceSize() {
		return nil, fmt.Errorf("%w: cut short", ErrSealed)
	}
	plaintext, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], []byte(context))
	if err != nil {
		return nil, fmt.Errorf("%w: damaged, or sealed for another place than %q", ErrSealed, context)
	}
	return plaintext, nil
}

func parse(text string) (*Sealer, error) {
	s := &Sealer{keys: map[keyID]cipher.AEAD{}}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		// The error must not quote the line: it holds a key.
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) != keySize {
			return nil, fmt.Errorf("line %d is not a key: want %d bytes in base64", n, keySize)
		}
		if err := s.add(key); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if len(s.keys) == 0 {
		return nil, errors.New("holds no key")
	}
	return s, nil
}

func (s *Sealer) add(key []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(key)
	id := keyID(sum[:idSize])
	if _, ok := s.keys[id]; ok {
		return fmt.Errorf("key %x is listed twice", id)
	}
	if len(s.keys) == 0 {
		s.newest = id
	}
	s.keys[id] = aead
	mac, err := hkdf.Key(sha256.New, key, nil, macLabel, keySize)
	s.macs = append(s.macs, mac)
	return err
}
