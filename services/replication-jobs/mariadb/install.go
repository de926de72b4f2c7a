package mariadb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Check returns nil if the machine has what a server needs, else an error that says what to install.
func Check() error {
	for _, name := range []string{"mariadbd", "mariadb-install-db"} {
		if binary(name) == "" {
			return fmt.Errorf("%s is not installed: run apt-get install mariadb-server", name)
		}
	}
	if os.Geteuid() == 0 {
		if _, err := user.Lookup("mysql"); err != nil {
			return errors.New("MariaDB does not run as root and there is no user mysql: run apt-get install mariadb-server, or use another user")
		}
	}
	return nil
}

// binary returns the path of a program, "" if there is none; Debian keeps servers outside a user's PATH.
func binary(name string) string {
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

// install creates the data directory, unless there is one, and the file that gives the administrator an account at every start.
func (s *Server) install(ctx context.Context) error {
	// A temporary directory of its own: servers that are installed at the same time use the same names in it.
	if err := os.MkdirAll(s.path("tmp"), 0o750); err != nil {
		return fmt.Errorf("create the server's directory: %w", err)
	}
	if err := s.lowerPrivileges(); err != nil {
		return err
	}
	if err := s.writeInit(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.path("data"), "mysql")); err == nil {
		return nil
	}
	return s.software.install(ctx, s.path("data"), s.path("tmp"), s.account)
}

// lowerPrivileges hands the directory to the user mysql when we are root, since MariaDB refuses to run as root.
func (s *Server) lowerPrivileges() error {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("mysql")
	if err != nil {
		return fmt.Errorf("find the user to run MariaDB as: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("user mysql: %w", err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("user mysql: %w", err)
	}
	s.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}
	for _, dir := range []string{s.opt.Dir, s.path("tmp")} {
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return fmt.Errorf("hand the server's directory to the user mysql: %w", err)
		}
	}
	return nil
}

func (s *Server) writeInit() error {
	literal := strings.NewReplacer(`\`, `\\`, `'`, `''`)
	account := fmt.Sprintf("'%s'@'127.0.0.1'", literal.Replace(s.opt.User))
	password := literal.Replace(s.opt.Password)
	// Each statement on a line of its own: the server reads the file so. Kept out of the binary log.
	script := "SET sql_log_bin = 0;\n" +
		"CREATE USER IF NOT EXISTS " + account + ";\n" +
		"ALTER USER " + account + " IDENTIFIED BY '" + password + "';\n" +
		"GRANT ALL PRIVILEGES ON *.* TO " + account + " WITH GRANT OPTION;\n"
	if err := os.WriteFile(s.path("init.sql"), []byte(script), 0o600); err != nil {
		return fmt.Errorf("write the server's start script: %w", err)
	}
	if s.account == nil {
		return nil
	}
	if err := os.Chown(s.path("init.sql"), int(s.account.Uid), int(s.account.Gid)); err != nil {
		return fmt.Errorf("hand the server's start script to the user mysql: %w", err)
	}
	return nil
}
