package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// helperDir, when set, makes the test binary a program that runs a cluster until it is killed.
const helperDir = "CLUSTER_TEST_HELPER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		helper(dir)
	}
	goleak.VerifyTestMain(m)
}

func helper(dir string) {
	if _, err := Start(context.Background(), Config{Dir: dir, Fsync: true}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

// tempDir is one that the server's user can enter, which t.TempDir is not.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cluster-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func startIn(t *testing.T, cfg Config) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	return c
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	c := startIn(t, Config{Dir: dir, Fsync: true})
	require.NoError(t, c.EnsureRole(t.Context(), "auth", "first", "auth"))
	_, err := connect(t, c.URL("auth", "first", Database)).Exec(t.Context(), `CREATE TABLE auth.t AS SELECT 42 AS n`)
	require.NoError(t, err)
	require.NoError(t, c.Err())
	require.NoError(t, c.Stop(t.Context()))
	<-c.Done()
	require.NoError(t, c.Err())
	running, err := processesIn(filepath.Join(dir, "data"))
	require.NoError(t, err)
	require.Empty(t, running)

	c = startIn(t, Config{Dir: dir, Fsync: true})
	require.NoError(t, c.EnsureRole(t.Context(), "auth", "second", "auth"))
	var n int
	require.NoError(t, connect(t, c.URL("auth", "second", Database)).QueryRow(t.Context(), `SELECT n FROM auth.t`).Scan(&n))
	require.Equal(t, 42, n)
	_, err = pgx.Connect(t.Context(), c.URL("auth", "first", Database))
	require.ErrorContains(t, err, "28P01", "the old password")
}

func TestRolesAreApart(t *testing.T) {
	t.Parallel()
	c := startIn(t, Config{Dir: tempDir(t)})
	require.NoError(t, c.EnsureRole(t.Context(), "auth", `it's "odd"`, "auth"))
	require.NoError(t, c.EnsureRole(t.Context(), "dns", "dns", "dns"))
	_, err := connect(t, c.URL("auth", `it's "odd"`, Database)).Exec(t.Context(), `CREATE TABLE auth.t (n int)`)
	require.NoError(t, err)

	dns := connect(t, c.URL("dns", "dns", Database))
	for _, statement := range []string{
		`SELECT n FROM auth.t`, `CREATE TABLE auth.u (n int)`, `CREATE TABLE public.t (n int)`, `CREATE SCHEMA mine`, `CREATE ROLE other`,
	} {
		_, err := dns.Exec(t.Context(), statement)
		require.ErrorContains(t, err, "42501", statement)
	}
	info, err := os.Stat(filepath.Join(c.dir, "password"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestKilledParent(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	for range 2 {
		killHelper(t, dir)
		c := startIn(t, Config{Dir: dir, Fsync: true})
		require.NoError(t, connect(t, c.SuperuserURL(Database)).Ping(t.Context()))
		require.NoError(t, c.Stop(t.Context()))
	}
}

func TestKilledParentTakesTheServerAlong(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	killHelper(t, dir)
	require.Eventually(t, func() bool {
		running, err := processesIn(filepath.Join(dir, "data"))
		return err == nil && len(running) == 0
	}, time.Minute, 50*time.Millisecond)
}

func killHelper(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperDir+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
}

func TestStaleFilesOfAKilledServer(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	c := startIn(t, Config{Dir: dir, Fsync: true})
	require.NoError(t, syscall.Kill(c.server.pid, syscall.SIGKILL))
	<-c.Done()
	require.ErrorContains(t, c.Err(), "ended by itself")

	// Its pid now belongs to a process that lives and is not a server.
	path := filepath.Join(dir, "data", pidFile)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), "\n")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "%d\n%s", os.Getpid(), rest), 0o600))
	startIn(t, Config{Dir: dir, Fsync: true})
}

func TestLongDirectory(t *testing.T) {
	t.Parallel()
	c := startIn(t, Config{Dir: filepath.Join(tempDir(t), strings.Repeat("long", 30))})
	require.True(t, c.tempSock)
	require.NoError(t, connect(t, c.SuperuserURL(Database)).Ping(t.Context()))
	require.NoError(t, c.Stop(t.Context()))
	require.NoDirExists(t, c.sockets)
}

func TestPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	dir := tempDir(t)

	_, err = Start(t.Context(), Config{Dir: dir, Port: port})
	require.ErrorContains(t, err, "ended by itself")
	require.ErrorContains(t, err, "Address already in use")
	require.NoError(t, l.Close())

	c := startIn(t, Config{Dir: dir, Port: port})
	url := fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s", superuser, c.password, port, Database)
	require.NoError(t, connect(t, url).Ping(t.Context()))
}

func TestRefusesAPlaceItCannotReach(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs the server as another user")
	}
	_, err := Start(t.Context(), Config{Dir: filepath.Join(t.TempDir(), "pg")})
	require.ErrorContains(t, err, "who cannot enter")
	require.ErrorContains(t, err, "chmod o+x")
}

func TestRefusesFilesOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := Start(t.Context(), Config{Dir: dir})
	require.ErrorContains(t, err, "apt-get install postgresql-9")
}

func TestInterruptedInitialisation(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, Config{Dir: dir, Fsync: true}); !errors.Is(err, context.DeadlineExceeded) {
		require.ErrorContains(t, err, "initdb")
	}
	startIn(t, Config{Dir: dir})
}

func TestBeingToldToStopIsNotAMissingServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := findBinaries(ctx, 15)
	require.ErrorIs(t, err, context.Canceled)
}

func TestMajorOf(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{"15.18": 15, "16beta1": 16, "18": 18} {
		major, err := majorOf(version)
		require.NoError(t, err)
		require.Equal(t, want, major)
	}
	_, err := majorOf("devel")
	require.Error(t, err)
}
