package relay

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-mysql-org/go-mysql/replication"
	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Reader reads a log behind a position. It implements binlog.Events.
type Reader struct {
	log  *Log
	from mysql.Position
}

// Behind returns a reader of what follows a position. A log has one reader at a time.
func (l *Log) Behind(from mysql.Position) *Reader { return &Reader{log: l, from: from} }

// Read implements binlog.Events. It waits for what is still to be written; when that has failed it returns why, after all that was written.
func (r *Reader) Read(ctx context.Context, take func(raw []byte) error) error {
	defer r.log.leave()
	from, err := mysql.ParsePoint(r.log.flavor, r.from)
	if err != nil {
		return err
	}
	s := r.log.at(from)
	if s == nil {
		return fmt.Errorf("the relay log does not reach back to %s", r.from)
	}
	bounds, err := binlog.NewBounds(r.log.flavor, s.start)
	if err != nil {
		return err
	}
	p := &passage{flavor: r.log.flavor, from: from, bounds: bounds, take: take}
	for ; s != nil; s = r.log.after(s) {
		if err := r.file(ctx, s, p); err != nil {
			return err
		}
	}
	return errors.New("the relay log was emptied while it was read")
}

// leave notes that nobody reads any more.
func (l *Log) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hungry = false
}

// file reads one file to its end.
func (r *Reader) file(ctx context.Context, s *segment, p *passage) error {
	file, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("read a relay log: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	t := &tail{ctx: ctx, log: r.log, segment: s, file: file}
	in := bufio.NewReaderSize(t, writeBuffer)
	_, at, err := readHead(in)
	for err == nil {
		var raw []byte
		if raw, err = readEvent(in); err == nil {
			at += int64(frameBytes + len(raw))
			err = p.pass(raw)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, errDamaged):
		return r.log.damaged(s, at)
	default:
		return err
	}
}

// damaged deletes what was written behind a damaged place: the next Open cuts the file there, and it is downloaded again.
func (l *Log) damaged(s *segment, at int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opt.Logger.Error("relay log file is damaged", zap.String("file", s.path), zap.Int64("offset", at))
	err := &mysql.Error{Sentence: fmt.Sprintf("the relay log file %s of the worker node is damaged at byte %d: what follows is downloaded again, if the source still has it", s.path, at)}
	l.failed = err
	for i, later := range l.segments {
		if later.number > s.number {
			return errors.Join(err, l.remove(l.segments[i:]))
		}
	}
	return err
}

// passage hands events on, from a place on.
type passage struct {
	flavor mysql.Flavor
	from   mysql.Point
	bounds *binlog.Bounds
	take   func(raw []byte) error
	skip   bool // the transaction was executed before that place
}

func (p *passage) pass(raw []byte) error {
	mark, err := p.bounds.See(raw)
	if err != nil {
		return err
	}
	if mark == binlog.Begins {
		ends := binary.LittleEndian.Uint32(raw[sizeOffset+4:])
		at, err := mysql.ParsePoint(p.flavor, mysql.Position{File: p.bounds.File(), Offset: ends, GTIDSet: p.bounds.GTID()})
		if err != nil {
			return err
		}
		p.skip = p.from.Covers(at)
	}
	if p.skip && !describes(raw) {
		return nil
	}
	return p.take(raw)
}

// describes reports whether an event says how others are to be read.
func describes(raw []byte) bool {
	switch replication.EventType(raw[4]) {
	case replication.ROTATE_EVENT, replication.FORMAT_DESCRIPTION_EVENT:
		return true
	}
	return false
}

// at returns the last segment that begins at a place, or before it.
func (l *Log) at(from mysql.Point) *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.segments) - 1; i >= 0; i-- {
		if from.Covers(l.segments[i].point) {
			return l.segments[i]
		}
	}
	return nil
}

// after returns the next segment.
func (l *Log) after(s *segment) *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, next := range l.segments {
		if next.number == s.number+1 {
			return next
		}
	}
	return nil
}

// tail reads a file while it grows. It ends where the next one begins.
type tail struct {
	ctx     context.Context //nolint:containedctx // that of the one Read which uses it
	log     *Log
	segment *segment
	file    *os.File
	offset  int64
}

// Read waits until there is something to read.
func (t *tail) Read(p []byte) (int, error) {
	end, err := t.log.await(t.ctx, t.segment, t.offset)
	if err != nil {
		return 0, err
	}
	n, err := t.file.ReadAt(p[:min(int64(len(p)), end-t.offset)], t.offset)
	t.offset += int64(n)
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return n, err
}

// await returns where a file ends once that is behind an offset, io.EOF if it never will be.
func (l *Log) await(ctx context.Context, s *segment, offset int64) (int64, error) {
	for {
		end, news, err := l.look(s, offset)
		if err != nil || end > offset {
			return end, err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-news:
		}
	}
}

// look returns how much of a file can be read, or where to wait for more of it.
func (l *Log) look(s *segment, offset int64) (int64, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hungry = false
	if len(l.segments) == 0 || s.number != l.last().number {
		if offset < s.size {
			return s.size, nil, nil
		}
		return 0, nil, io.EOF
	}
	end := s.size - int64(l.buffer.Buffered())
	if end <= offset && end < s.size {
		if err := l.buffer.Flush(); err != nil {
			return 0, nil, l.opt.Store.failedWrite(err)
		}
		end = s.size
	}
	if end > offset {
		return end, nil, nil
	}
	if l.failed != nil {
		return 0, nil, l.failed
	}
	l.hungry = true
	l.wake() // a writer that waits for room may go on
	return 0, l.news, nil
}
