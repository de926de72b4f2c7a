package terminal_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/terminal"
)

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"任务-migration":         "任务-migration",
		"two\nlines\tand more": "two lines and more",
		"\x1b[2Jgone":          "\uFFFD[2Jgone",
		"\u202ereversed":       "\uFFFDreversed",
		"\xff":                 "\uFFFD",
	} {
		require.Equal(t, want, terminal.Text(in))
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, terminal.Table(&out, [][]string{{"NAME", "AGE"}, {"a-migration", "1s"}, {"b\n", ""}}))
	require.Equal(t, "NAME         AGE\na-migration  1s\nb            \n", out.String())
}

func TestLine(t *testing.T) {
	t.Parallel()
	in := strings.NewReader("first \r\n\nlast")
	for _, want := range []string{"first ", "", "last", ""} {
		got, err := terminal.Line(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := terminal.Line(strings.NewReader(strings.Repeat("x", 5000)))
	require.ErrorContains(t, err, "longer than 4096 bytes")
	broken := errors.New("broken")
	_, err = terminal.Line(io.MultiReader(strings.NewReader("a"), failing{broken}))
	require.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAskEndsWithItsContext(t *testing.T) {
	t.Parallel()
	in, typed := io.Pipe()
	defer func() { _ = typed.Close() }() // ends the reader that nobody waits for any more
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	_, err := terminal.Ask(ctx, in, &out, "User: ")
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "User: ", out.String())
}

// Where nobody looks at a line that changes, there is one for each thing that happens.
func TestProgress(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := terminal.NewProgress(&out)
	p.Show("copy", "copy 1%")
	p.Show("copy", "copy 2%")
	p.Say("trouble")
	p.Show("follow", "follow")
	p.End()
	require.Equal(t, "copy 1%\ntrouble\nfollow\n", out.String())
	require.Equal(t, "[############------------]", terminal.Bar(50))
	require.Equal(t, "[########################]", terminal.Bar(140))
}
