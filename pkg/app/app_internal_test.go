package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
