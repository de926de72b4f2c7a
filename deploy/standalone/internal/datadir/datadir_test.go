package datadir

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/opsdeck/opsdeck/pkg/secret"
)

// helperDir, when set, makes the test binary a program that holds a data directory until it is killed.
const helperDir = "DATADIR_TEST_HELPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		if _, err := Open(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperDir+"="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "held\n", line)

	_, err = Open(path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, fmt.Sprintf("process %d holds it", cmd.Process.Pid))

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	d := open(t, path)
	_, err = Open(path)
	require.ErrorContains(t, err, fmt.Sprintf("process %d holds it", os.Getpid()))
	require.NoError(t, d.Close())
	open(t, path)
}

func TestSecretsAreKept(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := open(t, path)
	first, file, err := d.Secret("postgres.auth")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(first), 26)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, first, string(text))
	other, _, err := d.Secret("postgres.dns")
	require.NoError(t, err)
	require.NotEqual(t, first, other)
	keys, err := d.SealKeys()
	require.NoError(t, err)
	sealer, err := secret.Load(keys)
	require.NoError(t, err)
	sealed, err := sealer.Seal([]byte("x"), "a")
	require.NoError(t, err)
	require.NoError(t, d.Close())

	d = open(t, path)
	again, _, err := d.Secret("postgres.auth")
	require.NoError(t, err)
	require.Equal(t, first, again)
	keys, err = d.SealKeys()
	require.NoError(t, err)
	sealer, err = secret.Load(keys)
	require.NoError(t, err)
	_, err = sealer.Open(sealed, "a")
	require.NoError(t, err)
}

func TestPutReplaces(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	for _, want := range []string{"postgres://first", "postgres://second"} {
		path, err := d.Put("database.auth", want)
		require.NoError(t, err)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
}

func TestNothingIsReadableByOthers(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	_, file, err := d.Secret("postgres.auth")
	require.NoError(t, err)
	keys, err := d.SealKeys()
	require.NoError(t, err)
	url, err := d.Put("database.auth", "postgres://")
	require.NoError(t, err)
	for path, want := range map[string]os.FileMode{
		file: 0o600, keys: 0o600, url: 0o600, d.Path("lock"): 0o600, d.Path("secrets"): 0o700, d.Path("run"): 0o700,
	} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm(), path)
	}

	require.NoError(t, os.Chmod(file, 0o644))
	_, _, err = d.Secret("postgres.auth")
	require.ErrorContains(t, err, "others can read it")
}

func TestDamagedSecretIsReported(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	_, file, err := d.Secret("nats")
	require.NoError(t, err)
	require.NoError(t, os.Truncate(file, 0))
	_, _, err = d.Secret("nats")
	require.ErrorContains(t, err, "is empty")
}

func TestSocket(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	address, err := open(t, path).Socket("auth")
	require.NoError(t, err)
	require.Equal(t, "unix://"+filepath.Join(path, "run", "auth"), address)
	_, err = open(t, filepath.Join(path, strings.Repeat("long", 25))).Socket("auth")
	require.ErrorContains(t, err, "choose a shorter data directory")
}

func TestOpenRefusesAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := Open(path)
	require.ErrorContains(t, err, "data directory")
}
