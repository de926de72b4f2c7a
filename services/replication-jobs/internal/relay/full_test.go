package relay

import (
	"bufio"
	"context"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// small is a file on a disk with room for so many bytes.
type small struct {
	io.Writer

	room int
}

// Write implements io.Writer: what there is room for is written, as by a real disk.
func (s *small) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p[:min(s.room, len(p))])
	if s.room -= n; err == nil && n < len(p) {
		err = &os.PathError{Op: "write", Path: "it", Err: syscall.ENOSPC}
	}
	return n, err
}

// TestFullDisk fills the disk at each place of a transaction: what is whole is read before the reader hears of it, and is what the log goes on from.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	size := frameBytes * 3
	for _, e := range transaction(3, 1000) {
		size += len(e)
	}
	for room := 0; room < size; room += 7 {
		dir := t.TempDir()
		l := written(t, dir, 2, 1000)
		require.NoError(t, l.buffer.Flush())
		l.buffer = bufio.NewWriterSize(&small{l.out, room}, 16)
		var failed error
		for _, e := range transaction(3, 1000) {
			if _, failed = l.add(e); failed != nil {
				break
			}
		}
		if failed == nil {
			failed = l.flush()
		}
		requireFull(t, dir, failed)
		l.failed = failed // as Follow does, which ends there
		numbers, err := l.read(t.Context(), position(0), 3)
		requireFull(t, dir, err)
		require.Equal(t, upTo(2), numbers)
		requireFull(t, dir, l.Close())

		l = open(t, dir)
		require.Equal(t, position(2), l.End())
		l.put(t, transaction(3, 1000)...)
		l.requireHolds(t, 3)
		require.NoError(t, l.Close())
	}
}

// requireFull requires an error that says where the disk is full.
func requireFull(t *testing.T, dir string, err error) {
	t.Helper()
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "the disk of the worker node is full, the relay log cannot grow: "+dir)
	require.ErrorContains(t, err, " holds 0 MiB of relay logs, and its disk has ")
	require.False(t, mysql.Permanent(err), "it goes on by itself")
}

// TestRoom: a full log has the source wait until files are deleted, or the reader waits for more.
func TestRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opt, heard := options(dir, 4<<20)
	l, err := Open(opt)
	require.NoError(t, err)
	require.NoError(t, l.Reset(position(0), version))
	n := 0
	for ; l.Stats().Bytes < opt.MaxBytes; n++ {
		l.put(t, transaction(n+1, 200<<10)...)
	}
	require.Empty(t, heard)
	taken := make(chan error)
	take := func() {
		for _, e := range transaction(n+1, 10) {
			if err := l.take(t.Context(), e); err != nil {
				taken <- err
				return
			}
		}
		n++
		taken <- nil
	}
	go take()
	require.Contains(t, <-heard, "the source has to wait")
	require.Contains(t, l.Stats().Waits, "binlog_relay_max_mib")
	require.NoError(t, l.trim(position(n/2)))
	require.NoError(t, <-taken)
	require.Contains(t, <-heard, "has room again")
	require.Empty(t, l.Stats().Waits)

	// The disk, or the limit of the node, is a reason too; a reader that has read all is let through.
	l.mu.Lock()
	l.tight = "the disk is small"
	l.mu.Unlock()
	go take()
	require.Contains(t, <-heard, "the disk is small")
	ctx, cancel := context.WithCancel(t.Context())
	read := make(chan error)
	go func() {
		_, err := l.read(ctx, l.End(), 2)
		read <- err
	}()
	require.NoError(t, <-taken)
	cancel()
	require.ErrorIs(t, <-read, context.Canceled)
	require.NoError(t, l.Close())

	why, err := Store{Dir: dir, MaxBytes: 1}.tight()
	require.NoError(t, err)
	require.Contains(t, why, "OPSDECK_WORKER_RELAY_MAX_MIB")
}
