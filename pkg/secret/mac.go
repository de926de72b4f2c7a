package secret

import (
	"crypto/hmac"
	"crypto/sha256"
)

// macLabel keeps the keys of MAC apart from those of Seal, from which they are derived (HKDF, RFC 5869).
const macLabel = "opsdeck/secret/mac"

// MAC returns a keyed hash (HMAC-SHA-256, 32 bytes) under the newest key, by which a random secret that comes back can be found
// without being stored. Who reads the database can neither use nor guess it. The context is as with Seal: a hash made
// for one kind of secret is none of another.
func (s *Sealer) MAC(value, context string) []byte { return mac(s.macs[0], value, context) }

// MACs returns the hashes under every key, newest first: what was hashed before a key was added is found by an older one.
func (s *Sealer) MACs(value, context string) [][]byte {
	hashes := make([][]byte, len(s.macs))
	for i, key := range s.macs {
		hashes[i] = mac(key, value, context)
	}
	return hashes
}

// mac hashes the context and the value with a zero byte between them, which no context holds.
func mac(key []byte, value, context string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(context))
	h.Write([]byte{0})
	h.Write([]byte(value))
	return h.Sum(nil)
}
