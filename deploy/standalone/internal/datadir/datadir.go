// Package datadir is the directory that a standalone process lives in: one process holds it at a time, and the
// secrets it needs are made on the first start and kept there.
package datadir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/opsdeck/opsdeck/pkg/secret"
)

const (
	lockName   = "lock"
	secretsDir = "secrets"
	socketsDir = "run"

	// maxSocketPath is what fits sun_path with its final zero.
	maxSocketPath = 107
)

// ErrHeld is wrapped by the error of Open when another process holds the directory.
var ErrHeld = errors.New("is in use")

// Dir is a data directory held by this process.
type Dir struct {
	path string
	lock *os.File
}

// Open makes the directory when it is absent and takes hold of it. A directory that another process holds is
// refused with that process's id.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	// The database server runs as a user of its own when we are root, and passes through.
	if err := os.MkdirAll(path, 0o711); err != nil { //nolint:gosec // what is secret is in directories of mode 0700
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := hold(filepath.Join(path, lockName))
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	d := &Dir{path, lock}
	for _, name := range []string{secretsDir, socketsDir} {
		if err := private(d.Path(name)); err != nil {
			return nil, errors.Join(fmt.Errorf("data directory: %w", err), lock.Close())
		}
	}
	return d, nil
}

// Close lets go of the directory. The system does it as well when the process is killed.
func (d *Dir) Close() error { return d.lock.Close() }

// Path is a path below the directory.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Socket is the address, unix:///path, of a socket that only this user may connect to.
func (d *Dir) Socket(name string) (string, error) {
	path := d.Path(socketsDir, name)
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("the socket %s has a path of %d bytes, and Linux takes %d: choose a shorter data directory", path, len(path), maxSocketPath)
	}
	return "unix://" + path, nil
}

// Secret is the secret of this name, random and made on first use, and the file that holds it.
func (d *Dir) Secret(name string) (value, path string, err error) {
	path, err = d.keep(name, func(path string) error { return os.WriteFile(path, []byte(rand.Text()), 0o600) })
	if err != nil {
		return "", "", err
	}
	text, err := os.ReadFile(path) //nolint:gosec // below our own directory
	if err != nil {
		return "", "", fmt.Errorf("secret: %w", err)
	}
	if len(text) == 0 {
		return "", "", fmt.Errorf("secret %s is empty: restore it from a backup, or remove the file for a new one", path)
	}
	return string(text), path, nil
}

// SealKeys is the file of the keys that secrets in the database are sealed with.
func (d *Dir) SealKeys() (string, error) { return d.keep("seal.keys", secret.Generate) }

// Put keeps a text that is made of secrets, such as a database URL, in a private file, in place of the last one.
func (d *Dir) Put(name, text string) (path string, err error) {
	path = d.Path(secretsDir, name)
	err = replace(path, func(path string) error { return os.WriteFile(path, []byte(text), 0o600) })
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	return path, nil
}

// keep returns the path of a secret, which create writes when it does not exist yet.
func (d *Dir) keep(name string, create func(path string) error) (string, error) {
	path := d.Path(secretsDir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = replace(path, create)
	} else if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s has mode %04o: others can read it; run chmod 600 %s", path, info.Mode().Perm(), path)
	}
	if err != nil {
		return "", fmt.Errorf("secret: %w", err)
	}
	return path, nil
}

// replace writes a file aside and renames it, so that a crash leaves the old one or the new one, never a half.
func replace(path string, create func(path string) error) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := create(fresh); err != nil {
		return err
	}
	if err := sync(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return sync(filepath.Dir(path))
}

func sync(path string) error {
	f, err := os.Open(path) //nolint:gosec // below our own directory
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// hold locks a file for the life of the process and writes the process's id into it.
func hold(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // below the operator's directory
	if err != nil {
		return nil, err
	}
	if err := lockNow(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	_, err = f.WriteAt(pid, 0)
	if err := errors.Join(err, f.Truncate(int64(len(pid)))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func lockNow(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	text, err := os.ReadFile(f.Name()) //nolint:gosec // the lock file itself
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: process %s holds it: stop that one first, or choose another directory", ErrHeld, strings.TrimSpace(string(text)))
}

// private makes a directory that only this user may enter.
func private(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return os.Chmod(path, 0o700) //nolint:gosec // a directory needs its x
}
