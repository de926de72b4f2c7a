package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// noteFile holds what a log's user has noted.
const noteFile = "note.json"

// Note keeps a thing beside the log, as JSON, in place of what was noted before. What is as it was is not written, so that a full disk does not matter.
func (l *Log) Note(thing any) error {
	text, err := json.Marshal(thing)
	if err != nil {
		return fmt.Errorf("write the note of a relay log: %w", err)
	}
	path := filepath.Join(l.dir, noteFile)
	if before, err := os.ReadFile(path); err == nil && bytes.Equal(before, text) { //nolint:gosec // the path is the operator's setting and a checked name
		return nil
	}
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // as above
	if err != nil {
		return l.opt.Store.failedWrite(err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	return l.opt.Store.failedWrite(err)
}

// Noted reads what was noted last, and fails if nothing was.
func (l *Log) Noted(into any) error {
	text, err := os.ReadFile(filepath.Join(l.dir, noteFile))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("read the note of a relay log: %w", err)
	}
	return nil
}
