package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const barWidth = 24

// Bar draws how much is done, in percent.
func Bar(percent float64) string {
	full := min(max(int(percent*barWidth/100), 0), barWidth)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", barWidth-full) + "]"
}

// fit cuts a line to a width: one that wraps could not be drawn over.
func fit(line string, width int) string {
	if runes := []rune(line); width > 1 && len(runes) >= width {
		return string(runes[:width-1])
	}
	return line
}

// Progress shows how something goes on: on a terminal in one line that changes, elsewhere in a line whenever something else happens.
type Progress struct {
	out   io.Writer
	width func() int // of the terminal; nil elsewhere
	drawn bool       // a line that changes is on the terminal
	last  string     // the key of the last line
}

// NewProgress returns a progress shown on out.
func NewProgress(out io.Writer) *Progress {
	p := &Progress{out: out}
	if Is(out) {
		p.width = func() int {
			width, _, _ := term.GetSize(int(out.(*os.File).Fd())) // 0 if nobody knows
			return width
		}
	}
	return p
}

// Show shows how it is. Elsewhere than on a terminal that is a line only if key is another than before.
func (p *Progress) Show(key, line string) {
	line = Text(line)
	switch {
	case p.width != nil:
		fmt.Fprint(p.out, "\r\033[K"+fit(line, p.width()))
		p.drawn = true
	case key != p.last:
		fmt.Fprintln(p.out, line)
	}
	p.last = key
}

// Say writes a line that stays.
func (p *Progress) Say(line string) {
	if p.drawn {
		fmt.Fprint(p.out, "\r\033[K")
		p.drawn = false
	}
	fmt.Fprintln(p.out, Text(line))
}

// End leaves the last line where it is.
func (p *Progress) End() {
	if p.drawn {
		fmt.Fprintln(p.out)
		p.drawn = false
	}
}
