package relay

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTornTail opens a log whose file was changed after its last whole transaction, and one that was cut anywhere.
func TestTornTail(t *testing.T) {
	t.Parallel()
	made := t.TempDir()
	l := written(t, made, 3, 9)
	l.put(t, transaction(4, 9)[:2]...) // its end never came
	require.Equal(t, position(3), l.End())
	require.NoError(t, l.Close())
	whole, err := os.ReadFile(files(t, made)[0])
	require.NoError(t, err)

	framed := func(raw []byte) int { return frameBytes + len(raw) }
	length := func(n int) (sum int) {
		for _, e := range transaction(n, 9) {
			sum += framed(e)
		}
		return sum
	}
	tail := framed(transaction(4, 9)[0]) + framed(transaction(4, 9)[1])
	ends := []int{len(whole) - tail - length(3) - length(2) - length(1)} // of the transactions 0 to 3
	for i := range 3 {
		ends = append(ends, ends[i]+length(i+1))
	}
	expected := func(bytes int) (n int) { // of a file of which that much is as it was written
		for n < 3 && ends[n+1] <= bytes {
			n++
		}
		return n
	}
	reopen := func(content []byte) *Log {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "one"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "one", "00000001.relay"), content, 0o600))
		return open(t, dir)
	}
	first := ends[0]
	for cut := first; cut <= len(whole); cut++ {
		l := reopen(whole[:cut])
		l.requireHolds(t, expected(cut))
		require.NoError(t, l.Close())
	}
	for at := first; at < len(whole); at += 3 {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << (at / 3 % 8)
		l := reopen(flipped)
		l.requireHolds(t, expected(at))
		require.NoError(t, l.Close())
	}
	for name, tail := range map[string][]byte{
		"zeros": make([]byte, 4096), "ones": bytes.Repeat([]byte{0xff}, 4096), "a length without end": {0xff, 0xff, 0xff, 0x7f, 1, 2, 3, 4},
		"the same again": whole[len(whole)-tail:],
	} {
		l := reopen(append(bytes.Clone(whole), tail...))
		require.Equal(t, position(3), l.End(), name)
		// What was cut off is downloaded again.
		l.put(t, rotation("bin.000001"), format())
		l.put(t, transaction(4, 9)...)
		l.requireHolds(t, 4)
		require.NoError(t, l.Close())
	}
	for cut := range first {
		if cut > len(magic)+frameBytes {
			continue // the head is whole, or its text is torn
		}
		l := reopen(whole[:cut])
		require.True(t, l.End().IsZero())
		l.requireHeld(t, false, position(0))
		require.NoError(t, l.Close())
	}
}

// FuzzOpen opens a file of any content: what it then says to hold can be read.
func FuzzOpen(f *testing.F) {
	head, err := headOf(version, position(0)).encode()
	require.NoError(f, err)
	content := bytes.Clone(head)
	for _, e := range append([][]byte{rotation("bin.000001"), format()}, transaction(1, 9)...) {
		frame := frame(e)
		content = append(append(content, frame[:]...), e...)
	}
	f.Add(head)
	f.Add(content)
	f.Add(content[:len(content)-5])
	f.Add(append(bytes.Clone(content), make([]byte, 99)...))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "one"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "one", "00000001.relay"), content, 0o600))
		l := open(t, dir)
		if end := l.End(); !end.IsZero() {
			ctx, cancel := context.WithCancel(t.Context())
			l.failed = errEnough // nothing more will come
			_, err := l.read(ctx, l.segments[0].start, 1<<20)
			cancel()
			require.ErrorIs(t, err, errEnough)
		}
		require.NoError(t, l.Close())
	})
}
