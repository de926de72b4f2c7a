package app

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// Programs with arguments, and what comes of them: code, command that ran, and what is printed.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args string
		code int
		ran  string
		out  string
		err  string
	}{
		{"", 0, "serve", "", ""},
		{"serve", 0, "serve", "", ""},
		{"serve --addr=:1", 2, "", "", "thing serve: unknown flag: --addr\nthing serve --help says more\n"},
		{"serve here", 2, "", "", `unknown command "here"`},
		{"--help", 0, "", "Bring the schema up to date", ""},
		{"migrate", 1, "migrate", "", "thing migrate: broken\n"},
		{"made-up", 2, "", "", `thing: unknown command "made-up" for "thing"`},
		{"version", 0, "", "thing dev", ""},
		{"completion bash", 0, "", "complete -o default -F __start_thing thing", ""},
		{"sub one x", 0, "one x", "", ""},
		{"sub one", 2, "", "", "thing sub one: accepts 1 arg(s), received 0"},
		{"sub two", 2, "", "", "thing sub: unknown command \"two\" for \"thing sub\"\n"},
		{"sub silnt", 2, "", "", "thing sub: unknown command \"silnt\" for \"thing sub\", did you mean silent?\n"},
		{"sub", 0, "", "thing sub [command]", ""},
		{"sub silent", 7, "", "", ""},
		{"sub needs", 2, "", "", `required flag(s) "file" not set`},
		{"sub misused", 2, "", "", "thing sub misused: a without b\nthing sub misused --help says more\n"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			t.Parallel()
			ran := ""
			serve := Serve("thing", func(context.Context, *Runtime, struct{}) error { return nil })
			serve.RunE = func(*cobra.Command, []string) error { ran = "serve"; return nil }
			migrate := Migrate(func(context.Context, struct{}) error { ran = "migrate"; return errors.New("broken") })
			needs := &cobra.Command{Use: "needs", Run: func(*cobra.Command, []string) { ran = "needs" }}
			needs.Flags().String("file", "", "a file")
			require.NoError(t, needs.MarkFlagRequired("file"))
			r := root("thing", "a thing", serve, migrate, Group("sub", "several", needs,
				&cobra.Command{Use: "one X", Args: cobra.ExactArgs(1), Run: func(_ *cobra.Command, args []string) { ran = "one " + args[0] }},
				&cobra.Command{Use: "silent", RunE: func(*cobra.Command, []string) error { return &Exit{Code: 7} }},
				&cobra.Command{Use: "misused", RunE: func(*cobra.Command, []string) error { return Misused("a without %s", "b") }}))
			var out, failure strings.Builder
			r.SetArgs(strings.Fields(tc.args))
			r.SetOut(&out)
			r.SetErr(&failure)
			require.Equal(t, tc.code, run(r), failure.String())
			require.Equal(t, tc.ran, ran)
			require.Contains(t, out.String(), tc.out)
			require.Contains(t, failure.String(), tc.err)
			if tc.err == "" {
				require.Empty(t, failure.String())
			}
		})
	}
}
