package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/operator"
)

// view draws progress: one line that changes on a terminal, a new line every few seconds elsewhere.
type view struct {
	out      io.Writer
	terminal bool
	drawn    time.Time
	last     string
}

const barWidth = 30

func newView(out io.Writer) *view {
	file, ok := out.(*os.File)
	return &view{out: out, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

// say prints a line that stays.
func (v *view) say(format string, args ...any) {
	if v.terminal && v.last != "" {
		fmt.Fprint(v.out, "\r\033[K")
	}
	v.last = ""
	fmt.Fprintf(v.out, format+"\n", args...)
}

// progress draws how the job does now.
func (v *view) progress(d operator.Detail, f operator.Figures, written int64) {
	percent := 0.0
	for _, s := range d.Profile.Base.Steps {
		if s.Name == "job_stage_full" {
			percent = s.Schedule
		}
	}
	full := int(percent * barWidth / 100)
	line := fmt.Sprintf("  %-8s [%s%s] %5.1f%%  %d transactions applied, %d written, %d s behind  %s",
		d.Profile.Base.Status, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), percent,
		f.Status.Transactions, written, d.Profile.Base.Delay, f.Status.Stage)
	switch {
	case v.terminal:
		fmt.Fprintf(v.out, "\r\033[K%s", line)
	case line != v.last && time.Since(v.drawn) > 2*time.Second:
		fmt.Fprintln(v.out, line)
	default:
		return
	}
	v.drawn, v.last = time.Now(), line
}
