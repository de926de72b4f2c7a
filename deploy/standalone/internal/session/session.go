// Package session keeps a sign-in between commands: in one file, which only its owner reads.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/opsdeck/opsdeck/deploy/standalone/internal/client"
)

// margin is how long before its end a token counts as over: clocks differ, and calls take time.
const margin = 30 * time.Second

// Session is a sign-in.
type Session struct {
	Server     string    `json:"server"`
	Plain      bool      `json:"allow_plain_http,omitempty"` // what the server was signed in to with
	User       string    `json:"user"`                       // as typed
	Access     string    `json:"access_token"`
	AccessEnd  time.Time `json:"access_token_end"`
	Refresh    string    `json:"refresh_token"`
	RefreshEnd time.Time `json:"refresh_token_end"`
}

// ErrNone is the error of a session that is not there, or over.
var ErrNone = errors.New("you are not signed in")

// Store keeps a session in a directory.
type Store struct {
	Dir string
	Now func() time.Time
}

// Account is who signs in.
type Account struct {
	User     string // name, or tenant:name
	Password string
	Code     string // of the second factor; "" for users without
}

// Begin signs in and keeps the session in the place of the one before.
func (s Store) Begin(ctx context.Context, server string, plain bool, a Account) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	began := Session{Server: server, Plain: plain, User: a.User}
	body := map[string]string{"name": a.User, "password": a.Password}
	if a.Code != "" {
		body["totp"] = a.Code
	}
	if err := s.renew(ctx, &began, "/api/v1/login", body); err != nil {
		return err
	}
	return s.save(began)
}

// End ends the session, at the server too. It is gone from this machine even if the server does not hear of it.
func (s Store) End(ctx context.Context) (Session, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return Session{}, err
	}
	defer unlock()
	ended, err := s.Load()
	if err != nil {
		return ended, err
	}
	if err := os.Remove(s.path()); err != nil {
		return ended, err
	}
	caller, err := ended.caller()
	if err != nil {
		return ended, err
	}
	if _, err := caller.Post(ctx, "/api/v1/logout", map[string]string{"refresh_token": ended.Refresh}); err != nil {
		return ended, fmt.Errorf("the session is gone from this machine, and at the server it ends by itself on %s: %w", ended.RefreshEnd.Format(time.DateTime), err)
	}
	return ended, nil
}

// Token returns the access token of the session, a new one if that is over. A refresh token is good once, so commands that run at the
// same time renew one after the other.
func (s Store) Token(ctx context.Context) (string, error) {
	kept, err := s.Load()
	if err != nil || s.Now().Add(margin).Before(kept.AccessEnd) {
		return kept.Access, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	kept, err = s.Load()
	if err != nil || s.Now().Add(margin).Before(kept.AccessEnd) {
		return kept.Access, err // another command was first
	}
	err = s.renew(ctx, &kept, "/api/v1/refresh", map[string]string{"refresh_token": kept.Refresh})
	var refused *client.Refused
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		return "", ErrNone
	}
	if err != nil {
		return "", err
	}
	return kept.Access, s.save(kept)
}

// renew gets the tokens of a session.
func (s Store) renew(ctx context.Context, of *Session, path string, body any) error {
	caller, err := of.caller()
	if err != nil {
		return err
	}
	text, err := caller.Post(ctx, path, body)
	if err != nil {
		return err
	}
	var got struct {
		Data struct {
			Access     string `json:"access_token"`
			AccessFor  int64  `json:"expires_in"` // seconds
			Refresh    string `json:"refresh_token"`
			RefreshFor int64  `json:"time"` // seconds
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &got); err != nil || got.Data.Access == "" {
		return fmt.Errorf("%s answers without a token: is it an opsdeck?", of.Server)
	}
	now := s.Now()
	of.Access, of.AccessEnd = got.Data.Access, now.Add(time.Duration(got.Data.AccessFor)*time.Second)
	if got.Data.Refresh != "" { // a server without rotation sends none: the one there is stays good
		of.Refresh = got.Data.Refresh
	}
	of.RefreshEnd = now.Add(time.Duration(got.Data.RefreshFor) * time.Second)
	return nil
}

// caller returns a client that shows no token: these calls carry their own.
func (s Session) caller() (*client.Client, error) {
	server, err := client.ParseServer(s.Server, s.Plain)
	if err != nil {
		return nil, err
	}
	return client.New(server, func(context.Context) (string, error) { return "", nil }), nil
}

func (s Store) path() string { return filepath.Join(s.Dir, "session.json") }

// Load returns the session. Errors: ErrNone.
func (s Store) Load() (Session, error) {
	var kept Session
	info, err := os.Stat(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return kept, ErrNone
	}
	if err != nil {
		return kept, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return kept, fmt.Errorf("others may read %s, which holds your session: chmod 600 it, or remove it and sign in again", s.path())
	}
	text, err := os.ReadFile(s.path())
	if err != nil {
		return kept, err
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		return kept, fmt.Errorf("%s is damaged: remove it and sign in again", s.path())
	}
	return kept, nil
}

// save replaces the file as a whole: one that is cut off has lost the only refresh token.
func (s Store) save(kept Session) (err error) {
	text, err := json.MarshalIndent(kept, "", "  ") //nolint:gosec // the tokens are what the file is for, and it is its owner's
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(s.Dir, ".session-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(append(text, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), s.path())
}
