package rndc

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"strings"

	"github.com/miekg/dns"

	"github.com/opsdeck/opsdeck/services/dns/internal/keyfile"
)

// Kinds of values.
const (
	kindText  = 1
	kindTable = 2
)

const (
	macKey   = "hsha" // field of _auth with a MAC of the HMAC-SHA family
	macSize  = 89     // bytes of its value: the algorithm and 88 of base64, padded with zeros
	maxDepth = 4
)

var errMalformed = errors.New("control channel of named: malformed answer")

// macs are the algorithms, with their number in the protocol.
var macs = map[string]struct {
	number byte
	hash   func() hash.Hash
}{
	dns.HmacSHA256: {163, sha256.New}, dns.HmacSHA384: {164, sha512.New384}, dns.HmacSHA512: {165, sha512.New},
}

type field struct{ key, value string }

// table holds the decoded fields: text as []byte, tables as table; lists, which no answer that is read here has, are left out.
type table map[string]any

// text returns the text at a path of keys, "" when there is none.
func (t table) text(path ...string) string {
	for _, key := range path[:len(path)-1] {
		t, _ = t[key].(table)
	}
	text, _ := t[path[len(path)-1]].([]byte)
	return string(text)
}

func appendField(b []byte, key string, kind byte, value []byte) []byte {
	b = append(b, byte(len(key)))
	b = append(b, key...)
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

func appendTable(b []byte, key string, fields []field) []byte {
	var inner []byte
	for _, f := range fields {
		inner = appendField(inner, f.key, kindText, []byte(f.value))
	}
	return appendField(b, key, kindTable, inner)
}

// cutField takes the first field off b.
func cutField(b []byte) (key string, kind byte, value, rest []byte, err error) {
	size := func(n int) bool { return len(b) >= n }
	if !size(1) || !size(1+int(b[0])+5) {
		return "", 0, nil, nil, errMalformed
	}
	key, b = string(b[1:1+int(b[0])]), b[1+int(b[0]):]
	kind, n := b[0], binary.BigEndian.Uint32(b[1:5])
	if b = b[5:]; uint64(n) > uint64(len(b)) {
		return "", 0, nil, nil, errMalformed
	}
	return key, kind, b[:n], b[n:], nil
}

func decode(b []byte, depth int) (table, error) {
	if depth > maxDepth {
		return nil, errMalformed
	}
	t := table{}
	for len(b) > 0 {
		key, kind, value, rest, err := cutField(b)
		if err != nil {
			return nil, err
		}
		switch kind {
		case kindText:
			t[key] = value
		case kindTable:
			if t[key], err = decode(value, depth+1); err != nil {
				return nil, err
			}
		}
		b = rest
	}
	return t, nil
}

// mac returns the value of the field that authenticates body.
func mac(key keyfile.Key, body []byte) []byte {
	algorithm := macs[key.Algorithm]
	h := hmac.New(algorithm.hash, key.Secret)
	h.Write(body)
	value := make([]byte, macSize)
	value[0] = algorithm.number
	base64.StdEncoding.Encode(value[1:], h.Sum(nil))
	return value
}

// seal puts length, version and MAC in front of a body.
func seal(key keyfile.Key, body []byte) []byte {
	auth := appendField(nil, "_auth", kindTable, appendField(nil, macKey, kindText, mac(key, body)))
	message := binary.BigEndian.AppendUint32(nil, uint32(4+len(auth)+len(body)))
	message = binary.BigEndian.AppendUint32(message, version)
	return append(append(message, auth...), body...)
}

// open checks the MAC of an answer and decodes it.
func open(key keyfile.Key, message []byte) (table, error) {
	name, kind, value, body, err := cutField(message)
	if err != nil || name != "_auth" || kind != kindTable {
		return nil, errMalformed
	}
	auth, err := decode(value, 0)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(padless(auth.text(macKey)), padless(string(mac(key, body)))) {
		return nil, errors.New("control channel of named: the answer is not signed with our key")
	}
	return decode(body, 0)
}

// padless cuts what fills a MAC up: zeros, and the equals signs of base64, which named leaves out.
func padless(mac string) []byte { return []byte(strings.TrimRight(mac, "=\x00")) }
