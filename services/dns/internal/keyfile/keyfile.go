// Package keyfile reads key clauses in the syntax of named.conf, which is what tsig-keygen and rndc-confgen write:
//
//	key "opsdeck" {
//		algorithm hmac-sha256;
//		secret "base64";
//	};
package keyfile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/pkg/secret"
)

// Key is a shared secret with the name both sides know it by.
type Key struct {
	Name      string // canonical, with a trailing dot: "opsdeck."
	Algorithm string // of the dns package, for instance dns.HmacSHA256
	Secret    []byte
}

// FromSecret returns the hmac-sha256 key of a name and a base64 secret, as they come in a request. The name may be empty, for one that is
// told by the other side. Errors do not quote the secret.
func FromSecret(name string, text secret.Text) (Key, error) {
	key := Key{Algorithm: dns.HmacSHA256}
	if name != "" {
		if _, ok := dns.IsDomainName(name); !ok || name == "." {
			return Key{}, errBadName
		}
		key.Name = dns.CanonicalName(name)
	}
	var err error
	if key.Secret, err = decode(text.Reveal()); err != nil {
		return Key{}, err
	}
	return key, nil
}

var (
	errBadName   = errors.New("the name of the key is no domain name")
	errBadSecret = fmt.Errorf("the secret is not base64 of %d bytes or more", minSecret)
)

func decode(text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < minSecret {
		return nil, errBadSecret
	}
	return raw, nil
}

// String hides the secret.
func (k Key) String() string { return "key " + k.Name }

// GoString hides the secret.
func (k Key) GoString() string { return k.String() }

// algorithms that are accepted, by their name in the file.
var algorithms = map[string]string{"hmac-sha256": dns.HmacSHA256, "hmac-sha384": dns.HmacSHA384, "hmac-sha512": dns.HmacSHA512}

// minSecret is the shortest secret that is accepted, in bytes.
const minSecret = 16

// maxFile is the largest key file, in bytes; a key takes about 100.
const maxFile = 16 << 10

// Read reads the only key of a file.
func Read(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w", err)
	}
	if info.Size() > maxFile {
		return Key{}, fmt.Errorf("key file %s has more than %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's setting
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w", err)
	}
	key, err := Parse(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// Parse reads a text that holds one key clause and nothing else but comments. Errors do not quote it: it holds a secret.
func Parse(text string) (Key, error) {
	p := parser{rest: text}
	var key Key
	p.expect("key")
	name := p.next()
	p.expect("{")
	for p.err == nil && p.peek() != "}" {
		switch p.next() {
		case "algorithm":
			algorithm := strings.ToLower(p.next())
			if key.Algorithm = algorithms[algorithm]; key.Algorithm == "" {
				p.fail("the algorithm is not hmac-sha256, hmac-sha384 or hmac-sha512")
			}
		case "secret":
			var err error
			if key.Secret, err = decode(p.next()); err != nil {
				p.fail(err.Error())
			}
		default:
			p.fail("there is something else than algorithm and secret in the key")
		}
		p.expect(";")
	}
	p.expect("}")
	p.expect(";")
	if p.err == nil && p.peek() != "" {
		p.fail("there is more than one key")
	}
	if _, ok := dns.IsDomainName(name); !ok || name == "" || name == "." {
		p.fail(errBadName.Error())
	}
	if key.Algorithm == "" || key.Secret == nil {
		p.fail("the key has no algorithm or no secret")
	}
	if p.err != nil {
		return Key{}, p.err
	}
	key.Name = dns.CanonicalName(name)
	return key, nil
}

// Format writes a key as Parse reads it.
func Format(k Key) string {
	name := ""
	for text, algorithm := range algorithms {
		if algorithm == k.Algorithm {
			name = text
		}
	}
	return fmt.Sprintf("key %q {\n\talgorithm %s;\n\tsecret %q;\n};\n", strings.TrimSuffix(k.Name, "."), name, base64.StdEncoding.EncodeToString(k.Secret))
}

// parser takes words off a text. After the first error it yields nothing more.
type parser struct {
	rest string
	err  error
}

func (p *parser) fail(text string) {
	if p.err == nil {
		p.err = errors.New(text)
	}
}

func (p *parser) expect(word string) {
	if p.next() != word {
		p.fail(fmt.Sprintf("%q is missing", word))
	}
}

// next takes a word: a quoted string without its quotes, a mark, or anything up to a blank or mark. "" at the end.
func (p *parser) next() string {
	word, rest := p.cut()
	p.rest = rest
	return word
}

func (p *parser) peek() string {
	word, _ := p.cut()
	return word
}

const marks = "{};"

func (p *parser) cut() (word, rest string) {
	text := skipComments(p.rest)
	if p.err != nil || text == "" {
		return "", ""
	}
	if text[0] == '"' {
		if word, rest, ok := strings.Cut(text[1:], `"`); ok {
			return word, rest
		}
		return "", ""
	}
	if strings.ContainsRune(marks, rune(text[0])) {
		return text[:1], text[1:]
	}
	end := strings.IndexAny(text, marks+"\" \t\r\n")
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

// skipComments cuts blanks and comments of the three kinds off the front.
func skipComments(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		closing := "\n"
		switch {
		case strings.HasPrefix(text, "/*"):
			closing = "*/"
		case strings.HasPrefix(text, "//"), strings.HasPrefix(text, "#"):
		default:
			return text
		}
		_, rest, ok := strings.Cut(text, closing)
		if !ok {
			return ""
		}
		text = rest
	}
}
