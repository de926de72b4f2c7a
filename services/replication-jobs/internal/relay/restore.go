package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// restore finds the files, and cuts the last one behind its last whole transaction. The others were on the disk before the next one was begun.
func (l *Log) restore() error {
	found, err := l.find()
	if err != nil {
		return err
	}
	for i, s := range found {
		if err := l.readSegment(s); err == nil && (i == 0 || s.number == found[i-1].number+1) {
			l.segments = append(l.segments, s)
			continue
		} else if err != nil && !errors.Is(err, errDamaged) {
			return err
		}
		l.opt.Logger.Warn("deleting relay log files that do not follow what is before them", zap.String("from", s.path))
		if err := l.remove(found[i:]); err != nil {
			return err
		}
		break
	}
	if len(l.segments) == 0 {
		return nil
	}
	return l.cut()
}

// find lists the files by their numbers.
func (l *Log) find() ([]*segment, error) {
	paths, err := filepath.Glob(filepath.Join(l.dir, "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("list the files of a relay log: %w", err)
	}
	var found []*segment
	for _, path := range paths {
		number, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), suffix))
		if err != nil {
			return nil, fmt.Errorf("%s is no file of a relay log: take it away", path)
		}
		found = append(found, &segment{number: number, path: path})
	}
	slices.SortFunc(found, func(a, b *segment) int { return a.number - b.number })
	return found, nil
}

// readSegment reads the head of a file.
func (l *Log) readSegment(s *segment) error {
	file, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("read a relay log: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read a relay log: %w", err)
	}
	h, _, err := readHead(file)
	if err != nil {
		return err
	}
	flavor := mysql.Detect(h.Version)
	s.start, s.size = h.position(), info.Size()
	if s.point, err = mysql.ParsePoint(flavor, s.start); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	l.version, l.flavor = h.Version, flavor
	return nil
}

// cut makes the last file end behind its last whole transaction, and opens it.
func (l *Log) cut() error {
	s := l.last()
	file, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("read a relay log: %w", err)
	}
	whole, err := l.scan(file, s.start)
	if err == nil && whole < s.size {
		l.opt.Logger.Info("cutting a relay log behind its last whole transaction", zap.String("file", s.path), zap.Int64("bytes", s.size-whole))
		err = file.Truncate(whole)
	}
	if err == nil {
		_, err = file.Seek(whole, io.SeekStart)
	}
	if err != nil {
		return errors.Join(l.opt.Store.failedWrite(err), file.Close())
	}
	s.size = whole
	l.out, l.buffer = file, bufio.NewWriterSize(file, writeBuffer)
	return nil
}

// scan reads a file to its end, or to where it is damaged, and returns where its last whole transaction ends.
func (l *Log) scan(file io.Reader, start mysql.Position) (whole int64, err error) {
	if l.bounds, err = binlog.NewBounds(l.flavor, start); err != nil {
		return 0, err
	}
	r := bufio.NewReaderSize(file, writeBuffer)
	_, at, err := readHead(r)
	if err != nil {
		return 0, err
	}
	whole = at
	for {
		raw, err := readEvent(r)
		if errors.Is(err, io.EOF) || errors.Is(err, errDamaged) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		at += int64(frameBytes + len(raw))
		switch mark, err := l.bounds.See(raw); {
		case err != nil:
			return whole, nil //nolint:nilerr // what cannot be read is cut off
		case mark == binlog.Ends:
			whole = at
		case !l.bounds.Inside() && whole == at-int64(frameBytes+len(raw)):
			whole = at // what stands at the head of a file, or between transactions
		}
	}
}
