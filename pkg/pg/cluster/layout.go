package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxSocketPath is what fits sun_path with its final zero.
const maxSocketPath = 107

// layout is a cluster's directory: data (the server's), run (its sockets), password and postgres.log. When we are
// root the directory itself stays root's, so that the server's user cannot put a link where root writes.
type layout struct {
	dir string
	who account
}

func (l layout) data() string     { return filepath.Join(l.dir, "data") }
func (l layout) run() string      { return filepath.Join(l.dir, "run") }
func (l layout) password() string { return filepath.Join(l.dir, "password") }
func (l layout) log() string      { return filepath.Join(l.dir, logName) }

// version is the major version that wrote the data directory, zero when it is new.
func (l layout) version() int {
	text, err := os.ReadFile(filepath.Join(l.data(), "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, err := majorOf(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return major
}

func (l layout) prepare() error {
	if err := os.MkdirAll(l.dir, 0o711); err != nil { //nolint:gosec // the server's user must pass through
		return err
	}
	if err := l.own(l.run()); err != nil {
		return err
	}
	return l.passable()
}

// own makes a directory that only the server's user may enter.
func (l layout) own(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return l.give(dir)
}

func (l layout) give(path string) error {
	if l.who.self {
		return nil
	}
	return os.Lchown(path, int(l.who.uid), int(l.who.gid))
}

// passable refuses a place that the server's user cannot reach, because initdb's own message does not say why.
func (l layout) passable() error {
	if l.who.self {
		return nil
	}
	for dir := l.dir; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if ok && owner.Uid != l.who.uid && info.Mode()&0o001 == 0 {
			return fmt.Errorf("PostgreSQL runs as user %s, who cannot enter %s (mode %04o): choose another directory, or chmod o+x %s",
				l.who.name, dir, info.Mode().Perm(), dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// initialise runs initdb for a new cluster, aside and renamed at the end so that an interrupted run leaves nothing
// half made, and returns the superuser's password.
func (l layout) initialise(ctx context.Context, bin binaries, fsync bool) (string, error) {
	if l.version() != 0 {
		text, err := os.ReadFile(l.password())
		return string(text), err
	}
	fresh := l.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return "", err
	}
	if err := l.own(fresh); err != nil {
		return "", err
	}
	password := rand.Text()
	if err := os.WriteFile(l.password(), []byte(password), 0o600); err != nil {
		return "", err
	}
	if err := l.initdb(ctx, bin, fresh, password, fsync); err != nil {
		return "", err
	}
	return password, os.Rename(fresh, l.data())
}

func (l layout) initdb(ctx context.Context, bin binaries, data, password string, fsync bool) (err error) {
	passwordFile, err := l.passwordFor(password)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(passwordFile)) }()
	args := []string{
		"-D", data, "-U", superuser, "--pwfile=" + passwordFile, "--auth=scram-sha-256",
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions",
	}
	if !fsync {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, bin.path("initdb"), args...) //nolint:gosec // a system directory
	cmd.Dir, cmd.Env = l.dir, environment()
	cmd.SysProcAttr = l.who.attributes(syscall.SIGKILL)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// passwordFor writes the password where the server's user can read it, until initdb has.
func (l layout) passwordFor(password string) (path string, err error) {
	f, err := os.CreateTemp(l.dir, "initdb-")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(password + "\n")
	return f.Name(), errors.Join(err, f.Close(), l.give(f.Name()))
}

// sockets is the directory of the server's socket: below the cluster's own when the path fits, else a new short one.
func (l layout) sockets(port int) (dir string, temp bool, err error) {
	if len(filepath.Join(l.run(), ".s.PGSQL."+strconv.Itoa(port))) <= maxSocketPath {
		return l.run(), false, nil
	}
	dir, err = os.MkdirTemp("/tmp", "opsdeck-pg-")
	if err != nil {
		return "", false, err
	}
	return dir, true, l.give(dir)
}

// clearStale removes the pid files of a server that is gone; their pids may belong to others by now.
func clearStale(data string) error {
	run := filepath.Join(filepath.Dir(data), "run")
	locks, err := filepath.Glob(filepath.Join(run, ".s.PGSQL.*"))
	if err != nil {
		return err
	}
	for _, path := range append(locks, filepath.Join(data, pidFile)) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func environment() []string {
	return []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
}
