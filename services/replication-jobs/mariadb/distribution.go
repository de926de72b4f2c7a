package mariadb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// distribution is the software of a server: the machine's MariaDB, or a MariaDB or MySQL that was unpacked into a directory.
type distribution struct {
	basedir string // "" for the machine's
	mysql   bool
}

// IsMySQL reports whether what was unpacked in a directory is MySQL and not MariaDB; "" stands for the machine's MariaDB.
func IsMySQL(basedir string) bool {
	_, err := os.Stat(filepath.Join(basedir, "bin", "mariadbd"))
	return basedir != "" && err != nil
}

// check returns nil if there is a server that can be run, else an error that says what to install.
func (d distribution) check() error {
	if d.basedir == "" {
		return Check()
	}
	if _, err := os.Stat(d.server()); err != nil {
		return fmt.Errorf("%s holds neither bin/mariadbd nor bin/mysqld: %w", d.basedir, err)
	}
	return nil
}

func (d distribution) server() string {
	switch {
	case d.basedir == "":
		return binary("mariadbd")
	case d.mysql:
		return filepath.Join(d.basedir, "bin", "mysqld")
	}
	return filepath.Join(d.basedir, "bin", "mariadbd")
}

// args are the options by which the server finds its files and logs rows under GTIDs.
func (d distribution) args() []string {
	args := []string{"--no-defaults"}
	if d.basedir != "" {
		args = append(args, "--basedir="+d.basedir, "--lc-messages-dir="+filepath.Join(d.basedir, "share"))
	}
	if d.mysql {
		return append(args, "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--mysqlx=OFF", "--performance-schema=OFF", "--innodb-redo-log-capacity=64M")
	}
	return append(args, "--gtid-strict-mode=ON")
}

// install creates a data directory in dir.
func (d distribution) install(ctx context.Context, dir, tmp string, account *syscall.Credential) error {
	if d.mysql {
		return d.installMySQL(ctx, dir, tmp, account)
	}
	args := []string{"--no-defaults", "--datadir=" + dir, "--tmpdir=" + tmp, "--auth-root-authentication-method=socket", "--skip-test-db", "--skip-name-resolve"}
	program := binary("mariadb-install-db")
	if d.basedir != "" {
		program = filepath.Join(d.basedir, "scripts", "mariadb-install-db")
		args = append(args, "--basedir="+d.basedir)
	}
	return execute(ctx, tmp, account, program, args...)
}

// installMySQL copies a data directory that is made once and kept beside the distribution, as making one takes seconds.
func (d distribution) installMySQL(ctx context.Context, dir, tmp string, account *syscall.Credential) error {
	kept := filepath.Join(d.basedir, "opsdeck-data")
	if _, err := os.Stat(kept); err != nil {
		fresh := filepath.Join(tmp, "fresh")
		if err := execute(ctx, tmp, account, d.server(), append(d.args(), "--initialize-insecure", "--datadir="+fresh, "--tmpdir="+tmp)...); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(fresh, "auto.cnf")); err != nil { // each server gets a UUID of its own
			return fmt.Errorf("prepare a data directory: %w", err)
		}
		if err := keep(ctx, fresh, kept); err != nil {
			return err
		}
	}
	return execute(ctx, tmp, account, "cp", "-r", kept, dir)
}

// keep copies a directory to where another process may do so at the same time: the first one counts.
func keep(ctx context.Context, from, to string) error {
	part, err := os.MkdirTemp(filepath.Dir(to), "opsdeck-data-")
	if err != nil {
		return fmt.Errorf("keep a data directory beside the server's programs: %w", err)
	}
	defer func() { _ = os.RemoveAll(part) }() // it is empty, or superfluous
	whole := filepath.Join(part, "data")
	if err := execute(ctx, part, nil, "cp", "-a", from, whole); err != nil {
		return err
	}
	if err := os.Rename(whole, to); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("keep a data directory beside the server's programs: %w", err)
	}
	return nil
}

// execute runs a program to its end; what it says is in the error.
func execute(ctx context.Context, dir string, account *syscall.Credential, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // fixed programs
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, out)
	}
	return nil
}
