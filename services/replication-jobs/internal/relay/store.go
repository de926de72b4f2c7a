package relay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"unicode/utf8"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

const (
	// reserve is how much of the disk a relay log leaves to others.
	reserve = 1 << 30
	// maxLogs and maxName are how many logs a node tells the manager of, and how long their names may be.
	maxLogs = 10000
	maxName = 64
)

// Store is where a node keeps the relay logs of its jobs: each in a directory that bears the job's incarnation.
type Store struct {
	// Dir is the directory, which need not exist.
	Dir string
	// MaxBytes bounds all of the logs together.
	MaxBytes int64
}

func (s Store) path(incarnation string) (string, error) {
	if incarnation == "" || incarnation != filepath.Base(incarnation) || incarnation[0] == '.' {
		return "", fmt.Errorf("%q cannot be the name of a relay log", incarnation)
	}
	return filepath.Join(s.Dir, incarnation), nil
}

// List returns the incarnations of jobs that have a relay log here, at most 10000.
func (s Store) List() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the relay logs: %w", err)
	}
	var all []string
	for _, e := range entries {
		if e.IsDir() && len(e.Name()) <= maxName && utf8.ValidString(e.Name()) && len(all) < maxLogs {
			all = append(all, e.Name())
		}
	}
	return all, nil
}

// Remove deletes the relay log of a job, if there is one. Nobody may use it any more.
func (s Store) Remove(incarnation string) error {
	dir, err := s.path(incarnation)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("delete a relay log: %w", err)
	}
	return nil
}

// used is what the files of all logs take.
func (s Store) used() (int64, error) {
	var total int64
	err := filepath.WalkDir(s.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return ignoreMissing(err)
	})
	return total, err
}

// failedWrite puts an error of the disk in words.
func (s Store) failedWrite(err error) error {
	var known *mysql.Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &mysql.Error{Sentence: "the disk of the worker node is full, the relay log cannot grow: " + s.room() +
			"; make room there, and the job goes on by itself, or switch binlog_relay off", Err: err}
	default:
		return &mysql.Error{Sentence: "the relay log cannot be written on the disk of the worker node", Err: err}
	}
}

// room says where the logs are, what they take, and what is left; what cannot be told is left out.
func (s Store) room() string {
	dir := s.Dir
	if full, err := filepath.Abs(dir); err == nil {
		dir = full
	}
	text := dir + " (in OPSDECK_WORKER_DATA)"
	if used, err := s.used(); err == nil {
		text += fmt.Sprintf(" holds %d MiB of relay logs", used>>20)
	}
	if free, err := s.free(); err == nil {
		text += fmt.Sprintf(", and its disk has %d MiB left", free>>20)
	}
	return text
}

// free is what the disk has left for processes without privileges.
func (s Store) free() (int64, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.Dir, &disk); err != nil {
		return 0, fmt.Errorf("look at the disk of the relay logs: %w", err)
	}
	return int64(disk.Bavail) * disk.Bsize, nil
}

// ignoreMissing forgives a file that was deleted meanwhile.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// tight says why no log of the node should grow, "" if they may.
func (s Store) tight() (string, error) {
	free, err := s.free()
	if err != nil {
		return "", err
	}
	if free < reserve {
		return fmt.Sprintf("the disk of the worker node has %d MiB left, and relay logs leave %d MiB to others", free>>20, int64(reserve)>>20), nil
	}
	used, err := s.used()
	if err != nil {
		return "", fmt.Errorf("look at the relay logs: %w", err)
	}
	if s.MaxBytes > 0 && used >= s.MaxBytes {
		return fmt.Sprintf("all relay logs of the worker node take %d MiB of the %d MiB that OPSDECK_WORKER_RELAY_MAX_MIB allows", used>>20, s.MaxBytes>>20), nil
	}
	return "", nil
}
