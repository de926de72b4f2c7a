package mysql

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// Position is a place in a source's binary log. GTIDSet is what had been executed there, empty on a server without GTIDs.
type Position struct {
	File    string
	Offset  uint32
	GTIDSet string
}

// IsZero reports whether p says nothing.
func (p Position) IsZero() bool { return p == Position{} }

// String returns the position as an operator would write it.
func (p Position) String() string {
	switch {
	case p.GTIDSet == "":
		return fmt.Sprintf("%s:%d", p.File, p.Offset)
	case p.File == "":
		return p.GTIDSet
	}
	return fmt.Sprintf("%s (%s:%d)", p.GTIDSet, p.File, p.Offset)
}

// Point is a parsed Position, for comparisons.
type Point struct {
	File   string
	Offset uint32
	GTIDs  gomysql.GTIDSet
}

// ParsePoint parses p as flavor spells GTIDs. A transaction's own GTID in p.GTIDSet makes the point of that transaction.
func ParsePoint(flavor Flavor, p Position) (Point, error) {
	set, err := flavor.ParseGTIDSet(p.GTIDSet)
	if err != nil {
		return Point{}, err
	}
	return Point{File: p.File, Offset: p.Offset, GTIDs: set}, nil
}

// Covers reports whether the transaction at other was executed at p. GTIDs decide where both have them, since file names
// mean nothing after a switch of the source; else file and offset do.
func (p Point) Covers(other Point) bool {
	if !empty(p.GTIDs) && !empty(other.GTIDs) {
		return p.GTIDs.Contain(other.GTIDs)
	}
	if p.File == "" || other.File == "" {
		return false
	}
	return compareFiles(other.File, other.Offset, p.File, p.Offset) <= 0
}

func empty(s gomysql.GTIDSet) bool { return s == nil || s.IsEmpty() }

// compareFiles orders by the number at the end of the file names: bin.1000000 comes after bin.999999.
func compareFiles(file string, offset uint32, other string, otherOffset uint32) int {
	return cmp.Or(cmp.Compare(fileNumber(file), fileNumber(other)), cmp.Compare(offset, otherOffset))
}

func fileNumber(file string) uint64 {
	n, _ := strconv.ParseUint(file[strings.LastIndexByte(file, '.')+1:], 10, 64) // 0 for a name without a number, before all
	return n
}
