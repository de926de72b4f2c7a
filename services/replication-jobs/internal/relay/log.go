// Package relay keeps a source's binary log on the disk of the worker, so that the source need not keep it until it is applied.
package relay

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

const (
	// writeBuffer is what may be in memory before it is written; a reader that has read all else gets it at once.
	writeBuffer = 256 << 10
	// A log is fsynced this often while it grows, and behind every file.
	syncEvery = time.Second
	syncBytes = 16 << 20
	// The files of a log are an eighth of its limit long, within these bounds; they are deleted as a whole.
	minFile, maxFile = 1 << 20, 64 << 20
	filesPerLog      = 8
)

// Options say which log, and who hears of it.
type Options struct {
	Store Store
	// Incarnation is that of the job.
	Incarnation string
	// MaxBytes is what the log may take before the source has to wait.
	MaxBytes int64
	// Event tells the operator what happens.
	Event  func(kind, message string)
	Logger *zap.Logger
}

// Stats says how far a log has come.
type Stats struct {
	// Bytes are on the disk, of MaxBytes.
	Bytes, MaxBytes int64
	// End is the position behind the last whole transaction.
	End mysql.Position
	// Behind is the age of the newest event while there are others to download; 0 if there are none.
	Behind time.Duration
	// Waits says why the log does not grow, "" if it may.
	Waits string
}

// Log is the relay log of one job. One process uses it at a time; one goroutine may write while another one reads.
type Log struct {
	opt  Options
	dir  string
	lock *os.File

	mu       sync.Mutex
	news     chan struct{} // closed when something has changed that somebody may wait for
	version  string        // of the server that the log comes from
	flavor   mysql.Flavor
	segments []*segment     // without a gap; the last one grows
	bounds   *binlog.Bounds // of what is written; nil without segments
	out      *os.File
	buffer   *bufio.Writer
	unsynced int64
	hungry   bool   // the reader has read all there is, and waits for more
	tight    string // why the node has no room
	waits    string // why the writer has been waiting since it last had room
	idle     bool   // the source has nothing more to send
	failed   error  // why nothing more will come
}

// segment is one file.
type segment struct {
	number int
	path   string
	start  mysql.Position
	point  mysql.Point
	size   int64 // with what is in the buffer
}

// Open opens the log of a job, which is empty if there is none yet. What an earlier process left half written is cut off.
func Open(opt Options) (*Log, error) {
	dir, err := opt.Store.path(opt.Incarnation)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, opt.Store.failedWrite(err)
	}
	lock, err := acquire(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	l := &Log{opt: opt, dir: dir, lock: lock, news: make(chan struct{})}
	if l.tight, err = opt.Store.tight(); err == nil {
		err = l.restore()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return l, nil
}

// Close writes what is in memory.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.seal(), l.lock.Close())
}

// Abandon says why nothing more will come, for a log that Follow is not called for: the reader hears it once it has read all, and the stats tell it.
func (l *Log) Abandon(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed, l.waits = why, why.Error()
	l.wake()
}

// End is the position behind the last whole transaction.
func (l *Log) End() mysql.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bounds == nil {
		return mysql.Position{}
	}
	return l.bounds.End()
}

// Reset empties the log, and has it begin behind a position of a server of a version.
func (l *Log) Reset(at mysql.Position, version string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	flavor := mysql.Detect(version)
	bounds, err := binlog.NewBounds(flavor, at)
	if err != nil {
		return err
	}
	next := 1
	if n := len(l.segments); n > 0 {
		next = l.segments[n-1].number + 1
	}
	if err := errors.Join(l.seal(), l.remove(l.segments)); err != nil {
		return err
	}
	l.segments, l.version, l.flavor, l.bounds, l.failed = nil, version, flavor, bounds, nil
	return l.extend(next)
}

// Stats returns the counters.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{Bytes: l.bytes(), MaxBytes: l.opt.MaxBytes, Waits: l.waits}
	if l.bounds == nil {
		return s
	}
	s.End = l.bounds.End()
	if !l.idle && !l.bounds.Time().IsZero() {
		s.Behind = max(0, time.Since(l.bounds.Time()))
	}
	return s
}

// bytes is the size of the log. As everything below, it is for who holds the lock.
func (l *Log) bytes() int64 {
	var n int64
	for _, s := range l.segments {
		n += s.size
	}
	return n
}

// last is the segment that grows.
func (l *Log) last() *segment { return l.segments[len(l.segments)-1] }

// wake tells all who wait that something has changed.
func (l *Log) wake() {
	close(l.news)
	l.news = make(chan struct{})
}

// seal ends the last file.
func (l *Log) seal() error {
	if l.out == nil {
		return nil
	}
	err := errors.Join(l.buffer.Flush(), l.out.Sync(), l.out.Close())
	l.out, l.unsynced = nil, 0
	return l.opt.Store.failedWrite(err)
}

// extend begins a file behind the last whole transaction.
func (l *Log) extend(number int) error {
	start := l.bounds.End()
	point, err := mysql.ParsePoint(l.flavor, start)
	if err != nil {
		return err
	}
	text, err := headOf(l.version, start).encode()
	if err != nil {
		return err
	}
	s := &segment{number: number, path: filepath.Join(l.dir, fmt.Sprintf("%08d%s", number, suffix)), start: start, point: point}
	if l.out, err = os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return l.opt.Store.failedWrite(err)
	}
	l.buffer = bufio.NewWriterSize(l.out, writeBuffer)
	l.segments = append(l.segments, s)
	s.size += int64(len(text))
	if _, err := l.buffer.Write(text); err != nil {
		return l.opt.Store.failedWrite(err)
	}
	// Who begins to read here must know in which file of the source, and how events are written.
	if format := l.bounds.Format(); format != nil {
		for _, event := range [][]byte{rotation(l.bounds.File()), format} {
			if err := l.write(event); err != nil {
				return err
			}
		}
	}
	return l.opt.Store.failedWrite(errors.Join(l.buffer.Flush(), l.out.Sync(), syncDir(l.dir)))
}

// write adds an event to the last file.
func (l *Log) write(raw []byte) error {
	f := frame(raw)
	n, err := l.buffer.Write(f[:])
	if err == nil {
		var more int
		more, err = l.buffer.Write(raw)
		n += more
	}
	// Of a disk that is full, less: the reader must not take what is missing for damage.
	l.last().size += int64(n)
	l.unsynced += int64(n)
	return l.opt.Store.failedWrite(err)
}

// remove deletes files.
func (l *Log) remove(segments []*segment) error {
	var failed error
	for _, s := range segments {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = errors.Join(failed, fmt.Errorf("delete a relay log file: %w", err))
		}
	}
	return failed
}
