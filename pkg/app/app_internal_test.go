package app

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	t.Parallel()
	ran := ""
	commands := []Command{
		{Name: "serve", Help: "run", Run: func(_ context.Context, args []string) error { ran = "serve" + strings.Join(args, ""); return nil }},
		{Name: "migrate", Help: "migrate", Run: func(context.Context, []string) error { return errors.New("broken") }},
	}
	for _, tc := range []struct {
		args []string
		code int
		ran  string
		text string
	}{
		{nil, 0, "serve", ""},
		{[]string{"serve", "x"}, 0, "servex", ""},
		{[]string{"migrate"}, 1, "", ""},
		{[]string{"--help"}, 0, "", "usage: thing [COMMAND]"},
		{[]string{"made-up"}, 2, "", ""},
		{[]string{"version"}, 0, "", "thing dev"},
		{[]string{"completion"}, 0, "", "complete -W 'help completion serve migrate version' thing"},
	} {
		ran = ""
		var out strings.Builder
		require.Equal(t, tc.code, run("thing", "a thing", tc.args, &out, commands), tc.args)
		require.Equal(t, tc.ran, ran, tc.args)
		require.Contains(t, out.String(), tc.text, tc.args)
	}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	var ran []string
	group := Group("thing", "sub", "several", Command{Name: "one", Help: "the first", Run: func(_ context.Context, args []string) error {
		ran = args
		return nil
	}})
	var out strings.Builder
	require.Zero(t, run("thing", "a thing", []string{"sub", "one", "x"}, &out, []Command{group}))
	require.Equal(t, []string{"x"}, ran)
	require.Zero(t, run("thing", "a thing", []string{"sub", "--help"}, &out, []Command{group}))
	require.Equal(t, 1, run("thing", "a thing", []string{"sub", "two"}, &out, []Command{group}))
	require.Zero(t, run("thing", "a thing", []string{"completion"}, &out, []Command{group}))
	require.Contains(t, out.String(), "1) words='help completion sub version' ;;")
	require.Contains(t, out.String(), "sub) words='help one' ;;")
	require.Contains(t, out.String(), "complete -o default -F _thing thing\n")
	help := Command{Name: "flags", Run: func(context.Context, []string) error { return flag.ErrHelp }}
	require.Zero(t, run("thing", "a thing", []string{"flags"}, &out, []Command{help}))
}

func TestServeTakesNoArguments(t *testing.T) {
	t.Parallel()
	serve := Serve("thing", func(context.Context, *Runtime, struct{}) error { return nil })
	require.ErrorContains(t, serve.Run(t.Context(), []string{"--addr=:1"}), `"--addr=:1"`)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	type inner struct {
		Addr string `env:"ADDR" envDefault:":1" help:"Where | how."`
	}
	type config struct {
		inner  `envPrefix:"X_"`
		Secret string `env:"SECRET_FILE,file,required" help:"A secret."`
	}
	var out strings.Builder
	require.NoError(t, WriteReference(&out, Settings(config{})))
	require.Contains(t, out.String(), "| `X_ADDR` | `:1` | Where \\| how. |")
	require.Contains(t, out.String(), "| `SECRET_FILE` | required | A secret. The variable holds the path of a file. |")
}

func TestLoadFromNamesTheSetting(t *testing.T) {
	t.Parallel()
	type config struct {
		Count int `env:"THE_COUNT,required"`
	}
	_, err := LoadFrom[config](map[string]string{"THE_COUNT": "many"})
	require.ErrorContains(t, err, "configuration")
	_, err = LoadFrom[config](nil)
	require.ErrorContains(t, err, "THE_COUNT")
	cfg, err := LoadFrom[config](map[string]string{"THE_COUNT": "3"})
	require.NoError(t, err)
	require.Equal(t, 3, cfg.Count)
}

func TestOpenRefusesSettingsThatCannotWork(t *testing.T) {
	t.Parallel()
	good := ServiceConfig{DatabaseConns: 4, RequestTimeout: time.Second, MaxMessage: 1, Drain: time.Second}
	require.NoError(t, good.check())
	for name, change := range map[string]func(*ServiceConfig){
		"DATABASE_CONNS":  func(c *ServiceConfig) { c.DatabaseConns = 0 },
		"REQUEST_TIMEOUT": func(c *ServiceConfig) { c.RequestTimeout = 0 },
		"MAX_MESSAGE":     func(c *ServiceConfig) { c.MaxMessage = -1 },
		"DRAIN":           func(c *ServiceConfig) { c.Drain = -time.Second },
	} {
		cfg := good
		change(&cfg)
		_, err := Open(t.Context(), nil, "auth", cfg, nil)
		require.ErrorContains(t, err, name)
	}
}

func TestSecretsInFilesLoseTheirLineEnd(t *testing.T) {
	t.Parallel()
	type inner struct {
		Password string `env:"PASSWORD_FILE,file"`
	}
	type config struct {
		Group inner `envPrefix:"X_"`
	}
	path := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(path, []byte("s3cret \r\n"), 0o600))
	cfg, err := LoadFrom[config](map[string]string{"X_PASSWORD_FILE": path})
	require.NoError(t, err)
	require.Equal(t, "s3cret ", cfg.Group.Password)
}
