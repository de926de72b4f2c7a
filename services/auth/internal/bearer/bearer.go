// Package bearer makes and reads the secrets that programs and browsers show instead of a JWT.
package bearer

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strings"
)

// Kind is the kind of a session, by what is shown for it.
type Kind string

// The kinds of sessions. Only a JWT is shown for those that a login with a password begins; the others have a secret.
const (
	Password Kind = "password"
	APIToken Kind = "api_token"
	AppKey   Kind = "app_key"
	Cookie   Kind = "cookie"
	Refresh  Kind = "refresh"
)

// prefixes make secrets recognisable, for people and for scanners of sources and logs.
var prefixes = map[Kind]string{APIToken: "opd_", AppKey: "opk_", Cookie: "ops_", Refresh: "opr_"}

const (
	randomBytes = 16 // 128 bits cannot be guessed
	digits      = 40 // hexadecimal ones behind the prefix, as contract 002 prints them
	shown       = 4  // digits of a masked secret
	turnDigits  = 2 * randomBytes
)

// New returns a new secret: a prefix, 128 random bits, and a checksum by which mistyped and made-up ones are told without asking
// the database, all in hexadecimal digits.
func New(k Kind) string {
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the process instead
	return withSum(prefixes[k] + hex.EncodeToString(random[:]))
}

// Valid reports whether a text looks like a secret of a kind. Whether it is one only the database knows.
func Valid(k Kind, text string) bool {
	prefix := prefixes[k]
	if len(text) != len(prefix)+digits || !strings.HasPrefix(text, prefix) || !isHex(text[len(prefix):]) {
		return false
	}
	return withSum(text[:len(text)-8]) == text
}

// Mask hides all but the last digits of a secret.
func Mask(text string) string {
	prefix, rest, _ := strings.Cut(text, "_")
	return prefix + "_" + strings.Repeat("*", len(rest)-shown) + rest[len(rest)-shown:]
}

// Place is the context of a secret's hash (secret.Sealer.MAC): a secret of one kind is none of another.
func (k Kind) Place() string { return "auth.session/" + string(k) }

// NewTurn returns the half of a refresh token that changes with every use.
func NewTurn() string {
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the process instead
	return hex.EncodeToString(random[:])
}

// Join makes a refresh token of the secret of its session and of its turn.
func Join(session, turn string) string { return session + "_" + turn }

// Split takes a refresh token apart. It is false for what does not look like one.
func Split(text string) (session, turn string, ok bool) {
	length := len(prefixes[Refresh]) + digits
	if len(text) != length+1+turnDigits || text[length] != '_' {
		return "", "", false
	}
	session, turn = text[:length], text[length+1:]
	return session, turn, Valid(Refresh, session) && isHex(turn)
}

func withSum(text string) string {
	return text + fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text)))
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }
