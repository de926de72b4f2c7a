// Package terminal writes for people at a terminal, and asks them.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"
)

// maxLine bounds what is read as an answer, in bytes.
const maxLine = 4096

// Is reports whether a stream is a terminal.
func Is(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Text returns a text from elsewhere in one line and without control characters, which would steer the reader's terminal.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// Table writes rows in columns, the first row being their heads.
func Table(out io.Writer, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell = Text(cell); i < len(row)-1 {
				cell += "\t"
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// Ask shows a question and returns the line that is typed.
func Ask(ctx context.Context, in io.Reader, out io.Writer, question string) (string, error) {
	fmt.Fprint(out, question)
	return wait(ctx, func() (string, error) { return Line(in) })
}

// AskSecret shows a question and returns the line that is typed, which is not shown. in must be a terminal.
func AskSecret(ctx context.Context, in *os.File, out io.Writer, question string) (string, error) {
	fmt.Fprint(out, question)
	shown, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", err
	}
	secret, err := wait(ctx, func() (string, error) {
		text, err := term.ReadPassword(int(in.Fd()))
		return string(text), err
	})
	fmt.Fprintln(out)
	if ctx.Err() != nil { // the reader still reads: whoever was interrupted wants to see again what he types
		return "", errors.Join(ctx.Err(), term.Restore(int(in.Fd()), shown))
	}
	return secret, err
}

// wait returns what is read, or the error of ctx if that ends first.
func wait(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := read()
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case a := <-answers:
		return a.text, a.err
	}
}

// Line reads one line, and nothing behind it.
func Line(in io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for len(line) < maxLine {
		n, err := in.Read(b)
		if n == 1 && b[0] == '\n' || errors.Is(err, io.EOF) {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if err != nil {
			return "", err
		}
		line = append(line, b[:n]...)
	}
	return "", fmt.Errorf("the line is longer than %d bytes", maxLine)
}
