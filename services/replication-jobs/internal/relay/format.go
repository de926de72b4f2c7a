package relay

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// A file begins with the magic and a frame that holds a head as JSON; frames with an event each follow. A frame is the length of what it
// holds, a checksum of that, both in 4 bytes of little endian, and the thing itself.
const (
	magic      = "opsdeck relay 1\n"
	frameBytes = 8
	maxHead    = 1 << 20
	// eventBytes is the length of an event's own header; sizeOffset is where that says how long the event is.
	eventBytes = replication.EventHeaderSize
	sizeOffset = 9
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is returned where a file does not hold what was written.
var errDamaged = errors.New("the file is damaged")

// head says where a file begins.
type head struct {
	Version string // of the server
	File    string
	Offset  uint32
	GTIDSet string
}

func headOf(version string, at mysql.Position) head {
	return head{Version: version, File: at.File, Offset: at.Offset, GTIDSet: at.GTIDSet}
}

func (h head) position() mysql.Position {
	return mysql.Position{File: h.File, Offset: h.Offset, GTIDSet: h.GTIDSet}
}

// frame is what stands before the bytes of an event.
func frame(payload []byte) (f [frameBytes]byte) {
	binary.LittleEndian.PutUint32(f[:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(f[4:], crc32.Checksum(payload, castagnoli))
	return f
}

// encode returns the beginning of a file.
func (h head) encode() ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("write the head of a relay log file: %w", err)
	}
	f := frame(text)
	return slices.Concat([]byte(magic), f[:], text), nil
}

// readHead reads the beginning of a file, and returns its length.
func readHead(r io.Reader) (head, int64, error) {
	var h head
	start := make([]byte, len(magic)+frameBytes)
	if _, err := io.ReadFull(r, start); err != nil {
		return h, 0, torn(err)
	}
	f := start[len(magic):]
	length := binary.LittleEndian.Uint32(f)
	if string(start[:len(magic)]) != magic || length > maxHead {
		return h, 0, errDamaged
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, 0, torn(err)
	}
	if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(f[4:]) {
		return h, 0, errDamaged
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, 0, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return h, int64(len(start) + len(text)), nil
}

// readEvent reads the next event. It returns io.EOF behind the last one and errDamaged where none was written; other errors are those of r.
func readEvent(r io.Reader) ([]byte, error) {
	var start [frameBytes + eventBytes]byte
	if n, err := io.ReadFull(r, start[:]); err != nil {
		if n == 0 {
			return nil, err
		}
		return nil, torn(err)
	}
	length := binary.LittleEndian.Uint32(start[:])
	event := start[frameBytes:]
	// The event says itself how long it is: no memory is asked for on the word of a damaged frame.
	if length < uint32(eventBytes) || length != binary.LittleEndian.Uint32(event[sizeOffset:]) {
		return nil, errDamaged
	}
	raw, err := readRest(r, event, int64(length))
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(raw, castagnoli) != binary.LittleEndian.Uint32(start[4:]) {
		return nil, errDamaged
	}
	return raw, nil
}

// step is how much memory is asked for before the bytes are there.
const step = 1 << 20

// readRest returns an event whose first bytes are known.
func readRest(r io.Reader, first []byte, length int64) ([]byte, error) {
	raw := append(make([]byte, 0, min(length, step)), first...)
	for rest := length - int64(len(raw)); rest > 0; rest = length - int64(len(raw)) {
		more := int(min(rest, max(step, int64(len(raw)))))
		at := len(raw)
		raw = append(raw, make([]byte, more)...)
		if _, err := io.ReadFull(r, raw[at:]); err != nil {
			return nil, torn(err)
		}
	}
	return raw, nil
}

// torn is the error of a file that ends too early.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDamaged
	}
	return err
}
