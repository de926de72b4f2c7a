package terminal

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// On a terminal a line is drawn over the one before, and is never longer than it is wide.
func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	width := 10
	p := &Progress{out: &out, width: func() int { return width }}
	p.Show("copy", "任务 copying rows")
	width = 0
	p.Show("copy", "任务 copying rows")
	p.Say("trouble")
	p.Show("follow", "follow")
	p.End()
	p.End()
	require.Equal(t, "\r\033[K任务 copyin\r\033[K任务 copying rows\r\033[Ktrouble\n\r\033[Kfollow\n", out.String())
}
