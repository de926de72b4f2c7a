package command_test

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/command"
)

// program is the part of opsdeck that calls one that runs.
func program() *cobra.Command {
	r := &cobra.Command{Use: "opsdeck", SilenceErrors: true, SilenceUsage: true}
	r.AddCommand(command.Commands()...)
	return r
}

// Each command says what it is for, with an example.
func TestHelp(t *testing.T) {
	t.Parallel()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		require.NotEmpty(t, c.Short, c.CommandPath())
		require.NotEmpty(t, c.Example, c.CommandPath())
		for line := range strings.Lines(c.Example) {
			requireParses(t, line)
		}
		for _, inner := range c.Commands() {
			visit(inner)
		}
	}
	for _, c := range program().Commands() {
		visit(c)
	}
}

// What the pages tell people to type are commands that there are.
func TestPages(t *testing.T) {
	t.Parallel()
	const root = "../../../.."
	pages, err := filepath.Glob(root + "/docs/*.md")
	require.NoError(t, err)
	found := 0
	for _, page := range append(pages, root+"/README.md", root+"/README.zh-CN.md") {
		file, err := os.Open(page)
		require.NoError(t, err)
		for lines, code := bufio.NewScanner(file), false; lines.Scan(); {
			line := lines.Text()
			if strings.HasPrefix(line, "```") {
				code = !code
			}
			if code && regexp.MustCompile(`^opsdeck (login|logout|job)\b`).MatchString(line) {
				requireParses(t, line)
				found++
			}
		}
		require.NoError(t, file.Close())
	}
	require.Greater(t, found, 20)
}

var (
	behind = regexp.MustCompile(`\s([#<|>]|&&).*`) // what the shell does with a line
	before = regexp.MustCompile(`^.*?opsdeck `)
	quoted = regexp.MustCompile(`'[^']*'`)
)

// requireParses requires that opsdeck takes a line of shell as it stands.
func requireParses(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(behind.ReplaceAllString(quoted.ReplaceAllString(before.ReplaceAllString(strings.TrimSpace(line), ""), "TEXT"), ""))
	c, rest, err := program().Find(words)
	require.NoError(t, err, line)
	require.NoError(t, c.ParseFlags(rest), line)
	require.NoError(t, c.ValidateArgs(c.Flags().Args()), line)
	require.NoError(t, c.ValidateRequiredFlags(), line)
	require.NoError(t, c.ValidateFlagGroups(), line)
}
