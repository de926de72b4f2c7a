package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const version = "10.11.6-MariaDB"

// event is one as a source would send it, that ends at an offset of its file.
func event(kind replication.EventType, ends uint32, body ...byte) []byte {
	raw := make([]byte, eventBytes)
	binary.LittleEndian.PutUint32(raw, 1700000000)
	raw[4] = byte(kind)
	binary.LittleEndian.PutUint32(raw[5:], 1)
	binary.LittleEndian.PutUint32(raw[sizeOffset:], uint32(eventBytes+len(body)))
	binary.LittleEndian.PutUint32(raw[13:], ends)
	return append(raw, body...)
}

func format() []byte {
	body := binary.LittleEndian.AppendUint16(nil, 4)
	body = append(body, make([]byte, 50)...)
	copy(body[2:], version)
	body = append(body, 0, 0, 0, 0, byte(eventBytes))
	body = append(body, make([]byte, 164)...)
	return event(replication.FORMAT_DESCRIPTION_EVENT, 256, append(body, 0, 0, 0, 0, 0)...) // no checksum
}

// transaction is the n-th one, with a rows event of a size. It ends at the offset 1000 (n + 1).
func transaction(n, size int) [][]byte {
	at := uint32(1000 * n)
	gtid := binary.LittleEndian.AppendUint64(nil, uint64(n))
	gtid = append(binary.LittleEndian.AppendUint32(gtid, 0), 0)
	rows := bytes.Repeat([]byte{byte(n)}, size)
	return [][]byte{
		event(replication.MARIADB_GTID_EVENT, at+100, gtid...),
		event(replication.WRITE_ROWS_EVENTv1, at+900, rows...),
		event(replication.XID_EVENT, at+1000, 1, 2, 3, 4, 5, 6, 7, 8),
	}
}

func position(n int) mysql.Position {
	return mysql.Position{File: "bin.000001", Offset: uint32(1000 * (n + 1)), GTIDSet: fmt.Sprintf("0-1-%d", n)}
}

// said are the events that a log tells.
type said chan string

func options(dir string, maxBytes int64) (Options, said) {
	heard := make(said, 100)
	return Options{
		Store: Store{Dir: dir}, Incarnation: "one", MaxBytes: maxBytes, Logger: zap.NewNop(),
		Event: func(_, message string) { heard <- message },
	}, heard
}

func open(t *testing.T, dir string) *Log {
	t.Helper()
	opt, _ := options(dir, 8<<20)
	l, err := Open(opt)
	require.NoError(t, err)
	return l
}

// written is a log of transactions 1 to n, with rows events of a size.
func written(t *testing.T, dir string, n, size int) *Log {
	t.Helper()
	l := open(t, dir)
	require.NoError(t, l.Reset(position(0), version))
	l.put(t, rotation("bin.000001"), format())
	for i := range n {
		l.put(t, transaction(i+1, size)...)
	}
	return l
}

func (l *Log) put(t *testing.T, events ...[]byte) {
	t.Helper()
	for _, e := range events {
		_, err := l.add(e)
		require.NoError(t, err)
	}
}

var errEnough = errors.New("enough")

// read returns the numbers of the transactions behind a position, as long as they come whole, and why that ended.
func (l *Log) read(ctx context.Context, from mysql.Position, most int) (numbers []int, err error) {
	if most == 0 {
		return nil, nil
	}
	var now int
	err = l.Behind(from).Read(ctx, func(raw []byte) error {
		switch replication.EventType(raw[4]) {
		case replication.MARIADB_GTID_EVENT:
			now = int(binary.LittleEndian.Uint64(raw[eventBytes:]))
		case replication.XID_EVENT:
			if numbers = append(numbers, now); len(numbers) == most {
				return errEnough
			}
		}
		return nil
	})
	return numbers, err
}

func upTo(n int) []int {
	all := []int{}
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

func (l *Log) requireHolds(t *testing.T, n int) {
	t.Helper()
	require.Equal(t, position(n), l.End())
	numbers, err := l.read(t.Context(), position(0), n)
	if n > 0 {
		require.ErrorIs(t, err, errEnough)
		require.Equal(t, upTo(n), numbers)
	}
}

// files are those of a log, as they are on the disk.
func files(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "one", "*.relay"))
	require.NoError(t, err)
	return all
}

// TestDamage: what stands before a damaged place is read, the rest is downloaded again.
func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := written(t, dir, 30, 200<<10)
	require.Greater(t, len(files(t, dir)), 4)
	second := files(t, dir)[1]
	content, err := os.ReadFile(second)
	require.NoError(t, err)
	content[len(content)-300] ^= 4
	require.NoError(t, os.WriteFile(second, content, 0o600))
	numbers, err := l.read(t.Context(), position(0), 30)
	require.ErrorContains(t, err, second)
	require.ErrorContains(t, err, "is damaged at byte")
	require.NotEmpty(t, numbers)
	require.Less(t, len(numbers), 15)
	require.NoError(t, l.Close())
	require.Len(t, files(t, dir), 2)

	l = open(t, dir)
	l.requireHolds(t, len(numbers))
	require.NoError(t, l.Close())
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := written(t, dir, 40, 100<<10)
	all := len(files(t, dir))
	require.Greater(t, all, 3)
	_, err := Open(l.opt)
	require.ErrorContains(t, err, "in use by another run")
	l.requireHolds(t, 40)

	// Reading begins anywhere.
	for n := range 40 {
		numbers, err := l.read(t.Context(), position(n), 40-n)
		require.ErrorIs(t, err, errEnough)
		require.Equal(t, upTo(40)[n:], numbers)
		l.requireHeld(t, true, position(n))
		require.Equal(t, n < 40, l.Exceeds(position(n)))
	}
	require.False(t, l.Exceeds(position(40)))
	l.requireHeld(t, true, position(40))
	l.requireHeld(t, false, position(41)) // it is not there yet

	// What is applied is deleted file by file, and the rest is there after a restart.
	require.NoError(t, l.trim(position(20)))
	require.Less(t, len(files(t, dir)), all)
	l.requireHeld(t, true, position(20))
	l.requireHeld(t, false, position(1))
	require.NoError(t, l.Close())
	l = open(t, dir)
	numbers, err := l.read(t.Context(), position(20), 20)
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, upTo(40)[20:], numbers)
	_, err = l.read(t.Context(), position(0), 1)
	require.ErrorContains(t, err, "does not reach back")

	// A later file without the one before it is of no use.
	require.NoError(t, l.Close())
	left := files(t, dir)
	require.Greater(t, len(left), 2)
	require.NoError(t, os.Remove(left[1]))
	l = open(t, dir)
	require.Len(t, files(t, dir), 1)
	require.Less(t, int(l.End().Offset), 40000)

	require.NoError(t, l.Reset(position(50), version))
	require.Len(t, files(t, dir), 1)
	require.Equal(t, position(50), l.End())
	require.NoError(t, l.Close())
	stores, err := Store{Dir: dir}.List()
	require.NoError(t, err)
	require.Equal(t, []string{"one"}, stores)
	for _, name := range []string{"", ".", "..", "../one", "a/b"} {
		require.Error(t, Store{Dir: dir}.Remove(name))
	}
	require.NoError(t, Store{Dir: dir}.Remove("one"))
	require.NoError(t, Store{Dir: dir}.Remove("one"))
	require.NoDirExists(t, filepath.Join(dir, "one"))
	stores, err = Store{Dir: filepath.Join(dir, "none")}.List()
	require.NoError(t, err)
	require.Empty(t, stores)
}

func TestReaderWaits(t *testing.T) {
	t.Parallel()
	l := written(t, t.TempDir(), 1, 10)
	done := make(chan []int)
	go func() {
		numbers, err := l.read(t.Context(), position(0), 3)
		if !errors.Is(err, errEnough) {
			numbers = nil
		}
		done <- numbers
	}()
	l.awaitHungry(t)
	l.put(t, transaction(2, 10)...)
	l.put(t, transaction(3, 10)...)
	require.Equal(t, upTo(3), <-done)

	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error)
	go func() {
		_, err := l.read(ctx, position(3), 1)
		failed <- err
	}()
	l.awaitHungry(t)
	cancel(errEnough)
	require.ErrorIs(t, <-failed, errEnough)
	require.NoError(t, l.Close())
}

func (l *Log) awaitHungry(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.hungry
	}, time.Minute, time.Millisecond)
}
