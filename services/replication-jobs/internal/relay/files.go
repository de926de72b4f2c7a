package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/go-mysql-org/go-mysql/replication"
)

// suffix is how the names of a log's files end.
const suffix = ".relay"

// acquire takes the lock of a log, which ends with the process.
func acquire(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is the operator's setting and a checked name
	if err != nil {
		return nil, fmt.Errorf("open a relay log: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another run of the job: %w", path, err), lock.Close())
	}
	return lock, nil
}

// syncDir makes the names of new files durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // as above
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// artificial is the flag of events that are in no file of the source.
const artificial = 0x20

// rotation is an event that says in which file of the source the next ones stand.
func rotation(file string) []byte {
	const start = 4 // of the first event in a file
	raw := make([]byte, eventBytes+8, eventBytes+8+len(file))
	raw[4] = byte(replication.ROTATE_EVENT)
	binary.LittleEndian.PutUint32(raw[sizeOffset:], uint32(eventBytes+8+len(file)))
	binary.LittleEndian.PutUint16(raw[17:], artificial)
	binary.LittleEndian.PutUint64(raw[eventBytes:], start)
	return append(raw, file...)
}
