package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/binlog"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// Holds reports whether all that follows a position is here, up to the end of the log. The position must be one that the log itself has come by: numbers
// that only lie between those of its transactions may be of another history, which a server has gone on with that took the place of the log's own.
func (l *Log) Holds(from mysql.Position) (bool, error) {
	l.mu.Lock()
	flavor, none := l.flavor, len(l.segments) == 0
	l.mu.Unlock()
	if none {
		return false, nil
	}
	place, err := newPlace(flavor, from)
	if err != nil {
		return false, nil //nolint:nilerr // a position of another kind of server is not in this log
	}
	if place.is(l.End()) {
		return true, nil
	}
	s := l.at(place.point)
	if s == nil {
		return false, nil
	}
	return l.passes(s, place)
}

// Exceeds reports whether the log, which holds a position, has transactions that follow it.
func (l *Log) Exceeds(from mysql.Position) bool {
	place, err := newPlace(l.flavor, from)
	return err == nil && !place.is(l.End())
}

// place is a position that others are compared with.
type place struct {
	flavor mysql.Flavor
	point  mysql.Point
}

func newPlace(flavor mysql.Flavor, at mysql.Position) (place, error) {
	point, err := mysql.ParsePoint(flavor, at)
	return place{flavor, point}, err
}

// is reports whether a position is the place: by GTIDs where both have them, else by file and offset.
func (p place) is(at mysql.Position) bool {
	other, err := mysql.ParsePoint(p.flavor, at)
	if err != nil {
		return false
	}
	if p.point.GTIDs.IsEmpty() || other.GTIDs.IsEmpty() {
		return p.point.File != "" && p.point.File == other.File && p.point.Offset == other.Offset
	}
	return p.point.GTIDs.Equal(other.GTIDs)
}

// passes reports whether a file begins at a place, or one of its transactions ends there.
func (l *Log) passes(s *segment, to place) (bool, error) {
	if to.is(s.start) {
		return true, nil
	}
	bounds, err := binlog.NewBounds(l.flavor, s.start)
	if err != nil {
		return false, err
	}
	file, err := os.Open(s.path)
	if err != nil {
		return false, fmt.Errorf("read a relay log: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	in := bufio.NewReaderSize(file, writeBuffer)
	_, _, err = readHead(in)
	for err == nil {
		var raw []byte
		if raw, err = readEvent(in); err != nil {
			break
		}
		mark, seen := bounds.See(raw)
		if seen != nil {
			return false, seen
		}
		if mark == binlog.Ends && to.is(bounds.End()) {
			return true, nil
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, errDamaged) { // what is damaged is found again by who reads it
		return false, nil
	}
	return false, err
}
