package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Bounds of what is believed of a stored hash: a damaged row must not make the process ask for all memory.
const (
	maxMemory  = 1 << 20 // KiB
	maxPasses  = 64
	maxThreads = 16
	maxBytes   = 64 // of salt and of key
	minBytes   = 8
)

// encoded is an argon2id hash as it is stored: $argon2id$v=19$m=19456,t=2,p=1$salt$key.
type encoded struct {
	params Params
	salt   []byte
	key    []byte
}

var errFormat = errors.New("the stored password hash is not of the form $argon2id$v=19$m=..,t=..,p=..$salt$key")

func (e encoded) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, e.params.Memory, e.params.Passes,
		e.params.Threads, b64.EncodeToString(e.salt), b64.EncodeToString(e.key))
}

// parse reads the canonical form only: what String writes for the same values.
func parse(text string) (encoded, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 {
		return encoded{}, errFormat
	}
	var e encoded
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &e.params.Memory, &e.params.Passes, &e.params.Threads); err != nil {
		return encoded{}, errFormat
	}
	if err := e.params.Validate(); err != nil {
		return encoded{}, fmt.Errorf("stored password hash: %w", err)
	}
	b64 := base64.RawStdEncoding.Strict()
	var err error
	if e.salt, err = b64.DecodeString(parts[4]); err != nil || !sane(e.salt) {
		return encoded{}, errFormat
	}
	if e.key, err = b64.DecodeString(parts[5]); err != nil || !sane(e.key) {
		return encoded{}, errFormat
	}
	if e.String() != text {
		return encoded{}, errFormat
	}
	return e, nil
}

func sane(b []byte) bool { return len(b) >= minBytes && len(b) <= maxBytes }
