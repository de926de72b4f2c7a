// Package zonefile reads and writes the content of zones as files: master files (RFC 1035, 5) and CSV.
//
// Files come from outside: every size is bounded, $INCLUDE is refused, and every record passes rrset.Parse. Rules about records
// that stand together are the caller's to check (rrset.Collect, rrset.CheckZone).
package zonefile

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Limits on files.
const (
	MaxSize     = 16 << 20 // bytes
	MaxLine     = 64 << 10 // bytes
	MaxRecords  = 200_000  // records, those of $GENERATE included
	MaxProblems = 100      // problems that are reported; reading ends there
)

// Problem is what is wrong with one line.
type Problem struct {
	Line  int   // counted from 1; where the record ends when it spans several
	Cause error // *rrset.Problem, or what the syntax does not allow
}

// Error returns the English text.
func (p *Problem) Error() string { return fmt.Sprintf("line %d: %v", p.Line, p.Cause) }

// Localized returns the Chinese text. What the syntax does not allow is told by the parser, in English only.
func (p *Problem) Localized() string {
	var rule *rrset.Problem
	if errors.As(p.Cause, &rule) {
		return fmt.Sprintf("第 %d 行：%s", p.Line, rule.Localized())
	}
	return fmt.Sprintf("第 %d 行：语法错误：%v", p.Line, p.Cause)
}

func (p *Problem) Unwrap() error { return p.Cause }

// Problems are all problems of a file, in its order, at most MaxProblems.
type Problems []*Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// collector gathers what a file holds and what is wrong with it.
type collector struct {
	zone       string
	defaultTTL uint32
	entries    []rrset.Entry
	problems   Problems
}

// add parses one draft. It reports whether to go on.
func (c *collector) add(line int, d rrset.Draft) bool {
	if len(c.entries) == MaxRecords {
		return c.refuse(line, fmt.Errorf("the file holds more than %d records", MaxRecords), false)
	}
	e, err := rrset.Parse(c.zone, c.defaultTTL, d)
	if err != nil {
		return c.refuse(line, err, true)
	}
	c.entries = append(c.entries, e)
	return true
}

// refuse notes a problem. It reports whether to go on, which needs room for another.
func (c *collector) refuse(line int, cause error, more bool) bool {
	c.problems = append(c.problems, &Problem{Line: line, Cause: cause})
	return more && len(c.problems) < MaxProblems
}

// result returns the entries, or what is wrong.
func (c *collector) result() ([]rrset.Entry, error) {
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return c.entries, nil
}

var (
	errTooLarge = fmt.Errorf("the file has more than %d bytes", MaxSize)
	errTooLong  = fmt.Errorf("the line has more than %d bytes", MaxLine)
)

// input hands out a file byte by byte, counts lines and enforces the limits.
type input struct {
	r     io.ByteReader
	total int
	width int   // bytes of the current line so far
	line  int   // lines that have ended
	err   error // what reading ended with, unless io.EOF
}

func (in *input) ReadByte() (byte, error) {
	c, err := in.r.ReadByte()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			in.err = err
		}
		return 0, err
	}
	in.total++
	in.width++
	switch {
	case in.total > MaxSize:
		in.err = errTooLarge
	case in.width > MaxLine:
		in.err = errTooLong
	}
	if in.err != nil {
		return 0, in.err
	}
	if c == '\n' {
		in.line++
		in.width = 0
	}
	return c, nil
}

// Read makes input an io.Reader, for parsers that want one; the dns package asks for single bytes.
func (in *input) Read(p []byte) (int, error) {
	for i := range p {
		c, err := in.ReadByte()
		if err != nil {
			return i, err
		}
		p[i] = c
	}
	return len(p), nil
}

// here is the line of what was read last.
func (in *input) here() int {
	if in.width == 0 && in.line > 0 {
		return in.line
	}
	return in.line + 1
}
