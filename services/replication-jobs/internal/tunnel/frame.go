package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// A frame travels as its number in its direction (8 bytes, big endian, from 0) and, sealed, one byte of kind and the body.
const (
	kindGreet  byte = iota + 1 // a node wants a connection
	kindDial                   // connect to the database; the body is one byte, the number of its address
	kindReady                  // connected
	kindData                   // bytes of the connection
	kindPacked                 // the same, compressed with zstd
	kindCredit                 // 4 bytes, big endian: so much more may be sent
	kindPing                   // the sender lives
	kindClose                  // the connection ended; the body says why, or is empty after an orderly end
)

const (
	maxChunk    = 64 << 10  // bytes of the connection in one frame
	maxReason   = 1 << 10   // bytes of why a connection ended
	maxUnpacked = 256 << 10 // memory that unpacking one frame may take: a frame that asks for more is no frame of ours
	worthwhile  = 128       // shorter data is not compressed
	overhead    = 8 + 1 + 16
)

type frame struct {
	kind byte
	body []byte
}

var (
	packer   = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(maxChunk)))
	unpacker = must(zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderConcurrency(0)))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // only wrong constants
	}
	return v
}

// parse reads what was sealed, and unpacks data: the frame's kind is never kindPacked.
func parse(plain []byte) (frame, error) {
	if len(plain) == 0 {
		return frame{}, errors.New("a frame is empty")
	}
	f := frame{kind: plain[0], body: plain[1:]}
	if f.kind == kindPacked {
		body, err := unpacker.DecodeAll(f.body, nil)
		if err != nil {
			return frame{}, fmt.Errorf("unpack a frame: %w", err)
		}
		f = frame{kind: kindData, body: body}
	}
	size := len(f.body)
	var fits bool
	switch f.kind {
	case kindGreet, kindReady, kindPing:
		fits = size == 0
	case kindDial:
		fits = size == 1
	case kindData:
		fits = size > 0 && size <= maxChunk
	case kindCredit:
		fits = size == 4
	case kindClose:
		fits = size <= maxReason
	default:
		return frame{}, fmt.Errorf("a frame has the unknown kind %d", f.kind)
	}
	if !fits {
		return frame{}, fmt.Errorf("a frame of kind %d has %d bytes", f.kind, size)
	}
	return f, nil
}

// data packs bytes of the connection, if that makes them fewer.
func data(raw []byte) frame {
	if len(raw) >= worthwhile {
		if packed := packer.EncodeAll(raw, nil); len(packed) < len(raw) {
			return frame{kind: kindPacked, body: packed}
		}
	}
	return frame{kind: kindData, body: raw}
}

func credit(n int) frame {
	return frame{kind: kindCredit, body: binary.BigEndian.AppendUint32(nil, uint32(n))}
}

// closing tells the other node why the connection ended.
func closing(err error) frame {
	reason := err.Error()
	return frame{kind: kindClose, body: []byte(reason[:min(len(reason), maxReason)])}
}
