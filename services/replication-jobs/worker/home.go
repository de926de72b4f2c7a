package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/uuid"
)

// home is the directory of a node. Its id survives restarts; its lock keeps a second process from posing as the same node.
type home struct {
	dir  string
	id   string
	lock *os.File
}

func openHome(dir string) (*home, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is the operator's setting
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another worker node: %w", dir, err), lock.Close())
	}
	id, err := nodeID(filepath.Join(dir, "node-id"))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &home{dir: dir, id: id, lock: lock}, nil
}

// relays is the directory of the relay logs.
func (h *home) relays() string { return filepath.Join(h.dir, "relay") }

// Close gives the directory free.
func (h *home) Close() error { return h.lock.Close() }

// nodeID reads the id from a file, or makes one. The file appears whole or not at all.
func nodeID(path string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the path is the operator's setting
	if err == nil {
		id, err := uuid.Parse(strings.TrimSpace(string(text)))
		if err != nil {
			return "", fmt.Errorf("%s holds no node id: %w", path, err)
		}
		return id.String(), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	id := uuid.NewString()
	if err := os.WriteFile(path+".new", []byte(id+"\n"), 0o600); err != nil {
		return "", err
	}
	return id, os.Rename(path+".new", path)
}
