package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// oldest is the first PostgreSQL that can clone a database by copying files.
const oldest = 15

// errNoBinaries tells the operator what to install.
var errNoBinaries = fmt.Errorf("no PostgreSQL %d or newer found in /usr/lib/postgresql/*/bin or pg_config's bindir; "+
	"install it: apt-get install postgresql", oldest)

type binaries struct {
	dir   string
	major int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// findBinaries returns the newest installed server, or the one of the major version that wrote the data directory
// when that is not zero: another cannot read it.
func findBinaries(ctx context.Context, major int) (binaries, error) {
	found := installed(ctx)
	if err := ctx.Err(); err != nil {
		return binaries{}, err // they were not found because nobody waited for them to answer
	}
	if major == 0 {
		if len(found) == 0 || found[0].major < oldest {
			return binaries{}, errNoBinaries
		}
		return found[0], nil
	}
	for _, b := range found {
		if b.major == major {
			return b, nil
		}
	}
	return binaries{}, fmt.Errorf("its files were written by PostgreSQL %d, which is not installed: apt-get install postgresql-%d", major, major)
}

// installed lists the complete servers of the machine, newest first.
func installed(ctx context.Context) []binaries {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		dirs = nil // only a bad pattern, and this one is good
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	var found []binaries
	for _, dir := range dirs {
		if b, err := inspect(ctx, dir); err == nil {
			found = append(found, b)
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return b.major - a.major })
	return found
}

func inspect(ctx context.Context, dir string) (binaries, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return binaries{}, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output() //nolint:gosec // a system directory
	if err != nil {
		return binaries{}, err
	}
	// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return binaries{}, errors.New("unexpected version text")
	}
	major, err := majorOf(fields[2])
	return binaries{dir, major}, err
}

// majorOf reads "15" out of "15.18", "16beta1" or "15".
func majorOf(version string) (int, error) {
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	return strconv.Atoi(version[:end])
}
