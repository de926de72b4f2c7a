package tunnel

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// KeySize is the size of a route's key in bytes.
const KeySize = 32

const saltSize = 16

// derive makes the cipher of one direction of one connection. Both nodes put in random bytes, so that no key is made twice and the
// number of a frame can be its nonce.
func derive(route Route, direction string, salt []byte) (cipher.AEAD, error) {
	info := fmt.Sprintf("opsdeck tunnel 1 %s %d %s", route.Run, route.Epoch, direction)
	key, err := hkdf.Key(sha256.New, route.Key[:], salt, info, KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a tunnel: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key of a tunnel: %w", err)
	}
	return cipher.NewGCM(block)
}

// sealer encrypts frames in their order. It is not safe for concurrent use.
type sealer struct {
	aead   cipher.AEAD
	number uint64
}

func newSealer(route Route, direction string, salt []byte) (*sealer, error) {
	aead, err := derive(route, direction, salt)
	return &sealer{aead: aead}, err
}

func (s *sealer) seal(f frame) []byte {
	head := binary.BigEndian.AppendUint64(make([]byte, 0, overhead+len(f.body)), s.number)
	plain := append(append(make([]byte, 0, 1+len(f.body)), f.kind), f.body...)
	s.number++
	return s.aead.Seal(head, nonce(head), plain, head)
}

// opener decrypts frames, and takes them in their order only.
type opener struct {
	aead   cipher.AEAD
	number uint64
}

func newOpener(route Route, direction string, salt []byte) (*opener, error) {
	aead, err := derive(route, direction, salt)
	return &opener{aead: aead}, err
}

func (o *opener) open(message []byte) (frame, error) {
	if len(message) < overhead {
		return frame{}, fmt.Errorf("a frame of %d bytes is too short", len(message))
	}
	head := message[:8]
	if number := binary.BigEndian.Uint64(head); number != o.number {
		return frame{}, fmt.Errorf("frame %d came where frame %d was due: frames were lost, repeated or reordered", number, o.number)
	}
	plain, err := o.aead.Open(nil, nonce(head), message[8:], head)
	if err != nil {
		return frame{}, errors.New("a frame was not made with the key of this placement, or was changed on its way")
	}
	o.number++
	return parse(plain)
}

func nonce(head []byte) []byte { return append(make([]byte, 4, 12), head[:8]...) }
